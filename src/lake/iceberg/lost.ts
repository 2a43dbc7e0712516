import { withSnapshots } from './expire.ts'
import { currentObjects, currentSnapshot, type IcebergRecord } from './record.ts'

/** The record whose metadata file has this version: its snapshots as they were then, as far as they are still listed. */
export function recordAt(record: IcebergRecord, version: number): IcebergRecord {
  if (version === record.version) return record
  const snapshots = record.snapshots.filter((snapshot) => snapshot.version <= version)
  const { ms, schema, sequence } = snapshots.at(-1)!
  const next = record.snapshots[snapshots.length]
  return {
    ...record, version, snapshots, updatedMs: ms, currentSchema: schema, lastSequence: sequence,
    ...(next?.firstRow !== undefined && { nextRowId: next.firstRow }),
  }
}

/**
 * The record without the snapshots that need missing objects. Of an object that the current snapshot has it is not known which earlier ones need it: then the
 * table begins again, as at another place.
 */
export function withoutLost(record: IcebergRecord, missing: ReadonlySet<string>): IcebergRecord {
  const { list, sequence: newest } = currentSnapshot(record)
  const isCurrent = [list, ...currentObjects(record)].some((key) => missing.has(key))
  if (isCurrent) return { ...record, root: '' }
  const lost = Math.max(
    0, ...record.snapshots.flatMap((snapshot) => (missing.has(snapshot.list) ? [snapshot.sequence] : [])),
    ...record.left.flatMap(({ sequence, keys }) => (keys.some((key) => missing.has(key)) ? [sequence] : [])))
  const whole = record.snapshots.filter(({ sequence }) => sequence > lost || sequence === newest)
  return whole.length === record.snapshots.length ? record : withSnapshots({ ...record, version: record.version + 1 }, whole)
}
