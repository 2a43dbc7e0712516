import { ByteWriter, readI32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { parseSigned64, writeUnsigned64 } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/* money (cash.c): i64 in 1/100; text under lc_monetary C: `-$1,234,567.89`. */

const words = new Int32Array(2)
const digits = new ByteWriter(32)

function moneyText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('money', source, start, end, 8)
  const low = readI32(source, start)
  const high = readI32(source, start + 4)
  const negative = high < 0
  digits.length = 0
  writeUnsigned64(digits, negative ? -low : low, negative ? (low === 0 ? -high : ~high) : high, 3)
  out.ascii(negative ? '-$' : '$')
  const point = digits.length - 2
  for (let i = 0; i < point; i++) {
    if (i > 0 && (point - i) % 3 === 0) out.u8(0x2c)
    out.u8(digits.bytes[i]!)
  }
  out.u8(0x2e)
  out.copy(digits.bytes, point, digits.length)
}

function scanMoney(input: string, out: ByteWriter): void {
  const plain = input.replace(/[$,.]/g, '').replace(/^(-?)0{1,2}(?=[0-9])/, '$1')
  digits.length = 0
  digits.ascii(plain)
  parseSigned64(digits.bytes, 0, digits.length, words)
  out.u32(words[0]!)
  out.u32(words[1]!)
}

/** money ↔ decimal(19,2) of the int64. */
export const moneyCodec: Codec = {
  column: { kind: 'decimal', precision: 19, scale: 2 },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('money', source, start, end, 8)
    const high = readI32(source, start + 4)
    ;(out as WordVector).push4(readI32(source, start), high, high >> 31, high >> 31)
    return true
  },
  encode(column, row, out) {
    const values = (column as WordVector).words
    const at = row * 4
    const high = values[at + 1]!
    if (values[at + 2] !== high >> 31 || values[at + 3] !== high >> 31) {
      throw new CorruptionError('datum.money', 'the column value does not fit 64 bits')
    }
    out.u32(values[at]!)
    out.u32(high)
  },
  text: moneyText,
  parse: exactParse('money', moneyText, scanMoney),
}
