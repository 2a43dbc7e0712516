import { code, type SourceText } from './sourcetext.ts'

/*
 * What prices and quantities are: a header, one to three digits, an unscaled value of 32 bits. In one pass, without loop or division:
 *
 *   12.34   header | 12 | 3400      at scale 2: 12 * 100 + 3400 / 100
 *   12000   header | 1 | 2000       the group behind the point is missing
 */
const INT32_MAX = 0x7fffffff

/** Largest scale that it pays for: two groups behind the point. */
const SCALE_MAX = 8

/**
 * Source text that reads the short-form numeric `bytes[at .. e)` with the header `h`. Afterwards `b` is 1 and `v` the unscaled value at
 * `scale`, the one that numericUnscaled has, or `b` is 0 and numericUnscaled must be asked. Uses `c`, `m` and `n`. Empty for scales that
 * it is not made for: then `b` stays 0.
 */
export function smallDecimalSource(scale: number): SourceText {
  if (scale < 0 || scale > SCALE_MAX) return code``
  const groups = (scale + 3) >> 2
  // The last group counts 10^(-4 * groups): so many of its digits are behind the scale.
  const excess = 10 ** (groups * 4 - scale)
  const factor = 10000 / excess
  const digit = (at: SourceText): SourceText => code`bytes[${at}] | (bytes[${at} + 1] << 8)`
  return code`n = e - at; m = ${2 * groups + 4} + (((h << 25) >> 25) << 1) - n
    if (n === 2) { v = 0; b = h & 0x207f ? 0 : 1 }
    else {
      // m: bytes of groups missing behind the digits; n: header and digits before the last group.
      c = 0
      if (m === 0) {
        n -= 2; c = ${digit(code`e - 2`)}
        if (c > 9999) n = 0
        ${excess === 1 ? code`` : code`m = c / ${excess} | 0; if (m * ${excess} !== c) n = 0; c = m`}
      } else if (m !== 2) n = 0
      if (n === 4) { v = ${digit(code`at + 2`)}; b = v > 0 && v < 10000 ? 1 : 0 }
      else if (n === 6) {
        v = ${digit(code`at + 2`)}; m = ${digit(code`at + 4`)}
        b = v > 0 && v < 10000 && m < 10000 ? 1 : 0; v = v * 10000 + m
      } else if (n === 2) { v = 0; b = c > 0 ? 1 : 0 }
      if (v > ${Math.floor((INT32_MAX - 9999) / factor)}) b = 0
      v = v * ${factor} + c
      if (h & 0x2000) v = -v
    }`
}
