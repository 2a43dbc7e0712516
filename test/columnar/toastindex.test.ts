import { expect, test } from 'vitest'
import { buildToastIndex } from '../../src/columnar/toastindex.ts'
import { ToastReader } from '../../src/columnar/toastreader.ts'
import { MemoryPages } from '../../src/page/pagesource.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'
import { MemorySlru } from '../../src/replay/memoryslru.ts'

const TOAST_RELATION = 16390
const FROZEN = 0x0b00
/** HEAP_XMAX_INVALID and no hint of xmin. */
const NO_HINT = 0x0800

interface Chunk {
  valueId: number
  xmin: number
  infomask: number
}

/** A page of a TOAST relation, one chunk of 40 bytes for each. */
function toastPage(chunks: readonly Chunk[]): Uint8Array {
  const page = new Uint8Array(8192)
  const view = new DataView(page.buffer)
  const length = 24 + 8 + 44
  for (const [i, { valueId, xmin, infomask }] of chunks.entries()) {
    const at = 8192 - 80 * (i + 1)
    view.setUint32(24 + i * 4, at | (1 << 15) | (length << 17), true)
    view.setUint32(at, xmin, true)
    view.setUint16(at + 16, i + 1, true)
    view.setUint16(at + 18, 3, true)
    view.setUint16(at + 20, infomask, true)
    page[at + 22] = 24
    view.setUint32(at + 24, valueId, true)
    view.setUint32(at + 32, 44 << 2, true)
    page.fill(valueId & 0xff, at + 36, at + 76)
  }
  view.setUint16(12, 24 + chunks.length * 4, true)
  view.setUint16(14, 8192 - 80 * chunks.length, true)
  view.setUint16(16, 8192, true)
  view.setUint16(18, 8192 | 4, true)
  return page
}

function snapshot(): Snapshot {
  const multixacts = new MultiXacts({ offsets: new MemorySlru(), members: new MemorySlru(), oldestMulti: 1, nextMulti: 1, nextMultiOffset: 0 })
  return new Snapshot({ clog: new MemorySlru(), multixacts, nextXid: { low: 1000, epoch: 0 }, oldestXid: 700, prepared: new Set() })
}

test.each([['was never assigned', 5000], ['is truncated away', 600], ['has lost its status', 800]])(
  'a chunk whose transaction %s costs neither itself nor its neighbours', (_, xmin) => {
    const chunks = [{ valueId: 1, xmin: 3, infomask: FROZEN }, { valueId: 2, xmin, infomask: NO_HINT }, { valueId: 3, xmin: 3, infomask: FROZEN }]
    const pages = new MemoryPages(toastPage(chunks))
    const toast = new ToastReader(TOAST_RELATION, pages, buildToastIndex(pages, snapshot()))
    for (const { valueId } of chunks) {
      const value = toast.fetch({ rawSize: 40, extSize: 40, compressed: false, valueId, toastRelId: TOAST_RELATION })
      expect([...value ?? []], String(valueId)).toEqual(new Array(40).fill(valueId))
    }
  })
