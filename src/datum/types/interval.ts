import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { writeClock } from '../text/calendar.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { checkPayload } from './payload.ts'
import type { CodecContext } from '../typedef.ts'
import type { StructVector, WordVector } from '../../vector/vector.ts'

/*
 * interval (timestamp.h), 16 bytes: i64 microseconds, i32 days, i32 months, each of any sign.
 * From 17 on all three at their largest = infinity, at their smallest = -infinity; before that ordinary values.
 *
 * An hour is 3600000000 = 2^10 * 3515625 microseconds: the upper bits of a magnitude (at most 2^53) are counted in units of 2^10 us.
 */
const UNIT = 1024
const UNITS_PER_HOUR = 3515625
const UNITS_PER_HIGH = 2 ** 22
const MICROS_PER_HOUR = 3600e6
const I32_MAX = 0x7fffffff
const I32_MIN = -0x80000000

/** 1 for infinity, -1 for -infinity, 0 for the rest. */
function intervalSign(source: Uint8Array, start: number): number {
  const low = readI32(source, start)
  const high = readI32(source, start + 4)
  const days = readI32(source, start + 8)
  const months = readI32(source, start + 12)
  if (months === I32_MAX && days === I32_MAX && high === I32_MAX && low === -1) return 1
  return months === I32_MIN && days === I32_MIN && high === I32_MIN && low === 0 ? -1 : 0
}

/** EncodeInterval, IntervalStyle postgres: `1 year 2 mons -3 days +04:05:06.789`. */
function writeInterval(source: Uint8Array, start: number, out: ByteWriter): void {
  const low = readI32(source, start)
  const high = readI32(source, start + 4)
  const days = readI32(source, start + 8)
  const months = readI32(source, start + 12)
  const from = out.length
  const years = Math.trunc(months / 12)
  let previous = writePart(years, 'year', 0, from, out)
  previous = writePart(months - years * 12, 'mon', previous, from, out)
  previous = writePart(days, 'day', previous, from, out)
  if (low === 0 && high === 0 && out.length > from) return
  if (out.length > from) out.u8(0x20)
  if (high < 0) out.u8(0x2d)
  else if (previous < 0) out.u8(0x2b)
  const magnitudeLow = high < 0 ? -low >>> 0 : low >>> 0
  const magnitudeHigh = (high < 0 ? (low === 0 ? -high : ~high) : high) >>> 0
  const units = magnitudeHigh * UNITS_PER_HIGH + (magnitudeLow >>> 10)
  const hours = Math.floor(units / UNITS_PER_HOUR)
  writeClockOf(hours, (units - hours * UNITS_PER_HOUR) * UNIT + (magnitudeLow & (UNIT - 1)), out)
}

function writePart(value: number, unit: string, previous: number, from: number, out: ByteWriter): number {
  if (value === 0) return previous
  const space = out.length > from ? ' ' : ''
  out.ascii(`${space}${previous < 0 && value > 0 ? '+' : ''}${value} ${unit}${value === 1 ? '' : 's'}`)
  return value
}

function writeClockOf(hours: number, micros: number, out: ByteWriter): void {
  // A double counts 2.5 million hours in microseconds; most intervals are shorter.
  if (hours < 1e6) {
    writeClock(hours * MICROS_PER_HOUR + micros, out)
    return
  }
  out.ascii(String(hours))
  const at = out.length
  writeClock(micros, out)
  out.bytes.copyWithin(at, at + 2, out.length)
  out.length -= 2
}

/** Years, months, days; then sign, hours, minutes, seconds and fraction of the clock. */
const FORM = new RegExp(
  '^(?:(-?\\d{1,10}) years?)?(?: ?([+-]?\\d{1,2}) mons?)?(?: ?([+-]?\\d{1,10}) days?)?' +
    '(?: ?([+-]?)(\\d{2,10}):(\\d\\d):(\\d\\d)(\\.\\d{1,6})?)?$',
)

function scanInterval(input: string, out: ByteWriter): void {
  const match = FORM.exec(input)
  if (!match) throw new ParseError('interval: not IntervalStyle postgres')
  const months = Number(match[1] ?? 0) * 12 + Number(match[2] ?? 0)
  const days = Number(match[3] ?? 0)
  const hours = Number(match[5] ?? 0)
  const fraction = Number((match[8] ?? '.').slice(1).padEnd(6, '0'))
  const micros = (Number(match[6] ?? 0) * 60 + Number(match[7] ?? 0)) * 1e6 + fraction
  const units = hours * UNITS_PER_HOUR + Math.floor(micros / UNIT)
  const high = Math.floor(units / UNITS_PER_HIGH)
  const low = ((units - high * UNITS_PER_HIGH) * UNIT + (micros % UNIT)) | 0
  const negative = match[4] === '-'
  const fits = high <= I32_MAX || (negative && high === I32_MAX + 1 && low === 0)
  if (!fits || months !== (months | 0) || days !== (days | 0)) throw new ParseError('interval: out of range')
  out.u32(negative ? -low : low)
  out.u32(negative ? (low === 0 ? -high : ~high) : high)
  out.u32(days)
  out.u32(months)
}

function infiniteInterval(sign: number, out: ByteWriter): void {
  out.u32(sign > 0 ? -1 : 0)
  for (let i = 0; i < 3; i++) out.u32(sign > 0 ? I32_MAX : I32_MIN)
}

/** interval ↔ struct{months int, days int, micros long}; ±infinity overflows from 17 on. */
export function intervalCodec(context: Pick<CodecContext, 'major'>): Codec {
  const hasInfinity = context.major >= 17
  const text: Codec['text'] = (source, start, end, out) => {
    checkPayload('interval', source, start, end, 16)
    const sign = hasInfinity ? intervalSign(source, start) : 0
    if (sign !== 0) out.ascii(sign > 0 ? 'infinity' : '-infinity')
    else writeInterval(source, start, out)
  }
  const scan = (input: string, out: ByteWriter): void => {
    if (hasInfinity && (input === 'infinity' || input === '-infinity')) infiniteInterval(input === 'infinity' ? 1 : -1, out)
    else scanInterval(input, out)
  }
  return {
    column: {
      kind: 'struct',
      fields: [
        { name: 'months', type: { kind: 'int' } },
        { name: 'days', type: { kind: 'int' } },
        { name: 'micros', type: { kind: 'long' } },
      ],
    },
    overflows: hasInfinity,
    decode(source, start, end, out) {
      checkPayload('interval', source, start, end, 16)
      if (hasInfinity && intervalSign(source, start) !== 0) {
        out.pushNull()
        return false
      }
      const struct = out as StructVector
      ;(struct.children[0] as WordVector).push1(readI32(source, start + 12))
      ;(struct.children[1] as WordVector).push1(readI32(source, start + 8))
      ;(struct.children[2] as WordVector).push2(readI32(source, start), readI32(source, start + 4))
      struct.close()
      return true
    },
    encode(column, row, out) {
      const [months, days, micros] = (column as StructVector).children as [WordVector, WordVector, WordVector]
      out.u32(micros.words[row * 2]!)
      out.u32(micros.words[row * 2 + 1]!)
      out.u32(days.words[row]!)
      out.u32(months.words[row]!)
    },
    text,
    parse: exactParse('interval', text, scan),
  }
}
