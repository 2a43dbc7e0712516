import type { ByteWriter } from '../common/bytes.ts'
import type { ColumnType } from '../vector/columntype.ts'
import type { Vector } from '../vector/vector.ts'

/**
 * One Postgres type's way between stored bytes, a lake column and text.
 *
 * A *payload* is what a datum holds behind its header: the attlen bytes of a fixed-width type, a varlena's bytes without length word
 * (decompressed, detoasted), a cstring's without NUL. Where a type aligns things inside a varlena, positions count from the
 * 4-byte header, so the payload begins at 4: inner position p is `start + p - 4`.
 *
 * Laws, tested for every codec over arbitrary payloads:
 *  1. decode returns true  → encode(column value) either is the payload, or the file carries the payload in the raw lane
 *     (the caller compares; a codec need not promise canonical input).
 *  2. decode returns false → the column cannot hold the value exactly; it appended null (or, for numerics of undeclared scale, the
 *     rounded value). The caller stores text(payload) in `_overflow`; parse(text) gives the payload or the raw lane carries it.
 *  3. Nothing is ever invented: a payload that is no value of the type throws CorruptionError from decode and text.
 */
export interface Codec {
  readonly column: ColumnType
  /** False if decode always returns true: then the column has no `_overflow` child. */
  readonly overflows: boolean
  /** Appends exactly one value of `source[start .. end)` to `out`. */
  decode(source: Uint8Array, start: number, end: number, out: Vector): boolean
  /**
   * Appends the canonical payload of row `row` to `out`. `column` is decode's vector and not null there.
   * Absent: the column alone does not determine the bytes, so the raw lane carries every value.
   */
  encode?(column: Vector, row: number, out: ByteWriter): void
  /** Appends the canonical text: the type's output function with the settings of ARCHITECTURE.md. UTF-8. */
  text(source: Uint8Array, start: number, end: number, out: ByteWriter): void
  /** The inverse of text, for overflowed values: appends the canonical payload. Absent: the raw lane carries them. Throws ParseError. */
  parse?(text: Uint8Array, start: number, end: number, out: ByteWriter): void
}

/** A codec's parse throws this for text that is not of its type. The value then goes to the raw lane. */
export class ParseError extends Error {
  override readonly name = 'ParseError'
}
