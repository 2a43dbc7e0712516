import { alignUp, type ByteWriter, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { type Codec, ParseError } from '../codec.ts'
import { checkPayload } from './payload.ts'
import { RangeBounds } from '../text/rangebounds.ts'
import { type TextForm, textCodec } from '../text/textcodec.ts'

/*
 * MultirangeType (multirangetypes.c, write_multirange_data), positions from the 4-byte header
 *
 *  4                8         12             12+4(n-1)
 *  +----------------+---------+--------------+-----------+---------+----------------------------------
 *  | multirange oid | count n | items ×(n-1) | flags ×n  | padding | bounds of each range, padded...
 *  +----------------+---------+--------------+-----------+---------+----------------------------------
 *
 * Item j tells where range j+1 begins: the length of range j, but if j+1 is a multiple of 4 bit 31 and the distance from the first
 * bounds. Bounds and padding are those of the subtype's alignment; flags as in a range. No range has no items, and is padded too.
 */
const HEADER = 8
const ITEM_OFFSET_STRIDE = 4
const ITEM_OFF_BIT = 0x80000000

const OPEN = 0x7b
const COMMA = 0x2c
const CLOSE = 0x7d

/** Multiranges of type `oid` over `subtype`, whose values lie in them by `layout`. */
export function multirangeCodec(subtype: Codec, layout: AttributeLayout, oid: Oid): Codec {
  const form = new MultirangeForm(subtype, layout, oid)
  const both: TextForm = { text: (source, start, end, out) => form.text(source, start, end, out) }
  if (subtype.parse) both.parse = (text, start, end, out) => form.parse(text, start, end, out)
  return textCodec(both)
}

class MultirangeForm {
  readonly #bounds: RangeBounds
  readonly #align: number
  readonly #oid: Oid

  constructor(subtype: Codec, layout: AttributeLayout, oid: Oid) {
    this.#bounds = new RangeBounds(subtype, layout)
    this.#align = layout.align
    this.#oid = oid
  }

  text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const count = this.#count(source, start, end)
    const items = start + HEADER
    const flags = items + 4 * Math.max(count - 1, 0)
    const origin = start - 4
    const begin = origin + alignUp(flags + count - origin, this.#align)
    let at = begin
    let previous = begin
    out.u8(OPEN)
    for (let i = 0; i < count; i++) {
      if (i > 0) {
        out.u8(COMMA)
        const item = readU32(source, items + 4 * (i - 1))
        const claimed = item >= ITEM_OFF_BIT ? begin + (item - ITEM_OFF_BIT) : previous + item
        // A server finds the ranges by the items. No server writes items that disagree with the bounds themselves.
        if (claimed !== at) throw corrupt(`range ${i} is said to begin at ${claimed - begin}, but begins at ${at - begin}`)
        previous = at
      }
      const next = this.#bounds.text(source, origin, at, end, source[flags + i]!, out)
      at = origin + alignUp(next - origin, this.#align)
    }
    out.u8(CLOSE)
  }

  #count(source: Uint8Array, start: number, end: number): number {
    checkPayload('multirange', source, start, end)
    const size = end - start
    if (size < HEADER) throw corrupt(`${size} bytes are no multirange`)
    const stored = readU32(source, start)
    if (stored !== this.#oid) throw corrupt(`a multirange of type ${stored} where type ${this.#oid} is declared`)
    const count = readU32(source, start + 4)
    if (HEADER + 4 * Math.max(count - 1, 0) + count > size) throw corrupt(`${count} ranges in ${size} bytes`)
    return count
  }

  parse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const count = this.#skim(text, start, end)
    const origin = out.length - 4
    out.u32(this.#oid)
    out.u32(count)
    const items = out.length
    out.zeros(4 * Math.max(count - 1, 0))
    const flags = out.length
    out.zeros(count)
    out.alignFrom(origin, this.#align)
    const begin = out.length
    let previous = begin
    let at = start + 1
    for (let i = 0; i < count; i++) {
      if (i > 0) {
        const isOffset = i % ITEM_OFFSET_STRIDE === 0
        out.setU32(items + 4 * (i - 1), isOffset ? (out.length - begin + ITEM_OFF_BIT) | 0 : out.length - previous)
        previous = out.length
      }
      at = this.#bounds.parse(text, at, end - 1, origin, out) + 1
      out.bytes[flags + i] = this.#bounds.flags
      out.alignFrom(origin, this.#align)
    }
  }

  /** Counts the ranges; throws ParseError unless they are separated by commas and in braces. */
  #skim(text: Uint8Array, start: number, end: number): number {
    if (end - start < 2 || text[start] !== OPEN || text[end - 1] !== CLOSE) throw new ParseError('a multirange without its braces')
    if (end - start === 2) return 0
    let count = 1
    let at = this.#bounds.skip(text, start + 1, end - 1)
    for (; at < end - 1; count++) {
      if (text[at] !== COMMA) throw new ParseError('ranges without a comma between them')
      at = this.#bounds.skip(text, at + 1, end - 1)
    }
    if (at !== end - 1) throw new ParseError('a range without an end')
    return count
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.multirange', reason)
}
