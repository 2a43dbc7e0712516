import { hexEncode } from '../../common/bytes.ts'
import { sha256 } from '../../common/sha256.ts'
import type { RowSet } from '../../columnar/filesummary.ts'
import { encodeBitmap, framedBitmap } from '../deletionvector.ts'
import type { ObjectNames, TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
import type { DeletionVector, DeltaFile } from './record.ts'
import { nameInPath, uuidBytes, vectorPath } from './vectorpath.ts'
import { z85Encode } from './z85.ts'

/** Longer bitmaps go into a file. */
const INLINE_BYTES_MAX = 2048
/** First byte of a file of deletion vectors. */
const FILE_VERSION = 1

type Hidden = Pick<DeltaFile, 'deletionVector' | 'sha256'>

/** Makes the deletion vectors of one version. Long ones share one file, `<folder>/<name>/deletion_vector_<uuid>.bin`. */
export class DeletionVectors {
  readonly #folder: string
  readonly #names: ObjectNames
  readonly #parts: Uint8Array[] = [Uint8Array.of(FILE_VERSION)]
  #length = 1
  #name: string | undefined

  constructor({ folder }: Pick<TableSnapshot, 'folder'>, names: ObjectNames) {
    this.#folder = folder
    this.#names = names
  }

  /** How the log says which rows of a file are hidden: as it is said in the version before if they are the same rows. */
  describe(rows: RowSet, before: Hidden | undefined): Hidden {
    if (rows.size === 0) return {}
    const bitmap = encodeBitmap(rows)
    const said = { sizeInBytes: bitmap.length, cardinality: rows.size }
    if (bitmap.length <= INLINE_BYTES_MAX) return { deletionVector: { storageType: 'i', pathOrInlineDv: z85Encode(padded(bitmap)), ...said } }
    const digest = hexEncode(sha256(bitmap))
    if (before?.sha256 === digest) return { deletionVector: before.deletionVector!, sha256: digest }
    return { deletionVector: { storageType: 'u', ...this.#add(bitmap), ...said }, sha256: digest }
  }

  #add(bitmap: Uint8Array): { pathOrInlineDv: string; offset: number } {
    this.#name ??= this.#names.name()
    const offset = this.#length
    const part = framedBitmap(bitmap)
    this.#parts.push(part)
    this.#length += part.length
    return { pathOrInlineDv: vectorPath(this.#name), offset }
  }

  /** The file, if the version needs one. */
  objects(): StagedObject[] {
    if (this.#name === undefined) return []
    const bytes = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return [{ key: fileKey(this.#folder, this.#name), bytes }]
  }
}

/** Key of the file that a deletion vector is in; undefined for one in the log itself. @param folder of the table */
function vectorKey(folder: string, vector: DeletionVector): string | undefined {
  return vector.storageType === 'i' ? undefined : fileKey(folder, nameInPath(vector.pathOrInlineDv))
}

/** Keys of the files that deletion vectors are in. @param folder of the table */
export function vectorKeys(files: readonly Pick<DeltaFile, 'deletionVector'>[], { folder }: Pick<TableSnapshot, 'folder'>): string[] {
  const keys = files.map(({ deletionVector }) => deletionVector && vectorKey(folder, deletionVector))
  return [...new Set(keys.filter((key) => key !== undefined))]
}

function fileKey(folder: string, name: string): string {
  const hex = hexEncode(uuidBytes(name))
  return `${folder}/${name}/deletion_vector_${[0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1])).join('-')}.bin`
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array((bytes.length + 3) & ~3)
  whole.set(bytes)
  return whole
}
