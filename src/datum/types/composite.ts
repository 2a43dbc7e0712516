import { type ByteWriter, readU16, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { checkTupleHeader } from '../../tuple/deform.ts'
import { bitmapLength, headerLength, SIZE_OF_TUPLE_HEADER, T_CTID, T_HOFF, T_INFOMASK, T_INFOMASK2 } from '../../tuple/header.ts'
import { HEAP_HASNULL, HEAP_HASVARWIDTH, HEAP_NATTS_MASK } from '../../tuple/infomask.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { ColumnField } from '../../vector/columntype.ts'
import { type CompositeHeader, PLAIN_COMPOSITE_HEADER } from '../typedef.ts'
import { beginValue, endValue, newValueSlot, readValue, type ValueSlot, valueStart } from './element.ts'
import { checkPayload } from './payload.ts'
import { QuotedReader, quoteFrom, ROW_QUOTING } from '../text/quote.ts'
import { textCodec } from '../text/textcodec.ts'
import type { StructVector } from '../../vector/vector.ts'

/*
 * A composite value is a heap tuple with DatumTupleFields in front (htup_details.h, rowtypes.c), positions from the 4-byte header:
 *
 *  0        4           8             12                  18          20         22     23
 *  +--------+-----------+-------------+-------------------+-----------+----------+------+--------------+---------
 *  | length | typmod -1 | type oid    | ctid ffffffff0000 | infomask2 | infomask | hoff | null bitmap… | data…
 *  +--------+-----------+-------------+-------------------+-----------+----------+------+--------------+---------
 *                                                           natts                         only with HEAP_HASNULL
 *
 * Dropped attributes keep their place and are null. Fields are packed as in a tuple and may be compressed, but never out of line.
 *
 *   (1,abc,2.5)   33-byte tuple of int4, text, float8     text (a,"b c",): nothing is null, "" is empty
 */
const DATUM_TYPMOD = 4
const DATUM_TYPEID = 8
/** Bits of t_infomask that follow from the attributes. */
const SHAPE_BITS = HEAP_HASNULL | HEAP_HASVARWIDTH

/** One attribute of a composite type, in attnum order. */
export interface CompositeCodecField {
  name: string
  layout: AttributeLayout
  /** Null for a dropped attribute. */
  codec: Codec | null
}

/**
 * Values of the composite type `oid`. The column is a struct of the live fields, or the canonical text without live fields, for Parquet
 * has no empty struct. A value with a field that overflows is null there and overflows as a whole.
 * @param header that encode and parse write @param onHeader told of the header of each value that is read
 */
export function compositeCodec(
  oid: Oid, fields: readonly CompositeCodecField[], header: CompositeHeader = PLAIN_COMPOSITE_HEADER, onHeader?: (found: CompositeHeader) => void,
): Codec {
  const form = new CompositeForm(oid, fields, header, onHeader)
  const codecs = form.live.map((attribute) => attribute.codec)
  const text: Codec['text'] = (source, start, end, out) => form.text(source, start, end, out)
  const parse: Codec['parse'] = (source, start, end, out) => form.parse(source, start, end, out)
  if (codecs.length === 0) return textCodec({ text, parse })
  const codec: Codec = {
    column: { kind: 'struct', fields: structFields(form.live) },
    overflows: codecs.some((field) => field.overflows),
    decode: (source, start, end, out) => form.decode(source, start, end, out as StructVector),
    text,
  }
  if (codecs.every((field) => field.encode)) codec.encode = (column, row, out) => form.encode(column as StructVector, row, out)
  if (codecs.every((field) => field.parse)) codec.parse = parse
  return codec
}

interface LiveAttribute {
  name: string
  codec: Codec
  layout: AttributeLayout
  /** attnum - 1. */
  index: number
}

/** Column names: of names that are equal but for case, all after the first get `_<attnum>`. */
function structFields(live: readonly LiveAttribute[]): ColumnField[] {
  const taken = new Set<string>()
  return live.map(({ name, codec, index }) => {
    let unique = name
    while (taken.has(unique.toLowerCase())) unique += `_${index + 1}`
    taken.add(unique.toLowerCase())
    return { name: unique, type: codec.column }
  })
}

class CompositeForm {
  readonly live: readonly LiveAttribute[]
  readonly #oid: Oid
  readonly #header: CompositeHeader
  readonly #onHeader: ((found: CompositeHeader) => void) | undefined
  readonly #layouts: readonly AttributeLayout[]
  readonly #slot = newValueSlot()
  readonly #reader = new QuotedReader(ROW_QUOTING)

  constructor(oid: Oid, fields: readonly CompositeCodecField[], header: CompositeHeader, onHeader: ((found: CompositeHeader) => void) | undefined) {
    this.#oid = oid
    this.#header = header
    this.#onHeader = onHeader
    this.#layouts = fields.map((field) => field.layout)
    this.live = fields.flatMap(({ name, codec, layout }, index) => (codec ? [{ name, codec, layout, index }] : []))
  }

  decode(source: Uint8Array, start: number, end: number, struct: StructVector): boolean {
    const tuple = this.#open(source, start, end)
    const { children } = struct
    for (let i = 0; i < this.live.length; i++) {
      const { codec, index } = this.live[i]!
      if (!tuple.advance(index)) {
        children[i]!.pushNull()
      } else if (!codec.decode(this.#slot.bytes, this.#slot.start, this.#slot.end, children[i]!)) {
        struct.abandon()
        struct.pushNull()
        return false
      }
    }
    struct.close()
    return true
  }

  encode(struct: StructVector, row: number, out: ByteWriter): void {
    const origin = out.length - 4
    this.#writeHeader(out, (i) => !struct.children[i]!.isNull(row))
    for (let i = 0; i < this.live.length; i++) {
      const child = struct.children[i]!
      if (child.isNull(row)) continue
      const { codec, layout } = this.live[i]!
      const begun = beginValue(out, origin, layout)
      codec.encode!(child, row, out)
      endValue(out, origin, begun, layout)
    }
  }

  text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const tuple = this.#open(source, start, end)
    out.ascii('(')
    for (let i = 0; i < this.live.length; i++) {
      if (i > 0) out.ascii(',')
      const { codec, index } = this.live[i]!
      if (!tuple.advance(index)) continue
      const from = out.length
      codec.text(this.#slot.bytes, this.#slot.start, this.#slot.end, out)
      quoteFrom(out, from, ROW_QUOTING)
    }
    out.ascii(')')
  }

  parse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const present: boolean[] = []
    this.#forEachField(text, start, end, (i, reader) => {
      present[i] = reader !== undefined
    })
    const origin = out.length - 4
    this.#writeHeader(out, (i) => present[i]!)
    this.#forEachField(text, start, end, (i, reader) => {
      if (!reader) return
      const { codec, layout } = this.live[i]!
      const begun = beginValue(out, origin, layout)
      codec.parse!(reader.bytes, reader.start, reader.end, out)
      endValue(out, origin, begun, layout)
    })
  }

  /** Visits the text of every live field, undefined for null. Throws ParseError unless there are exactly as many. */
  #forEachField(text: Uint8Array, start: number, end: number, visit: (i: number, reader: QuotedReader | undefined) => void): void {
    const reader = this.#reader
    let at = expect(text, start, end, 0x28)
    for (let i = 0; i < this.live.length; i++) {
      if (i > 0) at = expect(text, at, end, 0x2c)
      const next = reader.read(text, at, end)
      visit(i, next === at ? undefined : reader)
      at = next
    }
    if (expect(text, at, end, 0x29) !== end) throw new ParseError('junk after a row')
  }

  #open(source: Uint8Array, start: number, end: number): TupleCursor {
    checkPayload('composite', source, start, end)
    const size = end - start + 4
    if (size < SIZE_OF_TUPLE_HEADER) throw new CorruptionError('datum.composite', `${size - 4} bytes are no composite`)
    const origin = start - 4
    const stored = readU32(source, origin + DATUM_TYPEID)
    if (stored !== this.#oid) throw new CorruptionError('datum.composite', `a row of type ${stored} where type ${this.#oid} is declared`)
    const natts = readU16(source, origin + T_INFOMASK2) & HEAP_NATTS_MASK
    const hasNull = (readU16(source, origin + T_INFOMASK) & HEAP_HASNULL) !== 0
    const hoff = source[origin + T_HOFF]!
    checkTupleHeader(hoff, natts, hasNull, size)
    this.#onHeader?.(headerOf(source, origin))
    return new TupleCursor(source, origin, end, origin + hoff, natts, hasNull, this.#layouts, this.#slot)
  }

  #writeHeader(out: ByteWriter, isPresent: (live: number) => boolean): void {
    const natts = this.#layouts.length
    const bitmap = new Uint8Array(bitmapLength(natts))
    let present = 0
    let infomask = 0
    for (let i = 0; i < this.live.length; i++) {
      if (!isPresent(i)) continue
      const { index, layout } = this.live[i]!
      present++
      bitmap[index >> 3]! |= 1 << (index & 7)
      if (layout.len < 0) infomask |= HEAP_HASVARWIDTH
    }
    const hasNull = present < natts
    const origin = out.length - 4
    const { typmod, block, offset, infomask: bits } = this.#header
    out.u32(typmod)
    out.u32(this.#oid)
    // BlockIdData has the high half first.
    out.u16(block >>> 16)
    out.u16(block & 0xffff)
    out.u16(offset)
    out.u16(natts)
    out.u16(bits | (hasNull ? infomask | HEAP_HASNULL : infomask))
    out.u8(headerLength(natts, hasNull))
    if (hasNull) out.copy(bitmap)
    out.alignFrom(origin, 8)
  }
}

