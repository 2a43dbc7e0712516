import type { ByteWriter } from '../../common/bytes.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { type Codec, ParseError } from '../codec.ts'
import { beginValue, endValue, newValueSlot, readValue, valueStart } from '../types/element.ts'
import { QuotedReader, quoteFrom, RANGE_QUOTING } from './quote.ts'

/*
 * The bounds of one range, shared by range and multirange (rangetypes.h): flags say which are there, values lie like tuple fields.
 *
 *   01 EMPTY   02 LB_INC   04 UB_INC   08 LB_INF   10 UB_INF   20 LB_NULL   40 UB_NULL   80 CONTAIN_EMPTY (only in GiST)
 *
 *   flags 02  [1,5)      flags 04  (1,5]      flags 08  (,5)      flags 18  (,)      flags 01  empty
 */
const RANGE_EMPTY = 0x01
const RANGE_LB_INC = 0x02
const RANGE_UB_INC = 0x04
const RANGE_LB_INF = 0x08
const RANGE_UB_INF = 0x10
const NO_LOWER = RANGE_EMPTY | RANGE_LB_INF | 0x20
const NO_UPPER = RANGE_EMPTY | RANGE_UB_INF | 0x40

const COMMA = 0x2c
const EMPTY_TEXT = [0x65, 0x6d, 0x70, 0x74, 0x79]

/** Bounds of one subtype, both ways. Parsing needs the subtype's parse. */
export class RangeBounds {
  readonly #subtype: Codec
  readonly #layout: AttributeLayout
  readonly #slot = newValueSlot()
  readonly #reader = new QuotedReader(RANGE_QUOTING)
  /** The flags of the range that was parsed last. */
  flags = 0

  constructor(subtype: Codec, layout: AttributeLayout) {
    this.#subtype = subtype
    this.#layout = layout
  }

  /** range_deparse: appends the text of a range whose bounds begin at `at`; gives the position behind them. */
  text(source: Uint8Array, origin: number, at: number, end: number, flags: number, out: ByteWriter): number {
    if (flags & RANGE_EMPTY) {
      out.ascii('empty')
      return at
    }
    let next = at
    out.ascii(flags & RANGE_LB_INC ? '[' : '(')
    if (!(flags & NO_LOWER)) next = this.#boundText(source, origin, next, end, out)
    out.u8(COMMA)
    if (!(flags & NO_UPPER)) next = this.#boundText(source, origin, next, end, out)
    out.ascii(flags & RANGE_UB_INC ? ']' : ')')
    return next
  }

  #boundText(source: Uint8Array, origin: number, at: number, end: number, out: ByteWriter): number {
    const slot = this.#slot
    const next = readValue(source, valueStart(source, origin, at, end, this.#layout), end, this.#layout.len, slot)
    const from = out.length
    this.#subtype.text(slot.bytes, slot.start, slot.end, out)
    quoteFrom(out, from, RANGE_QUOTING)
    return next
  }

  /** Appends the bounds of the range at `at`, sets `flags`, and gives the position behind the range. Throws ParseError. */
  parse(text: Uint8Array, at: number, end: number, origin: number, out: ByteWriter): number {
    if (isEmptyText(text, at, end)) {
      this.flags = RANGE_EMPTY
      return at + EMPTY_TEXT.length
    }
    let flags = bracket(text, at, end, 0x28, 0x5b, RANGE_LB_INC)
    const comma = this.#parseBound(text, at + 1, end, origin, out)
    if (comma === at + 1) flags |= RANGE_LB_INF
    if (comma >= end || text[comma] !== COMMA) throw new ParseError('no comma between the bounds of a range')
    const close = this.#parseBound(text, comma + 1, end, origin, out)
    flags |= bracket(text, close, end, 0x29, 0x5d, RANGE_UB_INC)
    if (close === comma + 1) flags |= RANGE_UB_INF
    this.flags = flags
    return close + 1
  }

  /** The position behind the range at `at`, without looking into its bounds. Throws ParseError. */
  skip(text: Uint8Array, at: number, end: number): number {
    if (isEmptyText(text, at, end)) return at + EMPTY_TEXT.length
    const comma = this.#reader.read(text, at + 1, end)
    return this.#reader.read(text, comma + 1, end) + 1
  }

  #parseBound(text: Uint8Array, at: number, end: number, origin: number, out: ByteWriter): number {
    const reader = this.#reader
    const next = reader.read(text, at, end)
    if (next === at) return at
    const begun = beginValue(out, origin, this.#layout)
    this.#subtype.parse!(reader.bytes, reader.start, reader.end, out)
    endValue(out, origin, begun, this.#layout)
    return next
  }
}

function isEmptyText(text: Uint8Array, at: number, end: number): boolean {
  return EMPTY_TEXT.every((byte, i) => at + i < end && text[at + i] === byte)
}

/** 0 for the exclusive bracket, `inclusive` for the other. */
function bracket(text: Uint8Array, at: number, end: number, round: number, square: number, inclusive: number): number {
  const byte = at < end ? text[at] : -1
  if (byte !== round && byte !== square) throw new ParseError('a range without its bracket')
  return byte === square ? inclusive : 0
}
