import type { ByteWriter } from '../../common/bytes.ts'
import { writeDecimal } from './integertext.ts'

/* Julian days and clock times as Postgres counts and writes them (datetime.c: j2date, date2j, EncodeDateOnly, EncodeTimeOnly). */

/** Julian day of 2000-01-01: what stored dates and timestamps count from. */
export const POSTGRES_EPOCH_JULIAN = 2451545
/** Days from 1970-01-01 to 2000-01-01. */
export const UNIX_TO_POSTGRES_DAYS = 10957
/** Days since 2000-01-01 of 0001-01-01, the first day that date and timestamp columns hold. */
export const FIRST_NATIVE_DAY = -730119
/** Days since 2000-01-01 of 10000-01-01, the first day they no longer hold. */
export const END_NATIVE_DAY = 2921940

export const MICROS_PER_DAY = 86400e6

/** date2j: the Julian day of a proleptic Gregorian date; year 0 is 1 BC. */
export function julianDay(year: number, month: number, day: number): number {
  const shiftedYear = year + (month > 2 ? 4800 : 4799)
  const shiftedMonth = month + (month > 2 ? 1 : 13)
  const century = Math.trunc(shiftedYear / 100)
  const leaps = Math.trunc(shiftedYear / 4) - century + Math.trunc(century / 4)
  return shiftedYear * 365 - 32167 + leaps + Math.trunc((7834 * shiftedMonth) / 256) + day
}

/**
 * Writes `YYYY-MM-DD` of a Julian day and returns true if ` BC` must end the text. In unsigned 32-bit arithmetic as j2date, so that days
 * no server accepts read as they do there.
 */
export function writeDate(julianDay: number, out: ByteWriter): boolean {
  let day = (julianDay + 32044) >>> 0
  const cycles = (day / 146097) >>> 0
  const extra = (day - cycles * 146097) * 4 + 3
  day = (day + 60 + cycles * 3 + ((extra / 146097) | 0)) >>> 0
  const quads = (day / 1461) >>> 0
  day -= quads * 1461
  const yearOfQuad = ((day * 4) / 1461) | 0
  day = (yearOfQuad !== 0 ? (day + 305) % 365 : (day + 306) % 366) + 123
  const year = ((yearOfQuad + quads * 4) | 0) - 4800
  const months = (day * 2141) >>> 16
  writeDecimal(out, year > 0 ? year : 1 - year, 4)
  out.u8(0x2d)
  writeTwo(((months + 10) % 12) + 1, out)
  out.u8(0x2d)
  writeTwo(day - ((7834 * months) >> 8), out)
  return year <= 0
}

function writeTwo(value: number, out: ByteWriter): void {
  const tens = (value / 10) | 0
  out.u8(0x30 + tens)
  out.u8(0x30 + value - tens * 10)
}

/** Writes `HH:MM:SS[.ffffff]` of microseconds since midnight, zeros at the end of the fraction left out. Hours may exceed 24. */
export function writeClock(micros: number, out: ByteWriter): void {
  const seconds = Math.floor(micros / 1e6)
  let fraction = (micros - seconds * 1e6) | 0
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  writeDecimal(out, hours, 2)
  out.u8(0x3a)
  writeTwo(minutes - hours * 60, out)
  out.u8(0x3a)
  writeTwo(seconds - minutes * 60, out)
  if (fraction === 0) return
  let width = 6
  while (fraction % 10 === 0) {
    fraction = (fraction / 10) | 0
    width--
  }
  out.u8(0x2e)
  writeDecimal(out, fraction, width)
}

/** Microseconds of the text {@link writeClock} gives for up to 24:00:00; -1 for any other text. */
export function clockMicros(text: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length < 8 || length === 9 || length > 15 || end > text.length) return -1
  const hours = twoDigits(text, start)
  const minutes = twoDigits(text, start + 3)
  const seconds = twoDigits(text, start + 6)
  if (hours < 0 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59) return -1
  if (text[start + 2] !== 0x3a || text[start + 5] !== 0x3a) return -1
  const micros = ((hours * 60 + minutes) * 60 + seconds) * 1e6 + fractionMicros(text, start + 8, end)
  return micros <= MICROS_PER_DAY ? micros : -1
}

function twoDigits(text: Uint8Array, at: number): number {
  const tens = text[at]! - 0x30
  const ones = text[at + 1]! - 0x30
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
}

/** `.f` to `.ffffff` without a zero at the end, or nothing; Infinity for any other text. */
function fractionMicros(text: Uint8Array, at: number, end: number): number {
  if (at === end) return 0
  if (text[at] !== 0x2e || text[end - 1] === 0x30) return Infinity
  let micros = 0
  for (let i = at + 1; i < at + 7; i++) {
    const digit = i < end ? text[i]! - 0x30 : 0
    if (digit < 0 || digit > 9) return Infinity
    micros = micros * 10 + digit
  }
  return micros
}
