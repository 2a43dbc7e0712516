import * as v from 'valibot'
import { count, faulty, moment, type Persisted, type Schema, validate } from '../../common/validate.ts'
import type { PublishedWindow } from '../publishedentry.ts'
import { objectKey } from '../state/page.ts'
import type { RecordedTable } from '../tableformat.ts'
import { vectorKeys } from './deletionvectors.ts'
import { encodedKey, logKey, versionText } from './log.ts'
import { type DeltaRecord, parseDeltaRecord } from './record.ts'

/** A reader that goes back in time needs objects that the newest version no longer has. */
export interface KeptDelta {
  readonly newest: DeltaRecord
  /** All objects of the newest version: data files, too. */
  readonly objects: readonly string[]
  /** What the versions just before the newest one had, with when they were replaced, in milliseconds since 1970; oldest first. */
  readonly left: readonly { readonly ms: number; readonly keys: readonly string[] }[]
  /** The first version whose file of the log is there: 0, or one with a checkpoint. */
  readonly first: number
  /** Versions from `first` on that have a checkpoint, ascending; absent in records of an older ltap. */
  readonly checkpoints?: readonly number[]
}

/** SHA-256 of no bitmap: what has it is written again. */
const NO_DIGEST = '0'.repeat(64)
/** Versions between two checkpoints: a reader gets so many files at most. */
export const CHECKPOINT_EVERY = 20
/** No table has so many versions. */
const VERSION_MAX = 2 ** 31

const KEPT: Schema<Omit<KeptDelta, 'newest'> & { newest: unknown }> = v.strictObject({
  newest: v.unknown(), objects: v.array(objectKey), left: v.array(v.strictObject({ ms: moment, keys: v.array(objectKey) })), first: count,
  checkpoints: v.exactOptional(v.array(count)),
})

/** @throws CorruptionError, UnsupportedError of `persisted.code` with the member */
export function parseKeptDelta(record: unknown, persisted: Persisted, at: string, { uuid, folder, publishedMs }: RecordedTable): KeptDelta {
  const { newest: found, ...kept } = validate(KEPT, record, persisted, at)
  const newest = parseDeltaRecord(found, persisted, `${at}.newest`)
  if (newest.metaData.id !== uuid) throw faulty(persisted, `${at}.newest.metaData.id`, 'is that of another table')
  if (newest.version > VERSION_MAX) throw faulty(persisted, `${at}.newest.version`, `is above ${VERSION_MAX}`)
  const { first, left, checkpoints } = kept
  if (first > newest.version) throw faulty(persisted, `${at}.first`, `is ${first}, above the version`)
  if (left.length > newest.version - first) throw faulty(persisted, `${at}.left`, `has ${left.length} versions, above those of the log`)
  const wrong = checkpoints?.findIndex((version, i) => version < first || version > newest.version || version <= (checkpoints[i - 1] ?? -1)) ?? -1
  if (wrong >= 0) throw faulty(persisted, `${at}.checkpoints[${wrong}]`, `is ${checkpoints![wrong]}, out of order`)
  if (newest.timestamp > publishedMs) throw faulty(persisted, `${at}.newest.timestamp`, `is ${newest.timestamp}, and the table was published at ${publishedMs}`)
  const late = left.findIndex(({ ms }, i) => ms > newest.timestamp || ms <= (left[i - 1]?.ms ?? -1))
  if (late >= 0) throw faulty(persisted, `${at}.left[${late}].ms`, `is ${left[late]!.ms}, out of order`)
  const vectors = vectorKeys(newest.files, { folder })
  if (vectors.length !== newest.objects.length || vectors.some((key, i) => newest.objects[i] !== key)) {
    throw faulty(persisted, `${at}.newest.objects`, 'is not what the deletion vectors of its files are in')
  }
  const lost = wrongPath(newest.files, kept.objects, folder)
  if (lost >= 0) {
    const path = JSON.stringify(newest.files[lost]!.path.slice(0, 80))
    throw faulty(persisted, `${at}.newest.files[${lost}].path`, `is ${path}, which no object of the table has`)
  }
  return { newest, ...kept }
}

