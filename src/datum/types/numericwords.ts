import { CorruptionError } from '../../common/errors.ts'

/*
 * numeric payloads (layout: text/numerictext.ts) to unscaled 128-bit integers, value * 10^scale, in two's complement as four words, low first.
 *
 * A digit of weight w counts 10000^w, so in the unscaled integer it counts 10^e, e = 4 w + scale:
 *
 *   digits      d0      d1      d2      d3      d4
 *   e           6       2      -2      -6     -10        (scale 2, weight 1)
 *               `--whole--´   split   `-dropped-´     split: its lowest -e of 4 decimals are dropped, the others count
 */

/** The words hold the value exactly. */
export const NUMERIC_EXACT = 0
/** NaN or ±Infinity: no words written. */
const NUMERIC_SPECIAL = 1
/** Needs more digits than the precision: no words written. */
const NUMERIC_RANGE = 2
/** More fractional digits than the scale: the words hold the value rounded half to even. */
export const NUMERIC_ROUNDED = 3

const WORD = 2 ** 32
const EXACT_LIMIT = 2 ** 53
/** Powers of ten up to 10^22 are exact doubles. */
const POW10 = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

/** Unsigned 128-bit accumulator of the wide path, low word first; each element below 2^32. */
const limbs = new Float64Array(4)
/** 10^p as limbs at 4 p, p = 0 to 38. */
const POW10_LIMBS = makePowers()

function makePowers(): Float64Array {
  const powers = new Float64Array(39 * 4)
  limbs.set([1, 0, 0, 0])
  for (let precision = 0; precision <= 38; precision++) {
    powers.set(limbs, precision * 4)
    multiplyAdd(10, 0)
  }
  return powers
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.numeric', reason)
}

/**
 * Writes the unscaled value of the numeric payload `source[start .. end)` to `words[at .. at + 4)`; returns one of the NUMERIC_ states.
 * Precision at most 38, scale at most precision. Hidden digits beyond the payload's dscale count. Throws CorruptionError.
 */
export function numericToWords(
  source: Uint8Array, start: number, end: number, precision: number, scale: number, words: Int32Array, at: number,
): number {
  if ((end - start) & 1 || end - start < 2 || start < 0 || end > source.length) throw corrupt(`${end - start} bytes are no numeric`)
  const header = source[start]! | (source[start + 1]! << 8)
  if ((header & 0xc000) === 0x8000) {
    const weight = ((header & 0x7f) ^ 0x40) - 0x40
    return digitsToWords(source, start + 2, end, (header & 0x2000) !== 0, weight, precision, scale, words, at)
  }
  if (header >= 0xc000) {
    if (header !== 0xc000 && header !== 0xd000 && header !== 0xf000) throw corrupt(`header 0x${header.toString(16)}`)
    return NUMERIC_SPECIAL
  }
  if (end - start < 4) throw corrupt('a long header of 2 bytes')
  const weight = ((source[start + 2]! | (source[start + 3]! << 8)) << 16) >> 16
  return digitsToWords(source, start + 4, end, (header & 0x4000) !== 0, weight, precision, scale, words, at)
}

/** Values below 2^53 in double arithmetic, everything else by {@link wideToWords}. */
function digitsToWords(
  source: Uint8Array, first: number, end: number, negative: boolean, weight: number,
  precision: number, scale: number, words: Int32Array, to: number,
): number {
  let exponent = weight * 4 + scale
  let at = first
  let value = 0
  for (; at < end && exponent >= 0; at += 2, exponent -= 4) {
    const digit = source[at]! | (source[at + 1]! << 8)
    if (digit > 9999) throw corrupt(`digit ${digit}`)
    value = value * 10000 + digit
  }
  if (at === end) {
    // The trailing zero digits that are not stored.
    if (exponent > -4) {
      if (exponent > 18) return wideToWords(source, first, end, negative, weight, precision, scale, words, to)
      value *= POW10[exponent + 4]!
    }
    if (value < EXACT_LIMIT && (precision > 15 || value < POW10[precision]!)) {
      pushWords(value, negative, words, to)
      return NUMERIC_EXACT
    }
  } else if (exponent > -4 && at + 2 === end) {
    const digit = source[at]! | (source[at + 1]! << 8)
    if (digit > 9999) throw corrupt(`digit ${digit}`)
    const kept = (digit / POW10[-exponent]!) | 0
    if (kept * POW10[-exponent]! === digit) {
      value = value * POW10[exponent + 4]! + kept
      if (value < EXACT_LIMIT && (precision > 15 || value < POW10[precision]!)) {
        pushWords(value, negative, words, to)
        return NUMERIC_EXACT
      }
    }
  }
  return wideToWords(source, first, end, negative, weight, precision, scale, words, to)
}

