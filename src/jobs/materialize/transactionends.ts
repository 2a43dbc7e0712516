import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { formatWalPosition, type WalPosition, type Xid } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { breathe } from '../../io/process/interruption.ts'
import type { WalPlace } from '../../io/walsource/inventory.ts'
import { openWal } from '../../io/walsource/walsource.ts'
import type { TransactionStatus } from '../../lake/state/status.ts'
import type { RecordedEnd } from '../../lake/state/transactions.ts'
import type { WalRecord } from '../../wal/record.ts'
import { RM_XACT_ID } from '../../wal/rmgr.ts'
import { XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_OPMASK } from '../../wal/xact.ts'

const ENDS = [XLOG_XACT_COMMIT, XLOG_XACT_ABORT, XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_ABORT_PREPARED]
/** Records between two looks at what else there is to do. */
const BREATHE_EVERY = 1 << 14

/** WAL between two states of a lake. */
export interface WalBetween {
  wal: WalPlace
  from: WalPosition
  to: WalPosition
  /** The timeline of the later state. */
  timeline: number
  major: PgMajor
  systemIdentifier: bigint
}

/**
 * Where and when transactions ended, as their commit and abort records say; those that ended without one, since their server fell, are not among them.
 * @param nextXid full one, at `to`: no record is of a transaction from it on
 * @returns by full xid
 * @throws EnvironmentError wal.*, file.*; CorruptionError wal.*
 */
export async function transactionEnds(between: WalBetween, nextXid: number): Promise<Map<number, RecordedEnd>> {
  const found = new Map<number, RecordedEnd>()
  if (between.to <= between.from) return found
  const { wal, from: start, to, timeline, major, systemIdentifier } = between
  const source = openWal(wal, { start, exact: true, timeline, major, systemIdentifier })
  const full = (xid: Xid): number => nextXid - ((nextXid % 0x100000000 - xid) >>> 0)
  const end = new XactEnd()
  try {
    let records = 0
    for (let record = source.read(); record !== undefined && record.endLsn <= to; record = source.read()) {
      if (++records % BREATHE_EVERY === 0) await breathe()
      if (!isEnd(record)) continue
      end.decode(record, major)
      const top = full(end.xid)
      const ended = { top, committed: end.committed, lsn: record.endLsn, time: Number(end.time) + POSTGRES_EPOCH_SECONDS * 1_000_000 }
      for (let i = -1; i < end.subxactCount; i++) {
        const xid = i < 0 ? top : full(end.subxact(i))
        found.set(xid, { xid, ...ended })
      }
    }
    return found
  } finally {
    source.close()
  }
}

function isEnd({ rmgr, info }: WalRecord): boolean {
  return rmgr === RM_XACT_ID && ENDS.includes(info & XLOG_XACT_OPMASK)
}

/** As a state has it. */
export function recordedStatus({ committed, lsn, time }: RecordedEnd): TransactionStatus {
  return { ended: committed ? 'committed' : 'aborted', lsn: formatWalPosition(lsn), time }
}
