/** How a forger changes bytes, and members of JSON. */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { crc32cUpdate } from '../../src/common/crc32c.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../src/page/linepointer.ts'
import { CANARIES } from './forge.ts'
import type { Random } from './random.ts'

const ODD_WORDS = [0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 1663, 16384]

/** One to four bits, bytes, halves or words of bytes[from .. to). */
export function changeWords(bytes: Uint8Array, from: number, to: number, dice: Random): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let left = dice.pick([1, 1, 2, 4]); left > 0; left--) {
    const at = from + dice.int(to - from)
    switch (dice.int(4)) {
      case 0:
        bytes[at]! ^= 1 << dice.int(8)
        break
      case 1:
        bytes[at] = dice.int(256)
        break
      case 2:
        if ((at & ~3) + 4 <= to) view.setUint32(at & ~3, dice.pick(ODD_WORDS), true)
        break
      default:
        if ((at & ~1) + 2 <= to) view.setUint16(at & ~1, dice.pick([0, 1, 0x7fff, 0x8000, 0xffff, 0xfffe, dice.int(0x10000)]), true)
    }
  }
}

/** A tuple of a page before and after the change: bytes from its header on. */
export interface ChangedTuple {
  before: Uint8Array
  after: Uint8Array
}

export interface TupleChange {
  /** Its line pointer, else any. */
  offset?: number
  /** How many bytes of its values at most. */
  reach?: number
  /** Put into its values now and then. */
  words?: Uint8Array
}

/** Changes a tuple of a heap page, its header now and then. @returns undefined for a page without a tuple */
export function changeTuple(page: Uint8Array, block: number, dice: Random, { offset = 0, reach = BLOCK_SIZE, words }: TupleChange = {}): ChangedTuple | undefined {
  const count = linePointerCount(page)
  if (count === 0 || count > 2000) return undefined
  const word = linePointer(page, offset || 1 + dice.int(count))
  if (lpFlags(word) !== LP_NORMAL || lpLen(word) < 24) return undefined
  const [start, end] = [lpOff(word), lpOff(word) + lpLen(word)]
  const before = page.slice(start, end)
  const values = start + Math.min(page[start + 22]!, lpLen(word) - 1)
  if (words !== undefined && dice.int(4) === 0) page.set(words, values + (dice.int(end - values - words.length) & ~3))
  else changeWords(page, dice.int(8) === 0 ? start : values, Math.min(end, values + reach), dice)
  sealPage(page, block)
  return { before, after: page.slice(start, end) }
}

/** The page's checksum is right again; a cluster without page checksums has zeros there. */
function sealPage(page: Uint8Array, block: number): void {
  const view = new DataView(page.buffer, page.byteOffset)
  if (view.getUint16(8, true) !== 0) view.setUint16(8, pageChecksum(page, block), true)
}

/** The file's bytes become these, without a new file: blocks that changed, or all. */
export function writeInPlace(file: string, bytes: Uint8Array, blocks?: ReadonlySet<number>): void {
  const fd = openSync(file, 'r+')
  try {
    if (blocks === undefined) {
      writeSync(fd, bytes, 0, bytes.length, 0)
      if (fstatSync(fd).size !== bytes.length) ftruncateSync(fd, bytes.length)
    } else {
      for (const block of blocks) writeSync(fd, bytes, block * BLOCK_SIZE, BLOCK_SIZE, block * BLOCK_SIZE)
    }
  } finally {
    closeSync(fd)
  }
}

/** A record's CRC is of what follows its header, then of the header up to the CRC. */
export function sealRecord(record: Uint8Array): void {
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  view.setUint32(20, (crc32cUpdate(crc32cUpdate(-1, view, 24, record.length), view, 0, 20) ^ -1) >>> 0, true)
}

/** One or two members replaced by a canary, by a member of another place, or by a number nearby. */
export function forgedJson(value: unknown, dice: Random): string {
  const mark = '@canary@'
  const places = [...placesOf(value)]
  const [holder, key] = dice.pick(places)
  const original = holder[key]
  switch (dice.int(5)) {
    case 0: {
      const [other, otherKey] = dice.pick(places)
      holder[key] = structuredClone(other[otherKey])
      break
    }
    case 1:
      if (typeof original === 'number') holder[key] = original + dice.pick([-1, 1, 8, -8, 0x10000])
      else if (typeof original === 'string') holder[key] = original.slice(0, dice.int(original.length + 1))
      else delete holder[key]
      break
    case 2:
      if (Array.isArray(original)) original.push(...(structuredClone(original) as unknown[]))
      else holder[`${key}2`] = original
      break
    default:
      holder[key] = mark
  }
  const canary = dice.pick(CANARIES)
  return JSON.stringify(value).replace(`"${mark}"`, () => canary)
}

function* placesOf(value: unknown): Iterable<[holder: Record<string, unknown>, key: string]> {
  if (value === null || typeof value !== 'object') return
  const holder = value as Record<string, unknown>
  for (const key of Object.keys(holder)) {
    yield [holder, key]
    yield* placesOf(holder[key])
  }
}
