import type { Oid } from '../common/ids.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_TBLSPC_ID (tablespace.h). */
export const XLOG_TBLSPC_CREATE = 0x00
export const XLOG_TBLSPC_DROP = 0x10

const data = new MainData('wal.tblspc')

/** `path` is the tablespace's directory on the primary, empty for an in-place tablespace. @throws CorruptionError wal.tblspc */
export function decodeTblspcCreate(record: WalRecord): { oid: Oid; path: Uint8Array } {
  data.open(record)
  const oid = data.u32()
  const path = data.cString()
  data.finish()
  return { oid, path }
}

/** @throws CorruptionError wal.tblspc */
export function decodeTblspcDrop(record: WalRecord): Oid {
  data.open(record)
  const oid = data.u32()
  data.finish()
  return oid
}
