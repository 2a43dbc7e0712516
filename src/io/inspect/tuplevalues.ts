import type { Attribute, TupleDesc } from '../../catalog/tupledesc.ts'
import { ByteWriter, hexDecode, hexEncode } from '../../common/bytes.ts'
import { CorruptionError, withPosition } from '../../common/errors.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { utf8Decode } from '../../common/utf8.ts'
import type { Codec } from '../../datum/codec.ts'
import { codecFor } from '../../datum/registry.ts'
import { ATTR_ABSENT, ATTR_NULL, checkTupleHeader, deformTuple, newDeformedTuple } from '../../tuple/deform.ts'
import { SIZE_OF_TUPLE_HEADER, type TupleHeader } from '../../tuple/header.ts'
import { HEAP_HASNULL } from '../../tuple/infomask.ts'
import { decompress, readToastPointer } from '../../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart } from '../../tuple/varlena.ts'
import type { ToastSource } from '../../columnar/toastsource.ts'

interface Column {
  /** Position in the descriptor. */
  index: number
  attribute: Attribute
  codec: Codec
  missing: Uint8Array | undefined
}

export interface TupleText {
  /** Canonical text per column; undefined for NULL. */
  values: (string | undefined)[]
  /** Columns whose out-of-line value is gone; their value is `\x` and the TOAST pointer in hex. Only in dead tuples. */
  dangling: string[]
}

/** Tuples of one relation → the text of their values, as the type's output function writes it with the settings of ARCHITECTURE.md. */
export class TupleValues {
  /** Names of the columns: neither dropped nor virtual. */
  readonly names: readonly string[]
  private readonly attributes: readonly Attribute[]
  private readonly columns: readonly Column[]
  private readonly toast: () => ToastSource | undefined
  private readonly deformed
  private readonly text = new ByteWriter()

  /** @param toast called when the first out-of-line value is met */
  constructor({ desc, database }: { desc: TupleDesc | undefined; database: { encoding: number } }, major: PgMajor, toast: () => ToastSource | undefined) {
    const { attributes, types } = desc ?? { attributes: [], types: [] }
    const context = {
      major, profile: 'portable' as const, encoding: database.encoding, types: new Map(types.map((type) => [type.oid, type])), displayScale: 0,
    }
    this.attributes = attributes
    this.columns = attributes.flatMap((attribute, index) => (attribute.dropped || attribute.virtual ? [] : [{
      index, attribute, codec: codecFor(attribute.type, context),
      missing: attribute.missing === undefined ? undefined : hexDecode(attribute.missing),
    }]))
    this.names = this.columns.map(({ attribute }) => attribute.name)
    this.toast = toast
    this.deformed = newDeformedTuple(attributes.length)
  }

  /**
   * The values of the tuple at bytes[start .. end).
   * @param live its out-of-line values must be there
   * @throws CorruptionError tuple.*, datum.*, toast.*, compression.*, with the attribute
   */
  read(bytes: Uint8Array, start: number, end: number, header: TupleHeader, live: boolean): TupleText {
    const { natts, hoff, infomask } = header
    const hasNull = (infomask & HEAP_HASNULL) !== 0
    checkTupleHeader(hoff, natts, hasNull, end - start)
    if (natts > this.attributes.length) throw new CorruptionError('tuple.natts', `${natts} attributes, the table has ${this.attributes.length}`)
    const bits = hasNull ? start + SIZE_OF_TUPLE_HEADER : -1
    deformTuple(bytes, start, end, start + hoff, natts, bits, this.attributes, this.deformed)
    const dangling: string[] = []
    const values = this.columns.map((column) => withPosition({ attribute: column.attribute.name }, () => this.value(column, bytes, live, dangling)))
    return { values, dangling }
  }

  private value({ index, attribute, codec, missing }: Column, bytes: Uint8Array, live: boolean, dangling: string[]): string | undefined {
    const from = this.deformed.starts[index]!
    const to = this.deformed.ends[index]!
    if (from === ATTR_ABSENT && missing) return this.textOf(codec, missing, 0, missing.length)
    if (from === ATTR_ABSENT || from === ATTR_NULL) return undefined
    if (attribute.len === -2) return this.textOf(codec, bytes, from, to - 1)
    if (attribute.len !== -1) return this.textOf(codec, bytes, from, to)
    const first = bytes[from]!
    if (isExternal(first)) {
      const value = this.fetch(bytes, from, live)
      if (value) return this.textOf(codec, value, 0, value.length)
      dangling.push(attribute.name)
      return `\\x${hexEncode(bytes.subarray(from, to))}`
    }
    if (isCompressed(first)) {
      const value = decompress(bytes, from + 4, to)
      return this.textOf(codec, value, 0, value.length)
    }
    return this.textOf(codec, bytes, payloadStart(bytes, from), to)
  }

  private fetch(bytes: Uint8Array, at: number, live: boolean): Uint8Array | undefined {
    const pointer = readToastPointer(bytes, at)
    const stored = this.toast()?.fetch(pointer)
    const value = stored && pointer.compressed ? decompress(stored, 0, stored.length) : stored
    if (value?.length === pointer.rawSize) return value
    if (!live) return undefined
    const what = stored ? 'inconsistent chunks' : 'missing chunks'
    throw new CorruptionError('toast.value', `${what} of value ${pointer.valueId} in TOAST relation ${pointer.toastRelId}`)
  }

  private textOf(codec: Codec, source: Uint8Array, start: number, end: number): string {
    this.text.length = 0
    codec.text(source, start, end, this.text)
    return utf8Decode(this.text.bytes.subarray(0, this.text.length))
  }
}
