import { CorruptionError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import type { ToastPointer } from '../tuple/toast.ts'

interface Chunk {
  id: Oid
  sequence: number
  data: Uint8Array
}

/** Chunks of a small TOAST relation, a catalog's, by chunk_id. */
export function chunksByValue(chunks: readonly Chunk[]): Map<Oid, Chunk[]> {
  const values = new Map<Oid, Chunk[]>()
  for (const chunk of chunks) {
    const value = values.get(chunk.id)
    if (value) value.push(chunk)
    else values.set(chunk.id, [chunk])
  }
  return values
}

/** The stored bytes of an out-of-line value. @throws CorruptionError toast.missing-chunk */
export function storedValue(chunks: readonly Chunk[] | undefined = [], { valueId, extSize }: ToastPointer): Uint8Array {
  const ordered = [...chunks].sort((a, b) => a.sequence - b.sequence)
  const length = ordered.reduce((sum, { data }) => sum + data.length, 0)
  if (length !== extSize || ordered.some(({ sequence }, i) => sequence !== i)) {
    throw new CorruptionError('toast.missing-chunk', `value ${valueId} has ${length} bytes in ${ordered.length} chunks, its pointer says ${extSize}`)
  }
  const stored = new Uint8Array(length)
  let at = 0
  for (const { data } of ordered) {
    stored.set(data, at)
    at += data.length
  }
  return stored
}
