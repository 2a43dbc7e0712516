import { forEachAtMost } from '../../common/atonce.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { missingObject } from '../../engine/pagereader.ts'
import { isPacked, type LayerFile, type ParquetFile } from '../../lake/layer.ts'
import { type ColumnSize, readColumnSizes } from '../../parquet/columnsizes.ts'

/** Bytes of a column in the files of a table that have current pages. */
export interface ColumnBytes {
  /** Name at the top level of the files: that of the column when it was made; `_ltap`, `_overflow`. */
  name: string
  /** Bytes of its encoded pages before and after compression. */
  encoded: number
  compressed: number
}

const READS_AT_ONCE = 8
/** A footer is rarely longer. */
const TAIL_LENGTH = 64 << 10
/** Length of the magic and of the footer's length before it. */
const END_LENGTH = 8

/**
 * What footers say of columns, by one or two requests for the end of each file.
 * @returns undefined if a page of the table lies in a pack, which has no columns
 * @throws CorruptionError parquet.footer, lake.missing-object; EnvironmentError store.*
 */
export async function columnsOf(store: ObjectStore, files: readonly LayerFile[]): Promise<ColumnBytes[] | undefined> {
  if (files.some(isPacked)) return undefined
  const sums = new Map<string, ColumnBytes>()
  await forEachAtMost(READS_AT_ONCE, files as readonly ParquetFile[], async (file) => {
    for (const { path: [name], encoded, compressed } of await sizesOf(store, file)) {
      const sum = sums.get(name!) ?? { name: name!, encoded: 0, compressed: 0 }
      sum.encoded += encoded
      sum.compressed += compressed
      sums.set(name!, sum)
    }
  })
  return [...sums.values()]
}

async function sizesOf(store: ObjectStore, { key, bytes: size }: ParquetFile): Promise<ColumnSize[]> {
  const tail = await lastBytes(store, key, Math.min(size, TAIL_LENGTH))
  const length = tail.length < END_LENGTH ? 0 : new DataView(tail.buffer, tail.byteOffset).getUint32(tail.length - END_LENGTH, true) + END_LENGTH
  return readColumnSizes(length > tail.length && length <= size ? await lastBytes(store, key, length) : tail)
}

async function lastBytes(store: ObjectStore, key: string, last: number): Promise<Uint8Array> {
  const found = await store.get(key, { last })
  if (found === undefined) throw missingObject(store, key)
  return found.bytes
}
