import type { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import { formNumeric, formNumericScaled, minimalScale } from './numericform.ts'
import { numericParse, numericText } from '../text/numerictext.ts'
import { NUMERIC_EXACT, NUMERIC_ROUNDED, numericToWords } from './numericwords.ts'
import { checkPayload } from './payload.ts'
import type { Vector, WordVector } from '../../vector/vector.ts'

/** numeric ↔ decimal. The column has the value; how many decimals Postgres shows (dscale) travels beside it. */
export interface NumericCodec extends Codec {
  readonly column: { kind: 'decimal'; precision: number; scale: number }
  encode(column: Vector, row: number, out: ByteWriter): void
  /** dscale of a payload; -1 for NaN and ±Infinity. */
  displayScale(source: Uint8Array, start: number, end: number): number
  /** The dscale that `encode` gives: the value's minimal one, at least the context's displayScale. */
  predictScale(column: Vector, row: number): number
  /** As `encode`, with exactly this dscale. */
  encodeScaled(column: Vector, row: number, scale: number, out: ByteWriter): void
}

export function isNumericCodec(codec: Codec): codec is NumericCodec {
  return 'encodeScaled' in codec
}

/** Precision and scale of a lake decimal for numerics that declare none, or one no decimal(38) has. */
const UNDECLARED = { precision: 38, scale: 9 }

/**
 * typmod (numeric.c, make_numeric_typmod): ((precision << 16) | (scale & 0x7ff)) + 4, the scale signed in 11 bits.
 * Before 15 scales were 0 to 1000: the same bits. Undefined where the column is decimal(38,9).
 */
function declaredDecimal(typmod: number): { precision: number; scale: number } | undefined {
  if (typmod < 4) return undefined
  const precision = ((typmod - 4) >>> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400
  return precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision ? { precision, scale } : undefined
}

/** The display scale that values of a declared numeric have: its scale, none below 0. 0 where nothing is declared. */
export function declaredDisplayScale(typmod: number): number {
  return typmod < 4 ? 0 : Math.max(0, (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400)
}

/** dscale of a payload, from its header alone. */
function displayScale(source: Uint8Array, start: number, end: number): number {
  checkPayload('numeric', source, start, end)
  const size = end - start
  const header = size < 2 ? 0 : source[start]! | (source[start + 1]! << 8)
  if (size < 2 || size & 1 || (header < 0x8000 && size < 4)) throw new CorruptionError('datum.numeric', `${size} bytes are no numeric`)
  if (header >= 0xc000) return -1
  return header & 0x8000 ? (header >> 7) & 0x3f : header & 0x3fff
}

/** numeric(p,s) ↔ decimal(p,s) if a decimal can have that, else decimal(38,9). */
export function numericCodec(typmod: number, context: { displayScale: number }): NumericCodec {
  const declared = declaredDecimal(typmod)
  const { precision, scale } = declared ?? UNDECLARED
  const shown = context.displayScale
  const value = new Int32Array(4)
  return {
    column: { kind: 'decimal', precision, scale },
    overflows: true,
    decode(source, start, end, out) {
      const state = numericToWords(source, start, end, precision, scale, value, 0)
      if (state === NUMERIC_EXACT || (state === NUMERIC_ROUNDED && declared === undefined)) {
        ;(out as WordVector).push4(value[0]!, value[1]!, value[2]!, value[3]!)
        return state === NUMERIC_EXACT
      }
      out.pushNull()
      return false
    },
    encode(column, row, out) {
      formNumeric((column as WordVector).words, row * 4, scale, shown, out)
    },
    text: numericText,
    parse: numericParse,
    displayScale,
    predictScale(column, row) {
      return Math.max(shown, minimalScale((column as WordVector).words, row * 4, scale))
    },
    encodeScaled(column, row, dscale, out) {
      formNumericScaled((column as WordVector).words, row * 4, scale, dscale, out)
    },
  }
}
