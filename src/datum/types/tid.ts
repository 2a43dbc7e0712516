import { type ByteWriter, readU16 } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { writeDecimal } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * tid (tid.c, itemptr.h), 6 bytes: u16 block high, u16 block low, u16 offset number; text `(block,offset)`.
 */
function tidText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('tid', source, start, end, 6)
  out.u8(0x28)
  writeDecimal(out, readU16(source, start) * 65536 + readU16(source, start + 2))
  out.u8(0x2c)
  writeDecimal(out, readU16(source, start + 4))
  out.u8(0x29)
}

function scanTid(input: string, out: ByteWriter): void {
  const match = /^\((\d{1,10}),(\d{1,5})\)$/.exec(input)
  if (!match) throw new ParseError('tid: not (block,offset)')
  const block = Number(match[1])
  out.u16(block >>> 16)
  out.u16(block)
  out.u16(Number(match[2]))
}

/** tid ↔ string. */
export const tidCodec: Codec = textCodec({ text: tidText, parse: exactParse('tid', tidText, scanTid) })
