import { readI32, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import { parseUnsigned64, writeDecimal } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/* oid, xid, cid (oid.c, xid.c) and the reg* family (regproc.c): one u32, in the column as a long. */

const words = new Int32Array(2)

/** oid, xid, cid ↔ long holding the unsigned number. */
export const oidCodec: Codec & Required<Pick<Codec, 'parse'>> = {
  column: { kind: 'long' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('oid', source, start, end, 4)
    ;(out as WordVector).push2(readI32(source, start), 0)
    return true
  },
  encode(column, row, out) {
    const values = (column as WordVector).words
    if (values[row * 2 + 1] !== 0) throw new CorruptionError('datum.oid', 'the column value does not fit 32 bits')
    out.u32(values[row * 2]!)
  },
  text(source, start, end, out) {
    checkPayload('oid', source, start, end, 4)
    writeDecimal(out, readU32(source, start))
  },
  parse(text, start, end, out) {
    parseUnsigned64(text, start, end, words)
    if (words[1] !== 0) throw new ParseError('oid: out of range')
    out.u32(words[0]!)
  },
}

/**
 * regclass, regproc, regtype, … ↔ long. Names need a catalog and change with it: the text is what the output functions
 * write for an object they do not find, the number, and `-` for 0.
 */
export const regCodec: Codec = {
  ...oidCodec,
  text(source, start, end, out) {
    checkPayload('reg', source, start, end, 4)
    if (readI32(source, start) === 0) out.u8(0x2d)
    else writeDecimal(out, readU32(source, start))
  },
  parse(text, start, end, out) {
    if (end - start === 1 && text[start] === 0x2d) {
      out.u32(0)
      return
    }
    if (end - start === 1 && text[start] === 0x30) throw new ParseError('reg: 0 is written -')
    oidCodec.parse(text, start, end, out)
  },
}
