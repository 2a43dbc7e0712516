import { type ByteWriter, readU32 } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse } from '../text/exactparse.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'

/* pg_lsn (pg_lsn.c): u64; text %X/%X of its halves. */
function lsnText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('pg_lsn', source, start, end, 8)
  const high = readU32(source, start + 4).toString(16)
  const low = readU32(source, start).toString(16)
  out.ascii(`${high}/${low}`.toUpperCase())
}

function scanLsn(input: string, out: ByteWriter): void {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/.exec(input)
  if (!match) throw new ParseError('pg_lsn: not %X/%X')
  out.u32(Number.parseInt(match[2]!, 16))
  out.u32(Number.parseInt(match[1]!, 16))
}

/** pg_lsn ↔ string. */
export const lsnCodec: Codec = textCodec({ text: lsnText, parse: exactParse('pg_lsn', lsnText, scanLsn) })
