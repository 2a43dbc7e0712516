import type { RowSet } from '../../src/columnar/filesummary.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { formatLsn } from '../../src/common/ids.ts'
import type { ObjectNames, PublishedColumn, PublishedFile, TableSnapshot } from '../../src/lake/publishedtable.ts'
import { formatObjectName } from '../../src/lake/state/names.ts'
import { dataKeys } from '../../src/lake/tablefolder.ts'
import type { Random } from './random.ts'

/** Tables as they are published, which change at random: rows are only counted, their values are what the test makes of them. */

export const FOLDER = 'shop/public.orders-16385'
const BRANCH = 'b'.repeat(20)

/** Names as a writer's, one after the other. */
export class NumberedNames implements ObjectNames {
  private count = 0

  name(): string {
    const number = ++this.count
    return formatObjectName({ branch: BRANCH, epoch: 1, sequence: number }, number.toString(36).padStart(20, 'n'))
  }
}

export function column(id: number, name: string, type: PublishedColumn['type'], children?: readonly PublishedColumn[]): PublishedColumn {
  return { id, name, physicalName: name, type, ...(children && { children }) }
}

/** A file whose rows have numbers, which stay when a row goes into another file. */
interface NumberedFile extends PublishedFile {
  readonly numbers: readonly number[]
}

/** Makes a file: its bytes, and what is known of its columns. */
export type FileMaker = (key: string, numbers: readonly number[], columns: readonly PublishedColumn[]) => Pick<PublishedFile, 'bytes' | 'columns'>

const COUNTED: FileMaker = (_, numbers) => ({ bytes: 1000 + numbers.length, columns: [] })

/** A table that changes step by step as Postgres and the lake change one. */
export class ChangingTable {
  private readonly random: Random
  private readonly root: string
  private readonly make: FileMaker
  private readonly largeRows: number
  private readonly names = new NumberedNames()
  private rows = 0
  private files: NumberedFile[] = []
  private columns: readonly PublishedColumn[]
  private lsn = 0x16b374d848n
  private timeline = 1
  private publishedMs = 1_700_000_000_000
  private steps = 0

  constructor(random: Random, columns: readonly PublishedColumn[], root = 'file:///lake', make: FileMaker = COUNTED, largeRows = 30_000) {
    this.random = random
    this.columns = columns
    this.root = root
    this.make = make
    this.largeRows = largeRows
  }

  /** The first snapshot, or one after a change at random. */
  next(): TableSnapshot {
    const { random } = this
    let kind: TableSnapshot['kind'] = 'change'
    const step = this.steps++
    if (step === 0) this.addFile(random.int(40))
    else if (step === 1) {
      // A deletion vector that is too long to be in the log.
      this.addFile(this.largeRows)
      this.hide(this.files.length - 1, BlockSet.of(Array.from({ length: Math.floor(this.largeRows / 3) }, (_, i) => i * 3)))
    } else if (random.chance(15) && this.files.length > 1) {
      this.merge()
      kind = 'merge'
    } else for (let left = 1 + random.int(3); left > 0; left--) this.change()
    this.lsn += BigInt(random.int(100_000))
    this.publishedMs += 1 + random.int(5000)
    return {
      uuid: '11111111-2222-3333-4444-555555555555', namespace: 'public', name: 'orders', root: this.root, folder: FOLDER, columns: this.columns,
      files: this.files, kind, timeline: this.timeline, lsn: formatLsn(this.lsn), time: this.publishedMs * 1000 - 500, publishedMs: this.publishedMs,
    }
  }

  private change(): void {
    const { random, files } = this
    const at = random.int(files.length)
    const file = files[at]
    const kind = random.int(10)
    if (file === undefined || kind < 3) this.addFile(random.chance(20) ? this.largeRows + random.int(this.largeRows) : random.int(400))
    else if (kind < 6) this.hide(at, file.hidden.union(this.someRows(file)))
    else if (kind === 6) this.hide(at, file.hidden.subtract(this.someRows(file)))
    else if (kind === 7) this.hide(at, BlockSet.range(0, file.rows))
    else if (kind === 8) this.files = files.filter((other) => other !== file)
    else this.alter()
  }

  private addFile(rows: number): void {
    const file = this.newFile(Array.from({ length: rows }, (_, i) => this.rows + i))
    this.files = [...this.files, { ...file, hidden: this.random.chance(50) ? this.someRows(file) : BlockSet.EMPTY }]
    this.rows += rows
  }

  private newFile(numbers: readonly number[]): NumberedFile {
    const key = dataKeys(FOLDER, this.names.name()).key
    return { key, rows: numbers.length, numbers, hidden: BlockSet.EMPTY, ...this.make(key, numbers, this.columns) }
  }

  private hide(at: number, hidden: RowSet): void {
    this.files = this.files.with(at, { ...this.files[at]!, hidden })
  }

  /** One run, or rows here and there. */
  private someRows({ rows }: NumberedFile): RowSet {
    if (rows === 0) return BlockSet.EMPTY
    const { random } = this
    const first = random.int(rows)
    if (random.chance(50)) return BlockSet.range(first, 1 + random.int(rows - first))
    return BlockSet.of(Array.from({ length: Math.ceil(rows / (2 + random.int(30))) }, () => random.int(rows)))
  }

  /** The visible rows of two neighbours go into a new file, behind a row of a page that has no tuple. */
  private merge(): void {
    const at = this.random.int(this.files.length - 1)
    const visible = visibleRows(this.files.slice(at, at + 2))
    this.files = [...this.files.toSpliced(at, 2), { ...this.newFile([this.rows++, ...visible]), hidden: BlockSet.of([0]) }]
  }

  private alter(): void {
    const { random, columns } = this
    if (random.chance(20)) this.timeline++
    const at = random.int(columns.length)
    this.columns = columns.with(at, { ...columns[at]!, name: `${columns[at]!.physicalName}_${random.int(1000)}` })
  }
}

/** Numbers of the rows that a reader of these files sees, ascending. */
export function visibleRows(files: readonly PublishedFile[]): number[] {
  return (files as readonly NumberedFile[]).flatMap(({ numbers, hidden }) => numbers.filter((_, row) => !hidden.has(row))).sort((a, b) => a - b)
}
