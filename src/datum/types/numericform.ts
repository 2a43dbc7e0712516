/* Unscaled 128-bit integers to numeric payloads (layout: text/numerictext.ts), always in Postgres's canonical form (numeric.c, make_result). */
import type { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'

const WORD = 2 ** 32
const POW10 = [1, 10, 100, 1000, 10000] as const

/** Base-10000 digits of the last value, lowest first; digit i has weight i - ceil(scale / 4). 128 bits and alignment need 11. */
const digits = new Int32Array(12)
const limbs = new Float64Array(4)

/** Fills `digits` from the magnitude of `words[at .. at + 4)`; returns their count, no leading zeros. */
function splitDigits(words: Int32Array, at: number, scale: number): number {
  const high = words[at + 1]!
  const isSmall = words[at + 2] === high >> 31 && words[at + 3] === high >> 31 && high >= -0x200000 && high < 0x200000
  let count = isSmall ? splitSmall(high * WORD + (words[at]! >>> 0), scale) : splitWide(words, at, scale)
  while (count > 0 && digits[count - 1] === 0) count--
  return count
}

/** At most 2^53 in magnitude. */
function splitSmall(signed: number, scale: number): number {
  let value = Math.abs(signed)
  let count = 0
  const decimals = scale & 3
  if (decimals !== 0) {
    const divisor = POW10[decimals]!
    const quotient = Math.floor(value / divisor)
    digits[count++] = (value - quotient * divisor) * POW10[4 - decimals]!
    value = quotient
  }
  while (value > 0x7fffffff) {
    const quotient = Math.floor(value / 10000)
    digits[count++] = value - quotient * 10000
    value = quotient
  }
  let small = value | 0
  while (small !== 0) {
    const quotient = (small / 10000) | 0
    digits[count++] = small - quotient * 10000
    small = quotient
  }
  return count
}

function splitWide(words: Int32Array, at: number, scale: number): number {
  const negative = words[at + 3]! < 0
  let carry = negative ? 1 : 0
  for (let i = 0; i < 4; i++) {
    const word = words[at + i]!
    limbs[i] = (negative ? ~word + carry : word) >>> 0
    if (word !== 0) carry = 0
  }
  let count = 0
  const decimals = scale & 3
  if (decimals !== 0) digits[count++] = divide(POW10[decimals]!) * POW10[4 - decimals]!
  while (limbs[0] !== 0 || limbs[1] !== 0 || limbs[2] !== 0 || limbs[3] !== 0) digits[count++] = divide(10000)
  return count
}

/** limbs = floor(limbs / divisor); returns the remainder. */
function divide(divisor: number): number {
  let remainder = 0
  for (let i = 3; i >= 0; i--) {
    const part = remainder * WORD + limbs[i]!
    const quotient = Math.floor(part / divisor)
    limbs[i] = quotient
    remainder = part - quotient * divisor
  }
  return remainder
}

function lowestDigit(count: number): number {
  let lowest = 0
  while (lowest < count && digits[lowest] === 0) lowest++
  return lowest
}

/** The fewest decimals that show the digit at `lowest`, the lowest that is not zero, and so the whole value. */
function decimalsOf(lowest: number, count: number, scale: number): number {
  const weight = lowest - ((scale + 3) >> 2)
  if (lowest === count || weight >= 0) return 0
  const digit = digits[lowest]!
  return -4 * weight - (digit % 1000 === 0 ? 3 : digit % 100 === 0 ? 2 : digit % 10 === 0 ? 1 : 0)
}

/** The minimal dscale of an unscaled value: its decimals without zeros at the end. */
export function minimalScale(words: Int32Array, at: number, scale: number): number {
  const count = splitDigits(words, at, scale)
  return decimalsOf(lowestDigit(count), count, scale)
}

/** Appends the payload of an unscaled value whose dscale is the minimal one or `displayScale`, whichever is larger. */
export function formNumeric(words: Int32Array, at: number, scale: number, displayScale: number, out: ByteWriter): void {
  const count = splitDigits(words, at, scale)
  const lowest = lowestDigit(count)
  writePayload(words[at + 3]! < 0, count, lowest, scale, Math.max(displayScale, decimalsOf(lowest, count, scale)), out)
}

/** Appends the payload of an unscaled value with exactly this dscale, even if it hides digits. */
export function formNumericScaled(words: Int32Array, at: number, scale: number, dscale: number, out: ByteWriter): void {
  const count = splitDigits(words, at, scale)
  writePayload(words[at + 3]! < 0, count, lowestDigit(count), scale, dscale, out)
}

function writePayload(negative: boolean, count: number, lowest: number, scale: number, dscale: number, out: ByteWriter): void {
  if (!(dscale >= 0 && dscale <= 0x3fff)) throw new CorruptionError('datum.numeric', `dscale ${dscale}`)
  const isZero = lowest === count
  const weight = isZero ? 0 : count - 1 - ((scale + 3) >> 2)
  out.reserve(4 + count * 2)
  const bytes = out.bytes
  let to = out.length
  // Weights of 128-bit integers are always short; only dscale decides the header.
  if (dscale <= 63) {
    const header = 0x8000 | (negative ? 0x2000 : 0) | (dscale << 7) | (weight & 0x7f)
    bytes[to++] = header
    bytes[to++] = header >> 8
  } else {
    bytes[to++] = dscale
    bytes[to++] = (negative ? 0x40 : 0) | (dscale >> 8)
    bytes[to++] = weight
    bytes[to++] = weight >> 8
  }
  for (let i = count - 1; i >= lowest; i--) {
    const digit = digits[i]!
    bytes[to++] = digit
    bytes[to++] = digit >> 8
  }
  out.length = to
}
