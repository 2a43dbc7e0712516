import { assert } from '../../common/errors.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { ObjectNames, PublishedFile, TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
import { commitLines } from './actions.ts'
import { DeletionVectors, vectorKeys } from './deletionvectors.ts'
import type { DeltaFile, DeltaMetaData, DeltaRecord } from './record.ts'
import { deltaSchema } from './schemastring.ts'
import { deltaStats } from './stats.ts'

export interface DeltaOptions {
  readonly ltapVersion: string
  /** Each so manieth version gets a checkpoint. */
  readonly checkpointEvery: number
}

/**
 * The next version of a table's log, or the first one.
 * @param previous of the same table
 * @returns its record, and objects that are put before the record is committed; {@link deltaCommit} makes the version's own file
 * @throws UnsupportedError delta.type for a column whose type Delta does not have
 */
export function nextDelta(
  previous: DeltaRecord | undefined, table: TableSnapshot, names: ObjectNames, { ltapVersion, checkpointEvery }: DeltaOptions,
): { record: DeltaRecord; objects: StagedObject[] } {
  const version = previous === undefined ? 0 : previous.version + 1
  const { publishedMs: timestamp, timeline, lsn, time, kind } = table
  assert(previous === undefined || (previous.metaData.id === table.uuid && previous.timestamp < timestamp), `version ${version} of ${nameOf(table)}`)
  const schema = deltaSchema(table.columns, nameOf(table))
  const vectors = new DeletionVectors(table, names)
  const files = filesOf(previous, table, version, vectors)
  const timestampNtz = previous?.timestampNtz ?? (schema.hasTimestampNtz ? version : undefined)
  const record: DeltaRecord = {
    version, timestamp, timeline, lsn, ...(time !== undefined && { time }), ltapVersion, dataChange: kind === 'change',
    checkpoint: version > 0 && version % checkpointEvery === 0, ...(timestampNtz !== undefined && { timestampNtz }),
    metaData: metaDataOf(previous?.metaData, table, schema, version),
    before: timelinesBefore(previous, timeline),
    files, removed: removedFiles(previous?.files ?? [], files), objects: vectorKeys(files, table),
  }
  return { record, objects: vectors.objects() }
}

function nameOf({ namespace, name }: TableSnapshot): string {
  return `${namespace}.${name}`
}

function filesOf(previous: DeltaRecord | undefined, table: TableSnapshot, version: number, vectors: DeletionVectors): DeltaFile[] {
  const before = new Map((previous?.files ?? []).map((file) => [file.path, file]))
  const files = new Map<string, DeltaFile>()
  for (const file of table.files) {
    const { key, rows, hidden } = file
    assert(hidden.runs.every(({ first, count }) => first + count <= rows), `${key} hides rows behind its ${rows}`)
    if (hidden.size === rows) continue
    const path = pathOf(key, table)
    assert(!files.has(path), `${key} is there twice`)
    const old = before.get(path)
    const described = vectors.describe(hidden, old)
    files.set(path, old !== undefined && isSame(old, described) ? old : addedFile(file, path, table, { since: version, ...described }, old))
  }
  return [...files.values()]
}

function addedFile(
  file: PublishedFile, path: string, { publishedMs, columns }: TableSnapshot, rest: Pick<DeltaFile, 'since' | 'deletionVector' | 'sha256'>,
  old: DeltaFile | undefined,
): DeltaFile {
  return { path, size: file.bytes, modificationTime: old?.modificationTime ?? publishedMs, stats: deltaStats(file, columns), ...rest }
}

function isSame(a: Pick<DeltaFile, 'deletionVector'>, b: Pick<DeltaFile, 'deletionVector'>): boolean {
  const [mine, theirs] = [a.deletionVector, b.deletionVector]
  return mine?.storageType === theirs?.storageType && mine?.pathOrInlineDv === theirs?.pathOrInlineDv && offsetOf(mine) === offsetOf(theirs)
}

function offsetOf(vector: DeltaFile['deletionVector']): number | undefined {
  return vector?.storageType === 'u' ? vector.offset : undefined
}

function removedFiles(before: readonly DeltaFile[], files: readonly DeltaFile[]): DeltaFile[] {
  const now = new Map(files.map((file) => [file.path, file]))
  // Bounds of what is gone are no business of the record: a value that was erased may be one.
  return before.filter((file) => now.get(file.path)?.since !== file.since).map((file) => ({ ...file, stats: '{}' }))
}

/** Relative to the folder of the table, unless the file is in another one: a partition's. */
function pathOf(key: string, { root, folder }: TableSnapshot): string {
  return key.startsWith(`${folder}/`) ? encodedKey(key.slice(folder.length + 1)) : `${encodeURI(root)}/${encodedKey(key)}`
}

/** A key as a URI has it. */
export function encodedKey(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/')
}

function metaDataOf(
  before: DeltaMetaData | undefined, { uuid: id, name, publishedMs }: TableSnapshot, schema: ReturnType<typeof deltaSchema>, version: number,
): DeltaMetaData {
  const { schemaString } = schema
  const maxColumnId = Math.max(before?.maxColumnId ?? 0, schema.maxColumnId)
  if (before !== undefined && before.name === name && before.schemaString === schemaString && before.maxColumnId === maxColumnId) return before
  return { id, name, schemaString, maxColumnId, createdTime: before?.createdTime ?? publishedMs, since: version }
}

function timelinesBefore(previous: DeltaRecord | undefined, timeline: number): DeltaRecord['before'] {
  if (previous === undefined) return []
  return [...previous.before, { timeline: previous.timeline, lsn: previous.lsn }].filter((at) => at.timeline !== timeline)
}

/** The file of the record's version: the version is there for readers once it is put, which is when no other object of this key is there. */
export function deltaCommit(record: DeltaRecord, { folder }: Pick<TableSnapshot, 'folder'>): StagedObject {
  return { key: logKey(folder, `${versionText(record.version)}.json`), bytes: utf8Encode([...commitLines(record), ''].join('\n')) }
}

/** Key of a file of the log. @param folder of the table */
export function logKey(folder: string, name: string): string {
  return `${folder}/_delta_log/${name}`
}

export function versionText(version: number): string {
  return String(version).padStart(20, '0')
}
