import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { clockMicros, writeClock } from '../text/calendar.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { writeDecimal } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'
import { timeMicros, writeTimeMicros } from './time.ts'

/* timetz (date.c), 12 bytes: i64 microseconds since midnight, i32 zone in seconds WEST of UTC; text `12:34:56+05:30`. */

function timetzText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('timetz', source, start, end, 12)
  writeClock(timeMicros('timetz', source, start), out)
  writeZone(readI32(source, start + 8), out)
}

/** EncodeTimezone: `±HH[:MM[:SS]]`; AT TIME ZONE can make zones of any number of hours. */
function writeZone(west: number, out: ByteWriter): void {
  const total = Math.abs(west)
  const minutes = Math.floor(total / 60)
  const hours = Math.floor(minutes / 60)
  const parts = [minutes - hours * 60, total - minutes * 60]
  out.u8(west <= 0 ? 0x2b : 0x2d)
  writeDecimal(out, hours, 2)
  const shown = parts[1] !== 0 ? 2 : parts[0] !== 0 ? 1 : 0
  for (let i = 0; i < shown; i++) {
    out.u8(0x3a)
    writeDecimal(out, parts[i]!, 2)
  }
}

function scanTimetz(input: string, out: ByteWriter): void {
  const match = /^(.{8,15})([+-])(\d{2,6})(?::(\d\d))?(?::(\d\d))?$/.exec(input)
  if (!match) throw new ParseError('timetz: not a time with zone')
  const clock = Uint8Array.from(match[1]!, (char) => char.charCodeAt(0))
  const micros = clockMicros(clock, 0, clock.length)
  if (micros < 0) throw new ParseError('timetz: not HH:MM:SS')
  const seconds = Number(match[3]) * 3600 + Number(match[4] ?? 0) * 60 + Number(match[5] ?? 0)
  writeTimeMicros(micros, out)
  out.u32(match[2] === '+' ? -seconds : seconds)
}

/** timetz ↔ string. */
export const timetzCodec: Codec = textCodec({ text: timetzText, parse: exactParse('timetz', timetzText, scanTimetz) })