/** Index of the first file that is no object of the table, since readers go wherever a path leads; -1 for none. */
function wrongPath(files: DeltaRecord['files'], objects: readonly string[], folder: string): number {
  const [inFolder, elsewhere] = [new Set<string>(), new Map<string, string>()]
  for (const key of objects) {
    const path = encodedKey(key)
    if (key.startsWith(`${folder}/`)) inFolder.add(encodedKey(key.slice(folder.length + 1)))
    else elsewhere.set(lastSegment(path), path)
  }
  return files.findIndex(({ path }) => {
    const key = elsewhere.get(lastSegment(path))
    return !inFolder.has(path) && !(key !== undefined && path.endsWith(`/${key}`) && /^[a-z][a-z0-9]*:\/\//.test(path))
  })
}

function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Versions with a checkpoint. */
export function checkpointsOf({ newest, first, checkpoints }: KeptDelta): readonly number[] {
  if (checkpoints !== undefined) return checkpoints
  const found = first > 0 || newest.checkpoint && newest.version === first ? [first] : []
  for (let version = (Math.floor(first / CHECKPOINT_EVERY) + 1) * CHECKPOINT_EVERY; version <= newest.version; version += CHECKPOINT_EVERY) found.push(version)
  return found
}

/** The record without the versions that the window no longer has; the newest one stays. */
export function withinWindow(record: KeptDelta, { snapshots, ms: keepMs }: PublishedWindow, nowMs: number): KeptDelta {
  const left = snapshots <= 1 ? [] : record.left.slice(-(snapshots - 1)).filter(({ ms }) => ms > nowMs - keepMs)
  return left.length === record.left.length ? record : { ...record, left }
}

/**
 * A reader of a version begins at the newest checkpoint at or before it. So the log begins at that of the oldest version that readers may ask for; if that is
 * the newest version of all, it gets a checkpoint.
 * @returns also the keys of files of the log that no reader needs any more
 */
export function withShortLog(record: KeptDelta, folder: string): { record: KeptDelta; obsolete: string[] } {
  const { first, left } = record
  const isAlone = left.length === 0 && record.newest.version > 0
  const newest = isAlone ? { ...record.newest, checkpoint: true } : record.newest
  const { version } = newest
  const known = checkpointsOf(record)
  const checkpoints = newest.checkpoint && known.at(-1) !== version ? [...known, version] : known
  const start = checkpoints.findLast((checkpoint) => checkpoint <= version - left.length) ?? first
  const gone = Array.from({ length: start - first }, (_, i) => versionText(first + i))
  return {
    record: { ...record, newest, first: start, checkpoints: checkpoints.filter((checkpoint) => checkpoint >= start) },
    obsolete: gone.flatMap((text) => [logKey(folder, `${text}.json`), logKey(folder, `${text}.checkpoint.parquet`)]),
  }
}

/** Keys of all files of the log. */
export function* logNames(record: KeptDelta, folder: string): Generator<string> {
  const checkpoints = checkpointsOf(record)
  for (let version = record.first; version <= record.newest.version; version++) yield logKey(folder, `${versionText(version)}.json`)
  for (const version of checkpoints) yield logKey(folder, `${versionText(version)}.checkpoint.parquet`)
  // Readers that do not find this one list the log.
  if (checkpoints.at(-1) === record.newest.version) yield logKey(folder, '_last_checkpoint')
}

/**
 * What the log goes on from where objects are missing. Of an object that only earlier versions have, these go. Of any other one, and of a file of the log, it
 * is not known which earlier versions need it: then the log begins again behind the newest version, whose deletion vectors are written once more.
 */
export function withoutLost(record: KeptDelta, missing: ReadonlySet<string>): KeptDelta {
  const { newest, objects, left } = record
  const isLeft = new Set(left.flatMap(({ keys }) => keys))
  const last = left.findLastIndex(({ keys }) => keys.some((key) => missing.has(key)))
  const own = new Set(objects)
  if ([...missing].every((key) => isLeft.has(key) && !own.has(key))) return { ...record, left: left.slice(last + 1) }
  const isWhole = !newest.objects.some((key) => missing.has(key))
  const files = isWhole ? newest.files : newest.files.map((file) => (file.sha256 === undefined ? file : { ...file, sha256: NO_DIGEST }))
  return { newest: { ...newest, files }, objects, left: [], first: newest.version + 1, checkpoints: [] }
}
