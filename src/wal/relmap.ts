import type { Oid } from '../common/ids.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_RELMAP_ID (relmapper.h). */
export const XLOG_RELMAP_UPDATE = 0x00

export interface RelmapUpdate {
  /** 0 for the shared map. */
  dbOid: Oid
  spcOid: Oid
  /** The whole pg_filenode.map, a copy. */
  bytes: Uint8Array
}

const data = new MainData('wal.relmap')

/** @throws CorruptionError wal.relmap */
export function decodeRelmapUpdate(record: WalRecord): RelmapUpdate {
  data.open(record)
  const dbOid = data.u32()
  const spcOid = data.u32()
  const bytes = data.bytes(data.count(1))
  data.finish()
  return { dbOid, spcOid, bytes }
}
