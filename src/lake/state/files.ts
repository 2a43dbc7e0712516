import * as v from 'valibot'
import { CorruptionError } from '../../common/errors.ts'
import { exactly, integer, type Schema } from '../../common/validate.ts'
import { type EntryKey, parseEntry } from './entries.ts'
import { PIECE_REF, type PieceRef, shortText } from './page.ts'

/**
 * What stands at a path of the data directory and is no relation's pages: pg_control, pg_xact, relation maps, configuration, … as it was found.
 * A folder has an entry of its own, since a server needs empty ones, too.
 */
export type ClusterFile =
  | { readonly kind: 'file', /** Permission bits. */ readonly mode: number, /** Its bytes; absent for a file without any. */ readonly content?: PieceRef }
  | { readonly kind: 'link', readonly target: string }
  | { readonly kind: 'folder', readonly mode: number }

const mode = integer(0, 0o7777)
const FILE: Schema<ClusterFile> = v.variant('kind', [
  v.strictObject({ kind: exactly('file'), mode, content: v.exactOptional(PIECE_REF) }),
  v.strictObject({ kind: exactly('link'), target: shortText }),
  v.strictObject({ kind: exactly('folder'), mode }),
])

/** @param path relative to the data directory, `/` between names; any bytes of it beyond plain ones are %XX in the key */
export function fileKey(path: string): EntryKey {
  return { tree: 'files', key: encodeURIComponent(path).replaceAll('%2F', '/') }
}

/** The path that {@link fileKey} was given. @throws CorruptionError lake.state for a key that it does not make */
export function filePath({ key }: Pick<EntryKey, 'key'>): string {
  try {
    const path = decodeURIComponent(key)
    if (fileKey(path).key === key) return path
  } catch (error) {
    if (!(error instanceof URIError)) throw error
  }
  throw new CorruptionError('lake.state', `the entry ${key} of files is damaged: its key names no file`)
}

/** @throws CorruptionError lake.state with the member */
export function parseFile(value: unknown, entry: EntryKey): ClusterFile {
  return parseEntry(FILE, value, entry)
}