/** Two's complement of a magnitude below 2^53. */
function pushWords(value: number, negative: boolean, words: Int32Array, at: number): void {
  const high = Math.floor(value / WORD)
  const low = (value - high * WORD) | 0
  const minus = negative && value !== 0
  words[at] = minus ? -low : low
  words[at + 1] = minus ? (low === 0 ? -high : ~high) : high
  words[at + 2] = minus ? -1 : 0
  words[at + 3] = minus ? -1 : 0
}

/** Any size and any number of digits; linear. */
function wideToWords(
  source: Uint8Array, first: number, end: number, negative: boolean, weight: number,
  precision: number, scale: number, words: Int32Array, to: number,
): number {
  for (let at = first; at < end; at += 2) {
    const digit = source[at]! | (source[at + 1]! << 8)
    if (digit > 9999) throw corrupt(`digit ${digit}`)
  }
  limbs.fill(0)
  let exponent = weight * 4 + scale
  let at = first
  for (; at < end && exponent >= 0; at += 2, exponent -= 4) {
    if (!multiplyAdd(10000, source[at]! | (source[at + 1]! << 8))) return NUMERIC_RANGE
  }
  let dropped = 0
  if (exponent >= -4) {
    const divisor = POW10[-Math.min(exponent, 0)]!
    const digit = at < end ? source[at]! | (source[at + 1]! << 8) : 0
    const kept = Math.floor(digit / divisor)
    if (!shiftAdd(exponent + 4, exponent < 0 ? kept : 0)) return NUMERIC_RANGE
    dropped = (digit - kept * divisor) / divisor
    at += 2
  }
  let sticky = false
  for (; at < end; at += 2) if (source[at] !== 0 || source[at + 1] !== 0) sticky = true
  const isExact = dropped === 0 && !sticky
  if (dropped > 0.5 || (dropped === 0.5 && (sticky || limbs[0]! % 2 === 1))) {
    if (!multiplyAdd(1, 1)) return NUMERIC_RANGE
  }
  if (!isBelowPower(precision)) return NUMERIC_RANGE
  negateInto(negative, words, to)
  return isExact ? NUMERIC_EXACT : NUMERIC_ROUNDED
}

/** limbs = limbs * factor + addend; false if that is 2^128 or more. Factor and addend at most 10000. */
function multiplyAdd(factor: number, addend: number): boolean {
  let carry = addend
  for (let i = 0; i < 4; i++) {
    const sum = limbs[i]! * factor + carry
    carry = Math.floor(sum / WORD)
    limbs[i] = sum - carry * WORD
  }
  return carry === 0
}

/** limbs = limbs * 10^exponent + addend. */
function shiftAdd(exponent: number, addend: number): boolean {
  if (limbs[0] === 0 && limbs[1] === 0 && limbs[2] === 0 && limbs[3] === 0) return multiplyAdd(1, addend)
  let left = exponent
  for (; left > 4; left -= 4) if (!multiplyAdd(10000, 0)) return false
  return multiplyAdd(POW10[left]!, addend)
}

function isBelowPower(precision: number): boolean {
  for (let i = 3; i >= 0; i--) {
    const bound = POW10_LIMBS[precision * 4 + i]!
    if (limbs[i] !== bound) return limbs[i]! < bound
  }
  return false
}

function negateInto(negative: boolean, words: Int32Array, at: number): void {
  let borrow = negative ? 1 : 0
  for (let i = 0; i < 4; i++) {
    const limb = limbs[i]! | 0
    words[at + i] = negative ? ~limb + borrow : limb
    if (limb !== 0) borrow = 0
  }
}
