import { WalRecord } from '../../src/wal/record.ts'

/** A record of main data alone, as the reader would hand it out. */
export function recordOf(fields: { rmgr: number; info: number; main: Uint8Array; xid?: number; startLsn?: number }): WalRecord {
  const record = new WalRecord()
  const { rmgr, info, main, xid = 0, startLsn = 0x1000028 } = fields
  // Bytes around it, so that reading past either end finds something.
  record.bytes = new Uint8Array(main.length + 32).fill(0xee)
  record.bytes.set(main, 16)
  record.view = new DataView(record.bytes.buffer)
  record.mainStart = 16
  record.mainLength = main.length
  record.rmgr = rmgr
  record.info = info
  record.xid = xid
  record.startLsn = startLsn
  record.endLsn = startLsn + 64
  return record
}
