import type { ToastSource } from '../../tuple/toastsource.ts'
import { bytesEqual } from '../../common/bytes.ts'
import type { Oid } from '../../common/ids.ts'
import { TOAST_MAX_CHUNK_SIZE, type ToastPointer } from '../../tuple/toast.ts'
import type { ToastReader } from '../../columnar/toastreader.ts'
import type { VersionSpill } from './versionspill.ts'

/**
 * Out-of-line values of any time of a range: from the TOAST relation as it is at the end, and from chunks that vanished before. Value ids come from
 * the oid counter of the whole cluster. If a value id means two values, it cannot be used, and both count as missing.
 */
export class HistoryToast implements ToastSource {
  private readonly relationIds: ReadonlySet<Oid>
  private readonly reader: ToastReader | undefined
  private readonly spill: VersionSpill

  /**
   * @param relationIds TOAST relations that the table had
   * @param reader of the one it has
   */
  constructor(relationIds: ReadonlySet<Oid>, reader: ToastReader | undefined, spill: VersionSpill) {
    this.relationIds = relationIds
    this.reader = reader
    this.spill = spill
  }

  fetch(pointer: ToastPointer): Uint8Array | undefined {
    if (!this.relationIds.has(pointer.toastRelId)) return undefined
    const found = this.reader?.fetch(pointer)
    if (found !== undefined) return found
    const chunks = Math.ceil(pointer.extSize / TOAST_MAX_CHUNK_SIZE)
    // The length in a damaged pointer may be wrong: memory is taken only for chunks that exist.
    if (this.spill.chunkCount(pointer.valueId) + (this.reader?.chunkCount(pointer) ?? 0) < chunks || chunks === 0) return undefined
    const value = new Uint8Array(pointer.extSize)
    const seen = new Uint8Array(chunks)
    let missing = chunks
    for (const chunk of this.spill.chunksOf(pointer.valueId)) {
      const at = chunk.seq * TOAST_MAX_CHUNK_SIZE
      if (chunk.seq < 0 || chunk.seq >= chunks || chunk.bytes.length !== Math.min(TOAST_MAX_CHUNK_SIZE, value.length - at)) return undefined
      if (seen[chunk.seq] === 1) {
        if (!bytesEqual(chunk.bytes, value.subarray(at, at + chunk.bytes.length))) return undefined
        continue
      }
      value.set(chunk.bytes, at)
      seen[chunk.seq] = 1
      missing--
    }
    if (missing > 0) missing -= this.reader?.fill(pointer, value, seen) ?? 0
    return missing === 0 ? value : undefined
  }
}
