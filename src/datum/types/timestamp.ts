import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { clockMicros, END_NATIVE_DAY, FIRST_NATIVE_DAY, julianDay, POSTGRES_EPOCH_JULIAN, writeClock, writeDate } from '../text/calendar.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/*
 * timestamp, timestamptz (timestamp.c): i64 microseconds since 2000-01-01 00:00 (UTC).
 * The largest i64 = infinity, the smallest = -infinity.
 *
 * A day is 86400000000 = 2^13 * 10546875 microseconds. So the upper 51 bits, which a double holds, count units of 2^13 us, and
 * days, bounds and the clock come out in exact arithmetic without 64-bit integers:
 *
 *   63 ......................... 13 | 12 ... 0
 *    units = day * 10546875 + rest  |   low         clock = rest * 8192 + low
 */
const UNIT = 8192
const UNITS_PER_DAY = 10546875
const UNITS_PER_HIGH = 2 ** 19

const FIRST_NATIVE_UNIT = FIRST_NATIVE_DAY * UNITS_PER_DAY
const END_NATIVE_UNIT = END_NATIVE_DAY * UNITS_PER_DAY

/** Microseconds from 1970-01-01 to 2000-01-01, 946684800000000, as words. */
const EPOCH_LOW = 0x3b37e000
const EPOCH_HIGH = 0x35d01

function unitsOf(low: number, high: number): number {
  return high * UNITS_PER_HIGH + (low >>> 13)
}

function timestampText(type: string, suffix: string, source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload(type, source, start, end, 8)
  const low = readI32(source, start)
  const high = readI32(source, start + 4)
  if (high === 0x7fffffff && low === -1) {
    out.ascii('infinity')
    return
  }
  if (high === -0x80000000 && low === 0) {
    out.ascii('-infinity')
    return
  }
  const units = unitsOf(low, high)
  const day = Math.floor(units / UNITS_PER_DAY)
  // timestamp2tm: no Julian day below 0.
  if (day + POSTGRES_EPOCH_JULIAN < 0) throw new CorruptionError(`datum.${type}`, 'before 4714-11-24 BC')
  const isBc = writeDate(day + POSTGRES_EPOCH_JULIAN, out)
  out.u8(0x20)
  writeClock((units - day * UNITS_PER_DAY) * UNIT + (low & (UNIT - 1)), out)
  out.ascii(suffix)
  if (isBc) out.ascii(' BC')
}

function scanTimestamp(type: string, input: string, out: ByteWriter): void {
  if (input === 'infinity' || input === '-infinity') {
    out.u32(input === 'infinity' ? -1 : 0)
    out.u32(input === 'infinity' ? 0x7fffffff : -0x80000000)
    return
  }
  const match = /^(\d{4,6})-(\d\d)-(\d\d) ([0-9:.]{8,15})(?:\+00)?( BC)?$/.exec(input)
  if (!match) throw new ParseError(`${type}: not YYYY-MM-DD HH:MM:SS`)
  const clock = Uint8Array.from(match[4]!, (char) => char.charCodeAt(0))
  const micros = clockMicros(clock, 0, clock.length)
  const year = match[5] ? 1 - Number(match[1]) : Number(match[1])
  const day = julianDay(year, Number(match[2]), Number(match[3])) - POSTGRES_EPOCH_JULIAN
  const rest = Math.floor(micros / UNIT)
  const units = day * UNITS_PER_DAY + rest
  const high = Math.floor(units / UNITS_PER_HIGH)
  if (micros < 0 || day + POSTGRES_EPOCH_JULIAN < 0 || high > 0x7fffffff) throw new ParseError(`${type}: out of range`)
  out.u32((units - high * UNITS_PER_HIGH) * UNIT + (micros - rest * UNIT))
  out.u32(high)
}

function instantCodec(type: string, utc: boolean): Codec {
  const text: Codec['text'] = (source, start, end, out) => timestampText(type, utc ? '+00' : '', source, start, end, out)
  return {
    column: { kind: 'timestamp', utc },
    overflows: true,
    decode(source, start, end, out) {
      checkPayload(type, source, start, end, 8)
      const low = readI32(source, start)
      const high = readI32(source, start + 4)
      const units = unitsOf(low, high)
      if (units >= FIRST_NATIVE_UNIT && units < END_NATIVE_UNIT) {
        const sum = (low >>> 0) + EPOCH_LOW
        ;(out as WordVector).push2(sum, high + EPOCH_HIGH + (sum > 0xffffffff ? 1 : 0))
        return true
      }
      if (units < -POSTGRES_EPOCH_JULIAN * UNITS_PER_DAY && !(high === -0x80000000 && low === 0)) {
        throw new CorruptionError(`datum.${type}`, 'before 4714-11-24 BC')
      }
      out.pushNull()
      return false
    },
    encode(column, row, out) {
      const words = (column as WordVector).words
      const difference = (words[row * 2]! >>> 0) - EPOCH_LOW
      out.u32(difference)
      out.u32(words[row * 2 + 1]! - EPOCH_HIGH - (difference < 0 ? 1 : 0))
    },
    text,
    parse: exactParse(type, text, (input, out) => scanTimestamp(type, input, out)),
  }
}

/** timestamp ↔ timestamp in microseconds since 1970-01-01; native from year 1 to 9999. */
export const timestampCodec: Codec = instantCodec('timestamp', false)
/** timestamptz ↔ timestamp adjusted to UTC; native from year 1 to 9999. */
export const timestamptzCodec: Codec = instantCodec('timestamptz', true)
