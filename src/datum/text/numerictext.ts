import type { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { ParseError } from '../codec.ts'

/*
 * numeric (numeric.c, NumericData), payload; u16 little-endian
 *
 *  short  1 0 s d d d d d d w w w w w w w | digits...            s sign, d dscale, w weight (7 bits, two's complement)
 *  long   0 s d d d d d d d d d d d d d d | i16 weight | digits...
 *  special  0xC000 NaN, 0xD000 Infinity, 0xF000 -Infinity
 *
 * digits: u16 in base 10000, most significant first; value = sum of digit[i] * 10000 ^ (weight - i).
 * dscale counts the decimal digits shown after the point, whatever digits are stored.
 */
const NUMERIC_SHORT = 0x8000
const NUMERIC_SHORT_SIGN = 0x2000
const NUMERIC_NAN = 0xc000
const NUMERIC_PINF = 0xd000
const NUMERIC_NINF = 0xf000
const NUMERIC_DSCALE_MAX = 0x3fff
const NUMERIC_WEIGHT_MAX = 0x7fff

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30

/** numeric_out: the payload's canonical text, never with an exponent. Linear; nothing is written if it throws CorruptionError. */
export function numericText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const size = end - start
  if (start < 0 || end > source.length || size < 2 || size & 1) throw corrupt(`${size} bytes are no numeric`)
  const header = source[start]! | (source[start + 1]! << 8)
  if (size === 4 && (header & ~NUMERIC_SHORT_SIGN) === NUMERIC_SHORT) {
    smallText(source[start + 2]! | (source[start + 3]! << 8), header !== NUMERIC_SHORT, out)
    return
  }
  if (header >= NUMERIC_NAN) {
    out.ascii(specialText(header))
    return
  }
  if (header & NUMERIC_SHORT) {
    const weight = ((header & 0x7f) ^ 0x40) - 0x40
    digitsText(source, start + 2, end, (header & NUMERIC_SHORT_SIGN) !== 0, weight, (header >> 7) & 0x3f, out)
    return
  }
  if (size < 4) throw corrupt('a long header of 2 bytes')
  const weight = ((source[start + 2]! | (source[start + 3]! << 8)) << 16) >> 16
  digitsText(source, start + 4, end, (header & 0x4000) !== 0, weight, header & NUMERIC_DSCALE_MAX, out)
}

/** An integer below 10000 in its only digit: what most numerics of a jsonb are. */
function smallText(digit: number, negative: boolean, out: ByteWriter): void {
  if (digit > 9999) throw corrupt(`digit ${digit}`)
  out.reserve(5)
  let to = out.length
  if (negative) out.bytes[to++] = MINUS
  out.length = leadingGroup(out.bytes, to, digit)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.numeric', reason)
}

function specialText(header: number): string {
  if (header === NUMERIC_NAN) return 'NaN'
  if (header === NUMERIC_PINF) return 'Infinity'
  if (header === NUMERIC_NINF) return '-Infinity'
  throw corrupt(`header 0x${header.toString(16)}`)
}

function digitsText(
  source: Uint8Array, at: number, end: number, negative: boolean, weight: number, dscale: number, out: ByteWriter,
): void {
  checkDigits(source, at, end)
  out.reserve(6 + (weight < 0 ? 0 : weight * 4 + 4) + dscale + 3)
  const bytes = out.bytes
  let to = out.length
  if (negative) bytes[to++] = MINUS
  if (weight < 0) {
    bytes[to++] = ZERO
  } else {
    to = leadingGroup(bytes, to, at < end ? source[at]! | (source[at + 1]! << 8) : 0)
    at += 2
    for (let left = weight; left > 0; left--, at += 2) {
      to = group(bytes, to, at < end ? source[at]! | (source[at + 1]! << 8) : 0)
    }
  }
  if (dscale > 0) {
    bytes[to++] = POINT
    const stop = to + dscale
    for (let gap = -1 - weight; gap > 0 && to < stop; gap--) to = group(bytes, to, 0)
    for (; to < stop; at += 2) to = group(bytes, to, at < end ? source[at]! | (source[at + 1]! << 8) : 0)
    to = stop
  }
  out.length = to
}

function checkDigits(source: Uint8Array, at: number, end: number): void {
  for (; at < end; at += 2) {
    const digit = source[at]! | (source[at + 1]! << 8)
    if (digit > 9999) throw corrupt(`digit ${digit}`)
  }
}

/** Four decimal digits; may run up to three bytes past what is wanted, the caller reserved them. */
function group(bytes: Uint8Array, to: number, digit: number): number {
  const high = (digit * 5243) >> 19
  const low = digit - high * 100
  const thousands = (high * 103) >> 10
  const tens = (low * 103) >> 10
  bytes[to] = ZERO + thousands
  bytes[to + 1] = ZERO + high - thousands * 10
  bytes[to + 2] = ZERO + tens
  bytes[to + 3] = ZERO + low - tens * 10
  return to + 4
}

