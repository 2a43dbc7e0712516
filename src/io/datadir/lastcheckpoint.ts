import type { LastCheckpoint } from '../../catalog/guesscontrol.ts'
import { CorruptionError, EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { type WalPosition, type Xid, xidPrecedes } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { RM_XLOG_ID } from '../../wal/rmgr.ts'
import { type CheckPoint, decodeCheckPoint, XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_SHUTDOWN } from '../../wal/xlog.ts'
import { openWal, type WalSource } from '../walsource/walsource.ts'

/**
 * Reads the newest segment from its beginning, then the one before it, until one has a checkpoint. A segment that the server recycled has the name of
 * a later one, and its old records are not those of that place.
 * @returns undefined if there is no WAL of this major, or none that can be read up to a checkpoint
 * @throws EnvironmentError file.*
 */
export function findLastCheckpoint(pgWal: string, major: PgMajor): LastCheckpoint | undefined {
  try {
    const wal = openWal(pgWal, { major })
    const { segmentSize, systemIdentifier } = wal
    const found = new Found()
    for (const number of wal.segmentNumbers.reverse()) if (readFrom(wal, number * segmentSize, (number + 1) * segmentSize, found)) break
    const { checkpoint, behind, latestXid } = found
    if (checkpoint === undefined) return undefined
    const { checkPoint, start, end, shutdown } = checkpoint
    return { checkPoint, start, end, clean: shutdown && behind === 0, latestXid, systemIdentifier, segmentSize, timeline: checkPoint.thisTimeline }
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof UnsupportedError) return undefined
    // A folder without WAL, with another major's WAL or with a gap tells nothing.
    if (error instanceof EnvironmentError && (error.code === 'file.missing' || error.code.startsWith('wal.'))) return undefined
    throw error
  }
}

class Found {
  checkpoint: { checkPoint: CheckPoint; start: WalPosition; end: WalPosition; shutdown: boolean } | undefined
  /** Records behind it. */
  behind = 0
  latestXid: Xid = 0

  seen(xid: Xid): void {
    if (xid !== 0 && (this.latestXid === 0 || xidPrecedes(this.latestXid, xid))) this.latestXid = xid
  }
}

/** Records that begin in one segment. @returns whether a checkpoint is among them */
function readFrom(wal: WalSource, start: WalPosition, end: WalPosition, later: Found): boolean {
  wal.seek(start)
  const own = new Found()
  try {
    for (let record = wal.read(); record !== undefined && record.startLsn < end; record = wal.read()) {
      const { rmgr, op, startLsn, endLsn, xid } = record
      if (rmgr === RM_XLOG_ID && (op === XLOG_CHECKPOINT_SHUTDOWN || op === XLOG_CHECKPOINT_ONLINE)) {
        own.checkpoint = { checkPoint: decodeCheckPoint(record, wal.major), start: startLsn, end: endLsn, shutdown: op === XLOG_CHECKPOINT_SHUTDOWN }
        own.behind = 0
        own.latestXid = 0
      } else {
        own.behind++
        own.seen(xid)
      }
    }
  } finally {
    wal.close()
  }
  later.behind += own.behind
  later.seen(own.latestXid)
  later.checkpoint = own.checkpoint
  return own.checkpoint !== undefined
}
