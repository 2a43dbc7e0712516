import { type ByteWriter, readI64, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import { strictParse } from '../text/strict.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * pg_snapshot, txid_snapshot (xid8funcs.c), payload: u32 nxip, u64 xmin, u64 xmax, u64 xip[nxip]
 */
const SNAPSHOT_HEADER = 20

function snapshotText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start < SNAPSHOT_HEADER) throw new CorruptionError('datum.pg_snapshot', `${end - start} bytes`)
  const nxip = readU32(source, start)
  if (end - start !== SNAPSHOT_HEADER + nxip * 8) throw new CorruptionError('datum.pg_snapshot', `${nxip} xids in ${end - start} bytes`)
  out.ascii(`${u64(source, start + 4)}:${u64(source, start + 12)}:`)
  for (let at = start + SNAPSHOT_HEADER; at < end; at += 8) {
    if (at > start + SNAPSHOT_HEADER) out.u8(0x2c)
    out.ascii(u64(source, at))
  }
}

function u64(source: Uint8Array, at: number): string {
  return String(BigInt.asUintN(64, readI64(source, at)))
}

function snapshotParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const from = out.length
  out.u32(0)
  parseU64(reader.until(':'), out)
  reader.expect(':')
  parseU64(reader.until(':'), out)
  reader.expect(':')
  let nxip = 0
  for (; !reader.done; nxip++) {
    if (nxip > 0) reader.expect(',')
    parseU64(reader.until(','), out)
  }
  out.setU32(from, nxip)
}

function parseU64(digits: string, out: ByteWriter): void {
  if (!/^[0-9]{1,20}$/.test(digits)) throw new ParseError('pg_snapshot: not a full xid')
  out.i64(BigInt.asIntN(64, BigInt(digits)))
}

/** pg_snapshot and txid_snapshot. */
export const pgSnapshotCodec: Codec = textCodec(strictParse({ text: snapshotText, parse: snapshotParse }))
