/** Heaps of gigabytes without waiting for a server to write them. */
import { chownSync, closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpOff } from '../../src/page/linepointer.ts'

export const SEGMENT_BLOCKS = 131072

/** Repeats the pages of a heap file of a stopped server without checksums, each copy's t_ctid pointing to itself, into segments. */
export function enlarge(file: string, blocks: number): void {
  const source = new Uint8Array(readFileSync(file))
  const owner = statSync(file)
  const pages = source.length / 8192
  let fd = -1
  for (let block = 0; block < blocks; block += pages) {
    for (let i = 0; i < pages; i++) renumber(source.subarray(i * 8192, (i + 1) * 8192), block + i)
    for (let at = block; at < Math.min(block + pages, blocks); ) {
      const segment = Math.floor(at / SEGMENT_BLOCKS)
      if (at % SEGMENT_BLOCKS === 0) {
        if (fd >= 0) closeSync(fd)
        const name = segment === 0 ? file : `${file}.${segment}`
        fd = openSync(name, 'w')
        chownSync(name, owner.uid, owner.gid)
      }
      const count = Math.min(block + pages, blocks, (segment + 1) * SEGMENT_BLOCKS) - at
      writeSync(fd, source, (at - block) * 8192, count * 8192)
      at += count
    }
  }
  closeSync(fd)
}

function renumber(page: Uint8Array, block: number): void {
  const view = new DataView(page.buffer, page.byteOffset, 8192)
  for (let offset = linePointerCount(page); offset > 0; offset--) {
    const item = linePointer(page, offset)
    if (lpFlags(item) !== LP_NORMAL) continue
    view.setUint16(lpOff(item) + 12, block >>> 16, true)
    view.setUint16(lpOff(item) + 14, block & 0xffff, true)
  }
}
