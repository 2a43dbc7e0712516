/** WAL records made from their parts, as xloginsert.c puts them together; decoded by the code under test. */
import { ByteWriter, hexDecode } from '../../src/common/bytes.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import type { RelFileLocator } from '../../src/common/rel.ts'
import { WalRecord } from '../../src/wal/record.ts'

export const RELATION: RelFileLocator = { spcOid: 1663, dbOid: 16384, relNumber: 16448 }

export interface BlockParts {
  id?: number
  fork?: number
  locator?: RelFileLocator
  block?: number
  willInit?: boolean
  /** Hex. */
  data?: string
  /** A whole page, stored plain and without a hole. */
  image?: Uint8Array
  /** Only for wal_consistency_checking. */
  checkOnly?: boolean
}

export interface RecordParts {
  major?: PgMajor
  rmgr: number
  info: number
  xid?: number
  blocks?: BlockParts[]
  /** Hex. */
  main?: string
  endLsn?: number
}

export const RECORD_START = 0x1000000

export function makeRecord({ major = 17, rmgr, info, xid = 0, blocks = [], main = '', endLsn = RECORD_START + 0x100 }: RecordParts): WalRecord {
  const headers = new ByteWriter()
  const payload = new ByteWriter()
  for (const [i, block] of blocks.entries()) addBlock(headers, payload, { id: i, ...block }, major)
  const mainData = hexDecode(main.replaceAll(/\s/g, ''))
  if (mainData.length > 0) {
    headers.u8(254)
    headers.u32(mainData.length)
  }
  payload.copy(mainData)
  const out = new ByteWriter()
  out.u32(24 + headers.length + payload.length)
  out.u32(xid)
  out.i64(0n)
  out.u8(info)
  out.u8(rmgr)
  out.u16(0)
  out.u32(0)
  out.copy(headers.take())
  out.copy(payload.take())
  return decodeRecord(out.take(), major, endLsn)
}

/** A whole record in hex, header and all. */
export function recordFromHex(hex: string, major: PgMajor, endLsn: number): WalRecord {
  return decodeRecord(hexDecode(hex.replaceAll(/\s/g, '')), major, endLsn)
}

export function decodeRecord(bytes: Uint8Array, major: PgMajor, endLsn: number): WalRecord {
  const record = new WalRecord()
  record.decode(bytes, new DataView(bytes.buffer), 0, RECORD_START, endLsn, major)
  return record
}

function addBlock(headers: ByteWriter, payload: ByteWriter, parts: BlockParts, major: PgMajor): void {
  const { id = 0, fork = 0, locator = RELATION, block = 0, willInit = false, data = '', image, checkOnly = false } = parts
  const bytes = hexDecode(data.replaceAll(/\s/g, ''))
  headers.u8(id)
  headers.u8(fork | (image ? 0x10 : 0) | (bytes.length > 0 ? 0x20 : 0) | (willInit ? 0x40 : 0))
  headers.u16(bytes.length)
  if (image) {
    headers.u16(image.length)
    headers.u16(0)
    headers.u8(checkOnly ? 0 : major === 14 ? 0x04 : 0x02)
    payload.copy(image)
  }
  for (const word of [locator.spcOid, locator.dbOid, locator.relNumber, block]) headers.u32(word)
  payload.copy(bytes)
}
