/** Damage to heap pages, from single bits to lying counts; seeded, so that a page can be damaged the same way again. */
import { writeFileSync } from 'node:fs'
import { pageChecksum } from '../../src/page/checksum.ts'
import type { Random } from './random.ts'

type Damage = (page: Uint8Array, view: DataView, dice: Random) => void

const EDGES = [
  0, 1, 2, 3, 4, 5, 7, 8, 0x12, 0x1f, 0x7f, 0x80, 0xff, 0x100, 0x7ff, 0x1fff, 0x2000, 0x3fff, 0x7fff, 0x8000, 0xffff, 0x10000, 0xfffffff,
  0x10000001, 0x20000001, 0x3fffffff, 0x40000000, 0x50000000, 0x7fffffff, 0x80000000, 0x8fffffff, 0xc0000000, 0xfffffffc, 0xffffffff,
]

/** Where the pieces of the page are that a reader trusts. */
function pointers(view: DataView): number {
  return Math.min(Math.max((view.getUint16(12, true) - 24) >> 2, 0), 2042)
}

/** A NORMAL item with its bounds, if the dice find one. */
function someTuple(view: DataView, dice: Random): { off: number; len: number } | undefined {
  const count = pointers(view)
  for (let attempt = 0; attempt < 8 && count > 0; attempt++) {
    const word = view.getUint32(24 + dice.int(count) * 4, true)
    const off = word & 0x7fff
    const len = word >>> 17
    if (((word >>> 15) & 3) === 1 && len >= 24 && off + len <= 8192) return { off, len }
  }
  return undefined
}

const flipBit: Damage = (page, _, dice) => {
  page[dice.int(8192)]! ^= 1 << dice.int(8)
}

const flipTupleBit: Damage = (page, view, dice) => {
  const tuple = someTuple(view, dice)
  if (tuple) page[tuple.off + dice.int(tuple.len)]! ^= 1 << dice.int(8)
}

const overwrite: Damage = (page, _, dice) => {
  const at = dice.int(8192)
  const end = Math.min(8192, at + 1 + dice.int(dice.pick([4, 64, 512, 8192])))
  const kind = dice.int(3)
  for (let i = at; i < end; i++) page[i] = kind === 0 ? 0 : kind === 1 ? 0xff : dice.next()
}

const moveBytes: Damage = (page, _, dice) => {
  const size = 1 + dice.int(dice.pick([8, 64, 2048]))
  const from = dice.int(8192 - size)
  page.copyWithin(dice.int(8192 - size), from, from + size)
}

const linePointer: Damage = (_, view, dice) => {
  const at = 24 + dice.int(pointers(view)) * 4
  const word = view.getUint32(at, true)
  const otherLength = (word & 0x1ffff) | (dice.int(8192) << 17)
  const otherOffset = (word & ~0x7fff) | (dice.int(1024) * 8)
  view.setUint32(at, dice.pick([dice.next(), word ^ (1 << dice.int(32)), otherLength, otherOffset]) >>> 0, true)
}

/** Every line pointer leads to one tuple, the longest there may be. */
const samePointers: Damage = (_, view, dice) => {
  const tuple = someTuple(view, dice)
  if (!tuple) return
  const count = Math.min(pointers(view) + dice.int(2000), (tuple.off - 24) >> 2)
  const len = dice.pick([tuple.len, 8192 - tuple.off])
  for (let i = 0; i < count; i++) view.setUint32(24 + i * 4, (tuple.off | (1 << 15) | (len << 17)) >>> 0, true)
  view.setUint16(12, 24 + count * 4, true)
}

const pageHeader: Damage = (_, view, dice) => {
  const at = dice.pick([10, 12, 14, 16, 18, 20])
  view.setUint16(at, dice.pick([...EDGES, 24, 25, 28, 8184, 8191, 8192, 8193, dice.next()]) & 0xffff, true)
}

const tupleHeader: Damage = (page, view, dice) => {
  const tuple = someTuple(view, dice)
  if (!tuple) return
  const { off } = tuple
  switch (dice.int(4)) {
    case 0:
      page[off + 22] = dice.pick([0, 8, 16, 23, 24, 25, 32, 40, 48, 64, 128, 248, 255, dice.next()])
      break
    case 1:
      view.setUint16(off + 18, dice.pick([...EDGES, dice.next(), view.getUint16(off + 18, true) + 1]) & 0xffff, true)
      break
    case 2:
      view.setUint16(off + 20, dice.next() & 0xffff, true)
      break
    default:
      view.setUint32(off + dice.int(5) * 4, dice.pick([...EDGES, dice.next()]), true)
  }
}

/** A length, count, dimension, offset or digit that lies: an edge value somewhere in the data. */
const lie: Damage = (page, view, dice) => {
  const tuple = someTuple(view, dice)
  if (!tuple || tuple.len < 32) return
  const at = tuple.off + 23 + dice.int(tuple.len - 27)
  const value = dice.pick(EDGES)
  const size = dice.pick([1, 2, 4, 4])
  for (let i = 0; i < size; i++) page[at + i] = value >>> (8 * i)
}

/** A varlena header that lies: long, compressed or out of line, of edge lengths. */
const varlena: Damage = (page, view, dice) => {
  const tuple = someTuple(view, dice)
  if (!tuple || tuple.len < 40) return
  const at = tuple.off + 24 + (dice.int(tuple.len - 32) & (dice.int(2) ? ~3 : ~0))
  const left = tuple.off + tuple.len - at
  const length = dice.pick([0, 1, 3, 4, 5, 8, 9, left - 1, left, left + 1, 0x3fffffff])
  if (dice.int(3) === 0) page[at] = ((length & 0x7f) << 1) | 1
  else view.setUint32(at, ((length << 2) | dice.pick([0, 2])) >>> 0, true)
  const rawSize = dice.pick([left, left * 50, left * 299, 0x3fffffff])
  if (dice.int(3) === 0) view.setUint32(at + 4, (rawSize | (dice.int(4) << 30)) >>> 0, true)
  if (dice.int(8) === 0) page.set([1, dice.pick([18, 18, 18, 1, 2, 3, 0])], at)
}

const DAMAGES: readonly Damage[] = [
  flipBit, flipTupleBit, flipTupleBit, overwrite, moveBytes, linePointer, samePointers, pageHeader, tupleHeader, tupleHeader,
  lie, lie, lie, varlena, varlena,
]

/** One to three kinds of damage to a copy of the page, 8-byte aligned. */
export function damagePage(page: Uint8Array, dice: Random): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(8192)
  copy.set(page)
  const view = new DataView(copy.buffer)
  for (let left = dice.pick([1, 1, 1, 2, 3]); left > 0; left--) dice.pick(DAMAGES)(copy, view, dice)
  return copy
}

/** Writes pages whose checksums are right, whatever else is wrong. */
export function writeChecked(file: string, bytes: Uint8Array): void {
  for (let block = 0; block < bytes.length / 8192; block++) {
    const page = bytes.subarray(block * 8192, (block + 1) * 8192)
    if (page.some((byte) => byte !== 0)) new DataView(page.buffer, page.byteOffset).setUint16(8, pageChecksum(page, block), true)
  }
  writeFileSync(file, bytes)
}
