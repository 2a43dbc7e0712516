import type { RowSet } from '../../columnar/filesummary.ts'
import { encodeBitmap, framedBitmap } from '../deletionvector.ts'
import type { ObjectNames, PublishedFile, TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
import { tableFile } from '../tablefolder.ts'
import { hiddenText } from './hiddenset.ts'
import type { FormatVersion } from './manifest.ts'
import { encodePositionDeletes } from './positiondeletes.ts'
import { encodePuffin } from './puffin.ts'
import type { DataFileRecord, DeleteFileRecord } from './record.ts'

/** What is known of the delete files of a snapshot before they are written. */
export interface DeletesContext {
  readonly table: TableSnapshot
  /** Data files of the snapshot before, by key, if it is of the same format version. */
  readonly before: ReadonlyMap<string, DataFileRecord>
  readonly formatVersion: FormatVersion
  readonly ltapVersion: string
  readonly names: ObjectNames
  /** Id of the new snapshot. */
  readonly snapshot: number
  readonly sequence: number
}

/** A delete file; one that stays knows its manifest. */
export type OpenDeletes = Omit<DeleteFileRecord, 'manifest'> & { readonly manifest?: number }

/** What hides the hidden rows of each file, by the file's key: the delete file that it has if its hidden rows are the same ones, else a new one. */
export function deleteFiles(files: readonly PublishedFile[], context: DeletesContext): { deletes: Map<string, OpenDeletes>; objects: StagedObject[] } {
  const deletes = new Map<string, OpenDeletes>()
  const objects: StagedObject[] = []
  for (const { key, hidden } of files) {
    if (hidden.size === 0) continue
    const text = hiddenText(hidden)
    const old = context.before.get(key)?.deletes
    if (old?.hidden === text) {
      deletes.set(key, old)
      continue
    }
    const written = deleteObject(key, hidden, text, context)
    deletes.set(key, written.deletes)
    objects.push({ key: written.deletes.key, bytes: written.bytes })
  }
  return { deletes, objects }
}

/**
 * One object for each data file, of either version. A Puffin file could have the
 * vectors of many files, but PyIceberg 0.12 takes each vector that it finds in one, those that were replaced since, too.
 */
function deleteObject(of: string, hidden: RowSet, text: string, context: DeletesContext): { deletes: OpenDeletes; bytes: Uint8Array } {
  const { table: { root, folder }, formatVersion, names, sequence, snapshot, ltapVersion } = context
  const path = `${root}/${of}`
  const facts = { rows: hidden.size, hidden: text, sequence, snapshot }
  if (formatVersion === 2) {
    const bytes = encodePositionDeletes(path, hidden)
    return { deletes: { key: `${tableFile(folder, names.name())}.deletes`, bytes: bytes.length, ...facts }, bytes }
  }
  const { bytes, blob } = encodePuffin({ bytes: framedBitmap(encodeBitmap(hidden)), rows: hidden.size, of: path }, ltapVersion)
  return { deletes: { key: `${tableFile(folder, names.name())}.puffin`, bytes: bytes.length, ...facts, blob }, bytes }
}
