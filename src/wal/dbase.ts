import type { Oid } from '../common/ids.ts'
import { UnsupportedError } from '../common/errors.ts'
import { formatWalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_DBASE_ID (dbcommands_xlog.h). Opcode 0x10 is DROP in 14; 15 gave it to CREATE_WAL_LOG and moved DROP to 0x20. */
const XLOG_DBASE_CREATE_FILE_COPY = 0x00
const XLOG_DBASE_CREATE_WAL_LOG = 0x10
const XLOG_DBASE_DROP = 0x20
const XLOG_DBASE_DROP_14 = 0x10

/** `create-file-copy` is the only CREATE of 14. */
export type DbaseRecord =
  | { kind: 'create-file-copy'; dbOid: Oid; spcOid: Oid; sourceDbOid: Oid; sourceSpcOid: Oid }
  | { kind: 'create-wal-log'; dbOid: Oid; spcOid: Oid }
  | { kind: 'drop'; dbOid: Oid; spcOids: Oid[] }

const data = new MainData('wal.dbase')

/** @throws CorruptionError wal.dbase; UnsupportedError wal.dbase for an unknown opcode */
export function decodeDbase(record: WalRecord, major: PgMajor): DbaseRecord {
  const { op } = record
  const decoded = op === XLOG_DBASE_CREATE_FILE_COPY ? createFileCopy(record)
    : op === (major === 14 ? XLOG_DBASE_DROP_14 : XLOG_DBASE_DROP) ? drop(record)
      : op === XLOG_DBASE_CREATE_WAL_LOG ? createWalLog(record)
        : undefined
  if (decoded === undefined) {
    throw new UnsupportedError('wal.dbase', `an unknown database record, info 0x${record.info.toString(16)}`, { lsn: formatWalPosition(record.startLsn) })
  }
  data.finish()
  return decoded
}

function createFileCopy(record: WalRecord): DbaseRecord {
  data.open(record)
  return { kind: 'create-file-copy', dbOid: data.u32(), spcOid: data.u32(), sourceDbOid: data.u32(), sourceSpcOid: data.u32() }
}

function createWalLog(record: WalRecord): DbaseRecord {
  data.open(record)
  return { kind: 'create-wal-log', dbOid: data.u32(), spcOid: data.u32() }
}

function drop(record: WalRecord): DbaseRecord {
  data.open(record)
  return { kind: 'drop', dbOid: data.u32(), spcOids: data.u32s(data.count(4)) }
}
