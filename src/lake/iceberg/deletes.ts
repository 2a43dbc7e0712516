import type { RowSet } from '../../columnar/filesummary.ts'
import { encodeBitmap, framedBitmap } from '../deletionvector.ts'
import type { ObjectNames, PublishedFile, TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
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

/** Rows of a data file that the delete file it had does not hide, or not all of them, or too many. */
interface NewDeletes {
  /** Key of the data file. */
  readonly key: string
  readonly hidden: RowSet
  readonly text: string
}

/** What hides the hidden rows of each file, by the file's key: the delete file that it has if its hidden rows are the same ones, else a new one. */
export function deleteFiles(files: readonly PublishedFile[], context: DeletesContext): { deletes: Map<string, OpenDeletes>; objects: StagedObject[] } {
  const deletes = new Map<string, OpenDeletes>()
  const changed: NewDeletes[] = []
  for (const { key, hidden } of files) {
    if (hidden.size === 0) continue
    const text = hiddenText(hidden)
    const old = context.before.get(key)?.deletes
    if (old?.hidden === text) deletes.set(key, old)
    else changed.push({ key, hidden, text })
  }
  if (changed.length === 0) return { deletes, objects: [] }
  return { deletes, objects: (context.formatVersion === 2 ? positionDeletes : deletionVectors)(changed, deletes, context) }
}

/** One object per data file. Its name ends in `.deletes`: readers of all files `*.parquet` must not read it. */
function positionDeletes(
  changed: readonly NewDeletes[], deletes: Map<string, OpenDeletes>, { table, names, sequence, snapshot }: DeletesContext,
): StagedObject[] {
  return changed.map(({ key: of, hidden, text }) => {
    const key = `${table.folder}/data/${names.name()}.deletes`
    const bytes = encodePositionDeletes(`${table.root}/${of}`, hidden)
    deletes.set(of, { key, bytes: bytes.length, rows: hidden.size, hidden: text, sequence, snapshot })
    return { key, bytes }
  })
}

/** One object for all of them. */
function deletionVectors(
  changed: readonly NewDeletes[], deletes: Map<string, OpenDeletes>, { table, names, sequence, snapshot, ltapVersion }: DeletesContext,
): StagedObject[] {
  const key = `${table.folder}/data/${names.name()}.puffin`
  const { bytes, places } = encodePuffin(
    changed.map(({ key: of, hidden }) => ({ bytes: framedBitmap(encodeBitmap(hidden)), rows: hidden.size, of: `${table.root}/${of}` })), ltapVersion)
  changed.forEach(({ key: of, hidden, text }, i) => {
    deletes.set(of, { key, bytes: bytes.length, rows: hidden.size, hidden: text, sequence, snapshot, blob: places[i]! })
  })
  return [{ key, bytes }]
}