function leadingGroup(bytes: Uint8Array, to: number, digit: number): number {
  if (digit >= 1000) return group(bytes, to, digit)
  if (digit >= 100) bytes[to++] = ZERO + ((digit / 100) | 0)
  if (digit >= 10) bytes[to++] = ZERO + (((digit / 10) | 0) % 10)
  bytes[to++] = ZERO + (digit % 10)
  return to
}

/**
 * The inverse of {@link numericText}: appends the payload Postgres would store for exactly this text (numeric_in, make_result).
 * Throws ParseError on text numeric_out does not write, and on numbers beyond the format. Linear.
 */
export function numericParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start <= 8 && smallParse(text, start, end, out)) return
  if (end - start > 2 && text[end - 1]! > 0x39) {
    parseSpecial(text, start, end, out)
    return
  }
  const negative = start < end && text[start] === MINUS
  const first = negative ? start + 1 : start
  let point = first
  while (point < end && isDigit(text[point]!)) point++
  let stop = point
  if (point < end && text[point] === POINT) {
    stop = point + 1
    while (stop < end && isDigit(text[stop]!)) stop++
    if (stop === point + 1) throw new ParseError('numeric: no digit after the point')
  }
  if (stop !== end || point === first) throw new ParseError('numeric: not a decimal number')
  if (text[first] === ZERO && point > first + 1) throw new ParseError('numeric: leading zero')
  encodeDigits(text, first, point, end, negative, out)
}

/** Up to eight digits without sign and point. False if the text is another; then nothing is written. */
function smallParse(text: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (start >= end || (text[start] === ZERO && end > start + 1)) return false
  let value = 0
  for (let at = start; at < end; at++) {
    if (!isDigit(text[at]!)) return false
    value = value * 10 + text[at]! - ZERO
  }
  const high = (value / 10000) | 0
  const low = value - high * 10000
  out.u16(high > 0 ? NUMERIC_SHORT | 1 : NUMERIC_SHORT)
  if (high > 0) out.u16(high)
  if (low > 0) out.u16(low)
  return true
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39
}

function parseSpecial(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  let word = ''
  for (let i = start; i < end && word.length < 10; i++) word += String.fromCharCode(text[i]!)
  if (word === 'NaN') out.u16(NUMERIC_NAN)
  else if (word === 'Infinity') out.u16(NUMERIC_PINF)
  else if (word === '-Infinity') out.u16(NUMERIC_NINF)
  else throw new ParseError('numeric: not a decimal number')
}

/** Decimal digit of 10 ^ e sits at `point - 1 - e` before the point and at `point - e` behind it. */
function encodeDigits(text: Uint8Array, first: number, point: number, end: number, negative: boolean, out: ByteWriter): void {
  const dscale = point < end ? end - point - 1 : 0
  let high = first
  while (high < end && (text[high] === ZERO || high === point)) high++
  if (high === end) {
    if (negative) throw new ParseError('numeric: negative zero')
    writeHeader(false, dscale, 0, out)
    return
  }
  let low = end - 1
  while (text[low] === ZERO || low === point) low--
  const weight = (high < point ? point - 1 - high : point - high) >> 2
  const lowest = (low < point ? point - 1 - low : point - low) >> 2
  writeHeader(negative, dscale, weight, out)
  out.reserve((weight - lowest + 1) * 2)
  for (let base = weight; base >= lowest; base--) {
    // The group's first digit; bytes outside [first, end) and the point itself stand for zeros.
    let at = base >= 0 ? point - 4 - base * 4 : point - 3 - base * 4
    let digit = 0
    for (const stop = at + 4; at < stop; at++) {
      digit = digit * 10 + (at >= first && at < end ? text[at]! - ZERO : 0)
    }
    out.u16(digit)
  }
}

/** NUMERIC_CAN_BE_SHORT decides the form. */
function writeHeader(negative: boolean, dscale: number, weight: number, out: ByteWriter): void {
  if (dscale > NUMERIC_DSCALE_MAX || weight > NUMERIC_WEIGHT_MAX) throw new ParseError('numeric: out of range')
  if (dscale <= 63 && weight >= -64 && weight <= 63) {
    out.u16(NUMERIC_SHORT | (negative ? NUMERIC_SHORT_SIGN : 0) | (dscale << 7) | (weight & 0x7f))
    return
  }
  out.u16((negative ? 0x4000 : 0) | dscale)
  out.u16(weight & 0xffff)
}
