/*
 * numeric's short form for the values that prices and quantities have (numeric.c, NumericShort):
 *
 *   u16 header   1 0 S dddddd w wwwwww   sign, display scale, weight as 7-bit two's complement
 *   u16 digits   base 10000, most significant first; digit i counts 10000^(weight - i)
 *
 * Doubles hold integers below 2^53 exactly; everything else is left to the codec.
 */
const EXACT_MAX = Number.MAX_SAFE_INTEGER
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

/**
 * The unscaled value at `scale` of a short-form numeric payload, NaN if it is not an exact integer below 2^53 there or not canonical.
 */
export function numericUnscaled(bytes: Uint8Array, start: number, end: number, scale: number): number {
  const header = bytes[start]! | (bytes[start + 1]! << 8)
  const weight = ((header & 0x7f) << 25) >> 25
  const digits = (end - start - 2) >> 1
  const fraction = (scale + 3) >> 2
  if (digits - 1 - weight > fraction || weight > 3 || (end - start) & 1) return Number.NaN
  let value = 0
  let at = start + 2
  for (let group = weight; group >= -fraction; group--) {
    value *= 10000
    if (at < end && group <= weight) {
      const digit = bytes[at]! | (bytes[at + 1]! << 8)
      if (digit > 9999) return Number.NaN
      value += digit
      at += 2
    }
  }
  if (weight < -fraction && digits > 0) return Number.NaN
  if (value > EXACT_MAX) return Number.NaN
  const excess = POWERS_OF_TEN[fraction * 4 - scale]!
  const unscaled = Math.floor(value / excess)
  if (unscaled * excess !== value) return Number.NaN
  if (digits === 0 ? weight !== 0 || header & 0x2000 : bytes[start + 2]! === 0 && bytes[start + 3]! === 0) return Number.NaN
  return header & 0x2000 ? -unscaled : unscaled
}

/**
 * The inverse: writes the canonical payload of `unscaled` / 10^scale with display scale `displayScale` at `at`. Needs 12 bytes of room.
 * @returns the position behind it, -1 if the value needs another display scale or form
 */
export function writeNumeric(bytes: Uint8Array, at: number, unscaled: number, scale: number, displayScale: number): number {
  let magnitude = Math.abs(unscaled)
  if (magnitude === 0) {
    writeU16(bytes, at, 0x8000 | (displayScale << 7))
    return at + 2
  }
  if (scale > displayScale) {
    const shift = POWERS_OF_TEN[scale - displayScale]!
    const kept = Math.floor(magnitude / shift)
    if (kept * shift !== magnitude) return -1
    magnitude = kept
  }
  const kept = Math.min(scale, displayScale)
  const fraction = (kept + 3) >> 2
  magnitude *= POWERS_OF_TEN[fraction * 4 - kept]!
  if (magnitude > EXACT_MAX) return -1
  let groups = 0
  let trailing = true
  let last = -fraction
  for (let weight = -fraction; magnitude > 0; weight++) {
    const rest = Math.floor(magnitude / 10000)
    const digit = magnitude - rest * 10000
    magnitude = rest
    if (trailing && digit === 0) {
      last = weight + 1
      continue
    }
    trailing = false
    DIGITS[groups++] = digit
  }
  writeU16(bytes, at, 0x8000 | (unscaled < 0 ? 0x2000 : 0) | (displayScale << 7) | ((last + groups - 1) & 0x7f))
  let to = at + 2
  for (let i = groups - 1; i >= 0; i--, to += 2) writeU16(bytes, to, DIGITS[i]!)
  return to
}

const DIGITS = new Int32Array(8)

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
}