/** @param origin of the 4-byte header, whether the value was stored with one or not */
function headerOf(source: Uint8Array, origin: number): CompositeHeader {
  return {
    typmod: readU32(source, origin + DATUM_TYPMOD) | 0, block: readU16(source, origin + T_CTID) * 0x10000 + readU16(source, origin + T_CTID + 2),
    offset: readU16(source, origin + T_CTID + 4), infomask: readU16(source, origin + T_INFOMASK) & ~SHAPE_BITS,
  }
}

/** Steps through the attributes of one value, in attnum order. */
class TupleCursor {
  readonly #source: Uint8Array
  readonly #origin: number
  readonly #end: number
  readonly #natts: number
  readonly #hasNull: boolean
  readonly #layouts: readonly AttributeLayout[]
  readonly #slot: ValueSlot
  #at: number
  #next = 0

  constructor(
    source: Uint8Array, origin: number, end: number, data: number, natts: number, hasNull: boolean,
    layouts: readonly AttributeLayout[], slot: ValueSlot,
  ) {
    this.#source = source
    this.#origin = origin
    this.#end = end
    this.#at = data
    this.#natts = natts
    this.#hasNull = hasNull
    this.#layouts = layouts
    this.#slot = slot
  }

  /** Reads attribute `index`, beyond all read so far, into the slot; false if it is null or the value is older than the attribute. */
  advance(index: number): boolean {
    while (this.#next < index) this.#read(this.#next++)
    return this.#read(this.#next++)
  }

  #read(index: number): boolean {
    if (index >= this.#natts || this.#isNull(index)) return false
    const layout = this.#layouts[index]!
    const at = valueStart(this.#source, this.#origin, this.#at, this.#end, layout)
    this.#at = readValue(this.#source, at, this.#end, layout.len, this.#slot)
    return true
  }

  #isNull(index: number): boolean {
    return this.#hasNull && (this.#source[this.#origin + SIZE_OF_TUPLE_HEADER + (index >> 3)]! & (1 << (index & 7))) === 0
  }
}

function expect(text: Uint8Array, at: number, end: number, byte: number): number {
  if (at >= end || text[at] !== byte) throw new ParseError(`no '${String.fromCharCode(byte)}' in a row where there must be one`)
  return at + 1
}
