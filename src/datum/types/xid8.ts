import { readI32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import { parseUnsigned64, writeUnsigned64 } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

const words = new Int32Array(2)

/** xid8 (xid8funcs.c): u64 ↔ decimal(20,0). */
export const xid8Codec: Codec = {
  column: { kind: 'decimal', precision: 20, scale: 0 },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('xid8', source, start, end, 8)
    ;(out as WordVector).push4(readI32(source, start), readI32(source, start + 4), 0, 0)
    return true
  },
  encode(column, row, out) {
    const values = (column as WordVector).words
    const at = row * 4
    if (values[at + 2] !== 0 || values[at + 3] !== 0) throw new CorruptionError('datum.xid8', 'the column value does not fit 64 bits')
    out.u32(values[at]!)
    out.u32(values[at + 1]!)
  },
  text(source, start, end, out) {
    checkPayload('xid8', source, start, end, 8)
    writeUnsigned64(out, readI32(source, start), readI32(source, start + 4))
  },
  parse(text, start, end, out) {
    parseUnsigned64(text, start, end, words)
    out.u32(words[0]!)
    out.u32(words[1]!)
  },
}
