import type { ToastPointer } from './toast.ts'

/** Where out-of-line values come from: a port, since the TOAST relation is another set of pages. */
export interface ToastSource {
  /**
   * The stored bytes of the value, all chunks joined, `pointer.extSize` bytes; undefined if chunks are missing or inconsistent,
   * which is normal life for a dead tuple and corruption for a live one.
   */
  fetch(pointer: ToastPointer): Uint8Array | undefined
  /** Gets ready what {@link fetch} needs for these. A source whose chunks are at hand has no such method. It ends what an earlier call got ready. */
  prepare?(pointers: readonly ToastPointer[]): Promise<void>
}
