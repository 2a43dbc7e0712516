import { equalJson } from '../../common/equaljson.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { faulty, type Persisted } from '../../common/validate.ts'
import { addLaneCounts, type LaneCounts, newLaneCounts } from '../../columnar/lanes.ts'
import type { RelationChange } from '../state/changes.ts'
import { parseObjectName } from '../state/names.ts'
import { isPacked, type LayerFile, layerFileJson, type ObjectReference, parseLayerFile, storedBytes } from '../layer.ts'
import type { PlannedChange } from './plan.ts'
import type { FileResult, UnitResults, UnreadableResult } from './result.ts'
import type { RelationOverflow } from './unit.ts'

/** A file that an attempt at a unit wrote. */
export interface TriedFile {
  readonly result: FileResult
  readonly file: LayerFile
}

/** What one attempt made of the files of its unit, in their order. */
export type Attempt = readonly (TriedFile | UnreadableResult)[]

/** Attempts by number of the unit. */
export type Attempts = ReadonlyMap<number, readonly Attempt[]>

/** Objects that a file of an attempt consists of: they must be there. A pack is one for many files. */
export function objectsOfFile({ file }: TriedFile): ObjectReference[] {
  if (isPacked(file)) return []
  return file.index instanceof Uint8Array ? [file] : [file, file.index]
}

/**
 * @param packs that the attempt wrote
 * @throws CorruptionError job.result for what no worker of this job says of a file
 */
export function parseAttempt(results: UnitResults, packs: readonly ObjectReference[], job: string): Attempt {
  const persisted: Persisted = { code: 'job.result', name: 'the result of a unit' }
  return results.map((result, i) => {
    if ('unreadable' in result) return result
    const file = parseLayerFile(result.file, persisted, `files[${i}].file`)
    const tried: TriedFile = { result, file }
    const pack = isPacked(file) ? packs.find(({ key }) => key === file.key) : undefined
    if (isPacked(file) && (pack === undefined || pack.bytes < file.pack.start + storedBytes(file))) {
      throw faulty(persisted, `files[${i}].file`, `lies in the pack ${file.key}, which the unit did not write`)
    }
    for (const { key } of [file, ...objectsOfFile(tried)]) {
      const name = parseObjectName(key)
      const isOfJob = name !== undefined && 'job' in name && name.job === job
      if (!isOfJob) throw faulty(persisted, `files[${i}].file`, `has the key ${key}, which is no name of job ${job}`)
    }
    return tried
  })
}

/** What the attempts give for one relation. */
export type Chosen =
  /** All files, one attempt's each; attnums whose columns have an `_overflow` child in all of them. */
  | { readonly kind: 'done'; readonly files: readonly TriedFile[]; readonly overflow: readonly number[] }
  /** Some block of it is not given by the disk: the error. */
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** Units that must be done, or done again with what was learnt. */
  | { readonly kind: 'open'; readonly units: readonly { readonly unit: number; readonly overflow?: RelationOverflow }[] }

/**
 * Chooses for each file of a relation an attempt. All files of a layer have the same columns: if a value of one needs an `_overflow` child, those without
 * it are to be written again.
 * @param number of the relation in the job
 * @throws EnvironmentError job.contradiction if two attempts at one file differ in more than names
 */
export function chooseFiles({ files, overflow: first, info }: PlannedChange, number: number, attempts: Attempts): Chosen {
  const name = String(info['name'])
  const tried = files.map(({ unit, at }) => (attempts.get(unit) ?? []).flatMap((attempt) => attempt[at] ?? []))
  const lost = tried.flat().find((one) => 'unreadable' in one)
  if (lost !== undefined) return { kind: 'unreadable', reason: lost.unreadable }
  // What is of other blocks is not of this file.
  const found = tried.map((list, i) => list.filter((one) => 'file' in one && equalJson(one.file.blocks.runs, files[i]!.blocks.runs))) as TriedFile[][]
  const overflow = [...new Set([...first, ...found.flat().flatMap(({ result }) => result.overflow)])].sort((a, b) => a - b)
  const fitting = found.map((list) => list.filter(({ result }) => equalJson(result.overflow, overflow)))
  const open = files.filter((_, i) => fitting[i]!.length === 0)
  if (open.length > 0) {
    const again = overflow.length > first.length ? { overflow: { relation: number, overflow } } : {}
    return { kind: 'open', units: open.map(({ unit }) => ({ unit, ...again })) }
  }
  for (const list of fitting) refuseContradiction(list, name)
  return { kind: 'done', files: fitting.map(([one]) => one!), overflow }
}

/** The same pages make the same file on any machine. */
function refuseContradiction(list: readonly TriedFile[], name: string): void {
  const [first, ...others] = list.map(({ file }) => withoutNames(file))
  if (others.every((other) => equalJson(first, other))) return
  throw new EnvironmentError('job.contradiction',
    `two results of the same blocks of ${name} differ: the data directories of the workers are not copies of each other; drop the job and plan it again`)
}

function withoutNames(file: LayerFile): object {
  const { key: _, objects: __, ...rest } = layerFileJson(isPacked(file) ? { ...file, pack: { ...file.pack, start: 0 } } : file)
  return rest
}

/** The relation's change once its files are known. @param info with the description of the columns that the files have */
export function chosenChange({ relation, layer }: PlannedChange, info: PlannedChange['info'], files: readonly TriedFile[]): RelationChange {
  return { relation, info, ...layer && { layer: { ...layer, files: files.map(({ file }) => layerFileJson(file)) } } }
}

/** Lanes of all files, in sum. */
export function sumLanes(results: Iterable<Pick<FileResult, 'lanes'>>): LaneCounts {
  const sum = newLaneCounts()
  for (const { lanes } of results) addLaneCounts(sum, { ...newLaneCounts(), ...lanes })
  return sum
}
