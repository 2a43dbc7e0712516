import { dataView } from '../../common/bytes.ts'
import { sha256 } from '../../common/sha256.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { TableSnapshot } from '../publishedtable.ts'
import { hasAll } from './hiddenset.ts'
import type { FormatVersion } from './manifest.ts'
import type { DataFileRecord, Operation } from './record.ts'

/** A positive number below 2^53 that no snapshot of `known` has: a hash of what is published, so that the same publication has the same one. */
export function snapshotId({ uuid, timeline, lsn }: TableSnapshot, version: number, known: ReadonlySet<number>): number {
  for (let attempt = 0; ; attempt++) {
    const view = dataView(sha256(utf8Encode([uuid, timeline, lsn, version, attempt].join(' '))))
    const id = view.getUint32(0) + (view.getUint32(4) >>> 11) * 2 ** 32
    if (id > 0 && !known.has(id)) return id
  }
}

/** Data files of the current snapshot against those of the next one. */
export interface FileChanges {
  readonly added: readonly DataFileRecord[]
  readonly removed: readonly DataFileRecord[]
  /** In both, with other hidden rows. */
  readonly changed: readonly ChangedFile[]
}

interface ChangedFile {
  readonly before: DataFileRecord
  readonly after: DataFileRecord
  /** Whether it is sure that each row that was hidden still is. */
  readonly isGrown: boolean
}

export function fileChanges(before: readonly DataFileRecord[], after: readonly DataFileRecord[], table: TableSnapshot): FileChanges {
  const known = new Map(before.map((file) => [file.key, file]))
  const stays = new Set(after.map(({ key }) => key))
  const hidden = new Map(table.files.map((file) => [file.key, file.hidden]))
  const changed = after.flatMap((file) => {
    const old = known.get(file.key)
    if (old === undefined || old.deletes?.key === file.deletes?.key && old.deletes?.hidden === file.deletes?.hidden) return []
    return [{ before: old, after: file, isGrown: hasAll(hidden.get(file.key)!, old.deletes?.hidden) }]
  })
  return { added: after.filter(({ key }) => !known.has(key)), removed: before.filter(({ key }) => !stays.has(key)), changed }
}

/**
 * What a snapshot says that it did (spec, "Snapshots"). Readers of changes build on it: `replace` has the rows that were visible before, `append` only
 * adds files that are read as a whole, `delete` only hides rows. Whatever is not sure is `overwrite`, at which they look. In version 3 a
 * `replace` keeps the row ids (spec, "Row Lineage"): rows that a merge moved have new ones, so they were deleted and inserted.
 */
export function operationOf({ added, removed, changed }: FileChanges, isMerge: boolean, formatVersion: FormatVersion): Operation {
  const visible = (files: readonly DataFileRecord[]): number => files.reduce((sum, { rows, deletes }) => sum + rows - (deletes?.rows ?? 0), 0)
  const rowsBefore = visible([...removed, ...changed.map(({ before }) => before)])
  const rowsAfter = visible([...added, ...changed.map(({ after }) => after)])
  if (isMerge && rowsBefore === rowsAfter && (formatVersion === 2 || added.length === 0)) return 'replace'
  if (removed.length === 0 && changed.length === 0 && added.every(({ deletes }) => deletes === undefined)) return 'append'
  return added.length === 0 && changed.every(({ isGrown }) => isGrown) ? 'delete' : 'overwrite'
}

/** The summary of a snapshot (spec, appendix F), without the operation. @param files of the snapshot */
export function summaryOf(
  files: readonly DataFileRecord[], { added, removed, changed }: FileChanges, table: TableSnapshot, ltapVersion: string,
): Record<string, string> {
  const addedDeletes = [...added, ...changed.map(({ after }) => after)].flatMap(({ deletes = [] }) => deletes)
  const removedDeletes = [...removed, ...changed.map(({ before }) => before)].flatMap(({ deletes = [] }) => deletes)
  const deletes = files.flatMap((file) => file.deletes ?? [])
  const counts = {
    'added-data-files': added.length, 'deleted-data-files': removed.length, 'added-records': rowsOf(added), 'deleted-records': rowsOf(removed),
    'added-delete-files': addedDeletes.length, 'removed-delete-files': removedDeletes.length,
    'added-position-deletes': rowsOf(addedDeletes), 'removed-position-deletes': rowsOf(removedDeletes),
    'added-files-size': bytesOf(added) + bytesOf(addedDeletes), 'removed-files-size': bytesOf(removed) + bytesOf(removedDeletes),
  }
  const totals = {
    'total-records': rowsOf(files), 'total-files-size': bytesOf(files) + bytesOf(deletes), 'total-data-files': files.length,
    'total-delete-files': deletes.length, 'total-position-deletes': rowsOf(deletes), 'total-equality-deletes': 0,
  }
  return Object.fromEntries([
    ...Object.entries(counts).filter(([, count]) => count > 0), ...Object.entries(totals),
    ['ltap.lsn', table.lsn], ['ltap.timeline', table.timeline], ...(table.time === undefined ? [] : [['ltap.time', table.time]]),
    ['engine-name', 'ltap'], ['engine-version', ltapVersion],
  ].map(([name, value]) => [name, String(value)]))
}

function rowsOf(files: readonly { readonly rows: number }[]): number {
  return files.reduce((sum, { rows }) => sum + rows, 0)
}

/** Bytes of files. A deletion vector is as long as its blob, since several are in one Puffin file. */
function bytesOf(files: readonly { readonly bytes: number; readonly blob?: { readonly length: number } }[]): number {
  return files.reduce((sum, { bytes, blob }) => sum + (blob?.length ?? bytes), 0)
}
