import type { ToastPointer } from './toast.ts'

/** Where out-of-line values come from: a port, since the TOAST relation is another set of pages. */
export interface ToastSource {
  /**
   * The stored bytes of the value, all chunks joined, `pointer.extSize` bytes; undefined if chunks are missing or inconsistent,
   * which is normal for a dead tuple and corruption for a live one.
   */
  fetch(pointer: ToastPointer): Uint8Array | undefined
  /** Makes the chunks of these values ready for {@link fetch}, and forgets those of an earlier call. A source in memory has no such method. */
  prepare?(pointers: readonly ToastPointer[]): Promise<void>
}
