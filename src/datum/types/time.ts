import { type ByteWriter, readI32, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { clockMicros, MICROS_PER_DAY, writeClock } from '../text/calendar.ts'
import { type Codec, ParseError } from '../codec.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'
import type { CodecContext } from '../typedef.ts'
import type { WordVector } from '../../vector/vector.ts'

/* time (date.c): i64 microseconds since midnight, 0 to 86400000000: 24:00:00 is a value of its own. */
const WORD = 2 ** 32

/** The microseconds of a time, or of the time in a timetz. Throws CorruptionError outside of the day. */
export function timeMicros(type: string, source: Uint8Array, at: number): number {
  const micros = readI32(source, at + 4) * WORD + readU32(source, at)
  if (micros < 0 || micros > MICROS_PER_DAY) throw new CorruptionError(`datum.${type}`, `${micros} microseconds`)
  return micros
}

/** Appends the 8 bytes of a time. */
export function writeTimeMicros(micros: number, out: ByteWriter): void {
  const high = Math.floor(micros / WORD)
  out.u32(micros - high * WORD)
  out.u32(high)
}

function timeText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('time', source, start, end, 8)
  writeClock(timeMicros('time', source, start), out)
}

function timeParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const micros = clockMicros(text, start, end)
  if (micros < 0) throw new ParseError('time: not HH:MM:SS')
  writeTimeMicros(micros, out)
}

const textual = textCodec({ text: timeText, parse: timeParse })

const native: Codec = {
  column: { kind: 'time' },
  overflows: true,
  decode(source, start, end, out) {
    checkPayload('time', source, start, end, 8)
    if (timeMicros('time', source, start) === MICROS_PER_DAY) {
      out.pushNull()
      return false
    }
    ;(out as WordVector).push2(readI32(source, start), readI32(source, start + 4))
    return true
  },
  encode(column, row, out) {
    const words = (column as WordVector).words
    out.u32(words[row * 2]!)
    out.u32(words[row * 2 + 1]!)
  },
  text: timeText,
  parse: timeParse,
}

/** time ↔ string (profile portable) or time in microseconds (iceberg; 24:00:00 overflows). */
export function timeCodec(context: Pick<CodecContext, 'profile'>): Codec {
  return context.profile === 'iceberg' ? native : textual
}
