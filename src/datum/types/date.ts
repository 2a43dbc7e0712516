import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { END_NATIVE_DAY, FIRST_NATIVE_DAY, julianDay, POSTGRES_EPOCH_JULIAN, UNIX_TO_POSTGRES_DAYS, writeDate } from '../text/calendar.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/*
 * date (date.c): i32 days since 2000-01-01. DATEVAL_NOEND 0x7fffffff = infinity, DATEVAL_NOBEGIN 0x80000000 = -infinity.
 * Valid are 4714-11-24 BC to 5874897-12-31; other days can only come from old servers that did not check, and print as there.
 */
const INFINITY = 0x7fffffff
const MINUS_INFINITY = -0x80000000

function dateText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('date', source, start, end, 4)
  const days = readI32(source, start)
  if (days === INFINITY) out.ascii('infinity')
  else if (days === MINUS_INFINITY) out.ascii('-infinity')
  else if (writeDate(days + POSTGRES_EPOCH_JULIAN, out)) out.ascii(' BC')
}

function scanDate(input: string, out: ByteWriter): void {
  if (input === 'infinity' || input === '-infinity') {
    out.u32(input === 'infinity' ? INFINITY : MINUS_INFINITY)
    return
  }
  const match = /^(\d{4,8})-(\d\d)-(\d\d)( BC)?$/.exec(input)
  if (!match) throw new ParseError('date: not YYYY-MM-DD')
  const year = match[4] ? 1 - Number(match[1]) : Number(match[1])
  out.u32(julianDay(year, Number(match[2]), Number(match[3])) - POSTGRES_EPOCH_JULIAN)
}

/** date ↔ date, days since 1970-01-01; native from 0001-01-01 to 9999-12-31. */
export const dateCodec: Codec = {
  column: { kind: 'date' },
  overflows: true,
  decode(source, start, end, out) {
    checkPayload('date', source, start, end, 4)
    const days = readI32(source, start)
    if (days < FIRST_NATIVE_DAY || days >= END_NATIVE_DAY) {
      out.pushNull()
      return false
    }
    ;(out as WordVector).push1(days + UNIX_TO_POSTGRES_DAYS)
    return true
  },
  encode(column, row, out) {
    out.u32((column as WordVector).words[row]! - UNIX_TO_POSTGRES_DAYS)
  },
  text: dateText,
  parse: exactParse('date', dateText, scanDate),
}
