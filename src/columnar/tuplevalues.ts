import type { Attribute, TupleDesc } from '../catalog/tupledesc.ts'
import { ByteWriter, hexDecode, hexEncode } from '../common/bytes.ts'
import { CorruptionError, UnsupportedError, withPosition } from '../common/errors.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { utf8Decode } from '../common/utf8.ts'
import type { Codec } from '../datum/codec.ts'
import { codecFor } from '../datum/registry.ts'
import { ATTR_ABSENT, ATTR_NULL, checkTupleHeader, deformTuple, newDeformedTuple } from '../tuple/deform.ts'
import { SIZE_OF_TUPLE_HEADER, type TupleHeader } from '../tuple/header.ts'
import { HEAP_HASNULL } from '../tuple/infomask.ts'
import { decompress, readToastPointer } from '../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart } from '../tuple/varlena.ts'
import type { ToastSource } from '../tuple/toastsource.ts'

interface Column {
  /** Position in the descriptor. */
  index: number
  attribute: Attribute
  codec: Codec
  missing: Uint8Array | undefined
}

/** What is wrong with one value; its attribute is in the position. */
export type ValueError = CorruptionError | UnsupportedError

/** What becomes of a tuple if one of its values cannot be read. */
export interface ValueRules {
  /** A value that its type's codec does not accept: its bytes as `\x…`, or the error ends the tuple, which may be of another form of the table. */
  unreadable: 'hex' | 'error'
  /** A value whose TOAST chunks are missing: its pointer as `\x…`, or the error ends the tuple. */
  lost: 'pointer' | 'error'
}

export interface TupleText {
  /** Canonical text per column; undefined for NULL. */
  values: (string | undefined)[]
  /** Values that are shown as bytes. */
  unreadable: ValueError[]
  /** Values that are shown as their TOAST pointer. */
  lost: ValueError[]
  /** Bytes behind the last attribute: no server writes any. */
  leftOver: number
}

/** A payload that its codec does not accept is shown up to this size; above, what the tuple holds of it is: its TOAST pointer. */
const HEX_PAYLOAD_MAX = 16_000_000

/** Tuples of one relation → the text of their values, as the type's output function writes it with the settings of ARCHITECTURE.md. */
export class TupleValues {
  /** Names of the columns: neither dropped nor virtual. */
  readonly names: readonly string[]
  /** Oids of their types. */
  readonly types: readonly number[]
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
      strictLabels: true,
    }
    this.attributes = attributes
    this.columns = attributes.flatMap((attribute, index) => (attribute.dropped || attribute.virtual ? [] : [{
      index, attribute, codec: codecFor(attribute.type, context),
      missing: attribute.missing === undefined ? undefined : hexDecode(attribute.missing),
    }]))
    this.names = this.columns.map(({ attribute }) => attribute.name)
    this.types = this.columns.map(({ attribute }) => attribute.type.oid)
    this.toast = toast
    this.deformed = newDeformedTuple(attributes.length)
  }

  /**
   * The values of the tuple at bytes[start .. end).
   * @throws CorruptionError tuple.* if its bytes are not those of a tuple; with `error` rules datum.*, toast.*, compression.* and
   *   UnsupportedError, with the attribute
   */
  read(bytes: Uint8Array, start: number, end: number, header: TupleHeader, rules: ValueRules): TupleText {
    const { natts, hoff, infomask } = header
    const hasNull = (infomask & HEAP_HASNULL) !== 0
    checkTupleHeader(hoff, natts, hasNull, end - start)
    if (natts > this.attributes.length) throw new CorruptionError('tuple.natts', `${natts} attributes, the table has ${this.attributes.length}`)
    const bits = hasNull ? start + SIZE_OF_TUPLE_HEADER : -1
    const last = deformTuple(bytes, start, end, start + hoff, natts, bits, this.attributes, this.deformed)
    const read: TupleText = { values: [], unreadable: [], lost: [], leftOver: end - last }
    for (const column of this.columns) {
      read.values.push(withPosition({ attribute: column.attribute.name }, () => this.value(column, bytes, rules, read)))
    }
    return read
  }

  private value({ index, attribute, codec, missing }: Column, bytes: Uint8Array, rules: ValueRules, read: TupleText): string | undefined {
    const from = this.deformed.starts[index]!
    const to = this.deformed.ends[index]!
    if (from === ATTR_NULL || (from === ATTR_ABSENT && !missing)) return undefined
    const stored = from === ATTR_ABSENT ? missing! : bytes.subarray(from, to)
    const isVarlena = from !== ATTR_ABSENT && attribute.len === -1
    let payload: Uint8Array | undefined
    if (isVarlena && isExternal(stored[0]!)) {
      try {
        payload = this.fetch(stored)
      } catch (error) {
        return shown(stored, error, attribute.name, rules.lost === 'pointer' ? read.lost : undefined)
      }
    }
    try {
      if (isVarlena) payload ??= isCompressed(stored[0]!) ? decompress(stored, 4, stored.length) : stored.subarray(payloadStart(stored, 0))
      else payload = from !== ATTR_ABSENT && attribute.len === -2 ? stored.subarray(0, -1) : stored
      return this.textOf(codec, payload)
    } catch (error) {
      const bytesShown = payload === undefined || payload.length > HEX_PAYLOAD_MAX ? stored : payload
      return shown(bytesShown, error, attribute.name, rules.unreadable === 'hex' ? read.unreadable : undefined)
    }
  }

  private fetch(datum: Uint8Array): Uint8Array {
    const pointer = readToastPointer(datum, 0)
    const toast = this.toast()
    const { valueId, toastRelId } = pointer
    if (!toast) throw new CorruptionError('toast.relation', `value ${valueId} is in TOAST relation ${toastRelId}, which does not exist`)
    const stored = toast.fetch(pointer)
    const value = stored && pointer.compressed ? decompress(stored, 0, stored.length) : stored
    if (value?.length === pointer.rawSize) return value
    const what = stored ? 'inconsistent chunks' : 'missing chunks'
    throw new CorruptionError('toast.value', `${what} of value ${valueId} in TOAST relation ${toastRelId}`)
  }

  private textOf(codec: Codec, payload: Uint8Array): string {
    this.text.length = 0
    codec.text(payload, 0, payload.length, this.text)
    return utf8Decode(this.text.bytes.subarray(0, this.text.length))
  }
}

/** `bytes` in hex, the error noted; without `errors` it is thrown. */
function shown(bytes: Uint8Array, error: unknown, attribute: string, errors: ValueError[] | undefined): string {
  if (errors === undefined || !(error instanceof CorruptionError || error instanceof UnsupportedError)) throw error
  errors.push(error.at({ attribute }))
  return `\\x${hexEncode(bytes)}`
}
