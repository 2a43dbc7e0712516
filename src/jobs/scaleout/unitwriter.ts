import { encodeUnitTask, type UnitFile, type UnitTask } from '../../lake/job/unittask.ts'
import type { PlannedUnit } from '../../lake/job/unit.ts'
import type { PartWriter } from '../materialize/partwriter.ts'

/** A unit has at most so many blocks, unless it is one file, and so many files: as much as one Parquet file of a large table. */
const UNIT_BLOCKS_MAX = 12_288
const UNIT_FILES_MAX = 256
/** A file with so many blocks is a unit by itself. */
const OWN_UNIT_BLOCKS = 4096

/** Files that become one unit. */
interface OpenUnit {
  readonly unit: number
  readonly files: UnitFile[]
  blocks: number
}

/** Puts files to write into units: a large one into one of its own, small ones together. */
export class UnitWriter {
  private readonly parts: PartWriter
  private readonly shared: Omit<UnitTask, 'files'>
  private readonly units: PlannedUnit[] = []
  private open: OpenUnit | undefined
  private next = 0

  /** @param shared what all units have in common */
  constructor(parts: PartWriter, shared: Omit<UnitTask, 'files'>) {
    this.parts = parts
    this.shared = shared
  }

  /** @returns in which unit the file is, and its place there */
  async add(file: UnitFile): Promise<{ unit: number; at: number }> {
    const { size } = file.blocks
    if (size >= OWN_UNIT_BLOCKS) {
      const unit = this.next++
      await this.write({ unit, files: [file], blocks: size })
      return { unit, at: 0 }
    }
    const full = this.open && (this.open.blocks + size > UNIT_BLOCKS_MAX || this.open.files.length >= UNIT_FILES_MAX) ? this.open : undefined
    if (full) this.open = undefined
    const open = this.open ??= { unit: this.next++, files: [], blocks: 0 }
    const at = open.files.push(file) - 1
    open.blocks += size
    if (full) await this.write(full)
    return { unit: open.unit, at }
  }

  /** The units in their order; where their tasks are is true once the parts are written. There is at least one, so that each job has a line. */
  async finish(): Promise<readonly PlannedUnit[]> {
    if (this.open || this.next === 0) await this.write(this.open ?? { unit: this.next++, files: [], blocks: 0 })
    return this.units.sort((a, b) => a.unit - b.unit)
  }

  private async write({ unit, files, blocks }: OpenUnit): Promise<void> {
    const task = await this.parts.add(encodeUnitTask({ ...this.shared, files }))
    this.units.push({ unit, task, blocks, what: whatOf(files) })
  }
}

function whatOf(files: readonly UnitFile[]): string {
  const [first] = files
  if (first === undefined) return 'nothing: no page changed'
  const { database, schema, name } = first.descriptor
  const text = `${database === null ? '' : `${database}.`}${schema}.${name}`.slice(0, WHAT_LENGTH_MAX)
  return files.length === 1 ? text : `${text} and ${files.length - 1} more`
}

const WHAT_LENGTH_MAX = 250
