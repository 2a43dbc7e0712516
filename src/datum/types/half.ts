/** Bits of an IEEE binary16 to those of the binary32 of the same value; NaN payloads keep their bits. */
export function halfToFloat(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

/** The inverse of {@link halfToFloat}; undefined for a float that no half has. */
export function floatToHalf(float: number): number | undefined {
  const sign = (float >>> 16) & 0x8000
  const exponent = (float >>> 23) & 0xff
  const fraction = float & 0x7fffff
  const half = sign | (exponent === 0xff ? 0x7c00 | (fraction >> 13) : finiteHalf(exponent - 112, fraction))
  return halfToFloat(half) === (float | 0) ? half : undefined
}

function finiteHalf(exponent: number, fraction: number): number {
  if (exponent >= 31 || exponent < -10) return 0
  return exponent > 0 ? (exponent << 10) | (fraction >> 13) : (fraction | 0x800000) >> (14 - exponent)
}
