import { dataView } from '../../common/bytes.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { julianDay, MICROS_PER_DAY, POSTGRES_EPOCH_JULIAN, UNIX_TO_POSTGRES_DAYS } from '../../datum/text/calendar.ts'

/**
 * A value of a column for comparison with others of it: integers, days and microseconds since 1970 and unscaled decimals as bigint, floats as numbers,
 * strings as their UTF-8.
 */
export type Comparable = bigint | number | Uint8Array

export function compare(a: Comparable, b: Comparable): number {
  if (a instanceof Uint8Array) return compareBytes(a, b as Uint8Array)
  return a < (b as number | bigint) ? -1 : Number(a > (b as number | bigint))
}

/** Whether `bytes` begins with `prefix`: 0; else which of the two is less. */
export function comparePrefix(bytes: Uint8Array, prefix: Uint8Array): number {
  return compareBytes(bytes.subarray(0, prefix.length), prefix)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

const WHOLE = /^(?:int|long|date|time|timestamp|timestamptz)$/
const DECIMAL = /^decimal\((\d{1,2}), (\d{1,2})\)$/

/** A bound of a manifest (spec, appendix D). @param type of Iceberg @returns undefined for a type whose order readers do not share, and for odd lengths */
export function decodeBound(type: string, bytes: Uint8Array): Comparable | undefined {
  const view = dataView(bytes)
  if (WHOLE.test(type)) return bytes.length === 4 ? BigInt(view.getInt32(0, true)) : bytes.length === 8 ? view.getBigInt64(0, true) : undefined
  if (type === 'float' || type === 'double') {
    const value = bytes.length === 4 ? view.getFloat32(0, true) : bytes.length === 8 ? view.getFloat64(0, true) : Number.NaN
    return Number.isNaN(value) ? undefined : value
  }
  if (type === 'boolean') return bytes.length === 1 ? BigInt(bytes[0]!) : undefined
  if (type === 'string') return bytes
  return DECIMAL.test(type) && bytes.length > 0 ? bigEndian(bytes) : undefined
}

function bigEndian(bytes: Uint8Array): bigint {
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  return BigInt.asIntN(bytes.length * 8, value)
}

/**
 * A literal of a filter, as clients send it: JSON single-value serialization (spec, appendix D), or days and microseconds as numbers, as Java does.
 * @returns undefined for what is not sure to mean one value: it is then compared with nothing
 */
export function parseLiteral(type: string, literal: unknown): Comparable | undefined {
  if (WHOLE.test(type)) return typeof literal === 'string' ? parseTime(type, literal) : wholeNumber(literal)
  if (type === 'boolean') return typeof literal === 'boolean' ? BigInt(literal) : undefined
  if (type === 'string') return typeof literal === 'string' ? utf8Encode(literal) : undefined
  if (type === 'double') return typeof literal === 'number' ? literal : undefined
  // A literal that a float does not hold is another one for each engine.
  if (type === 'float') return typeof literal === 'number' && Math.fround(literal) === literal ? literal : undefined
  const [, , scale] = DECIMAL.exec(type) ?? []
  return scale === undefined ? undefined : parseDecimal(literal, Number(scale))
}

/** JSON numbers beyond 2^53 were rounded. */
function wholeNumber(literal: unknown): bigint | undefined {
  return Number.isSafeInteger(literal) ? BigInt(literal as number) : undefined
}

function parseDecimal(literal: unknown, scale: number): bigint | undefined {
  if (typeof literal === 'number') {
    const whole = wholeNumber(literal)
    return whole === undefined ? undefined : whole * 10n ** BigInt(scale)
  }
  const [, sign, whole, fraction = ''] = (typeof literal === 'string' && /^(-?)(\d{1,40})(?:\.(\d{1,40}))?$/.exec(literal)) || []
  if (whole === undefined || /[^0]/.test(fraction.slice(scale))) return undefined
  const value = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  return sign === '-' ? -value : value
}

const DAY = /^(\d{4})-(\d\d)-(\d\d)$/
const CLOCK = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?$/

/** `2017-11-16`, `22:31:08.123456`, `2017-11-16T22:31:08.123456`, and with `+00:00` or `Z` behind it. */
function parseTime(type: string, text: string): bigint | undefined {
  if (type === 'date') return daysOf(text)
  if (type === 'time') return microsOf(text)
  const [, day = '', clock = '', zone] = /^([\d-]+)T([\d:.]+)(Z|\+00:00)?$/.exec(text) ?? []
  if (!type.startsWith('timestamp') || (zone !== undefined) !== (type === 'timestamptz')) return undefined
  const [days, micros] = [daysOf(day), microsOf(clock)]
  return days === undefined || micros === undefined ? undefined : days * BigInt(MICROS_PER_DAY) + micros
}

function daysOf(text: string): bigint | undefined {
  const [, year, month, day] = DAY.exec(text) ?? []
  if (year === undefined || Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) return undefined
  return BigInt(julianDay(Number(year), Number(month), Number(day)) - POSTGRES_EPOCH_JULIAN + UNIX_TO_POSTGRES_DAYS)
}

function microsOf(text: string): bigint | undefined {
  const [, hour, minute, second = '0', fraction = ''] = CLOCK.exec(text) ?? []
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  return BigInt(((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1_000_000 + Number(fraction.padEnd(6, '0')))
}
