import { dataView, readU16, readU32 } from '../common/bytes.ts'
import { EnvironmentError } from '../common/errors.ts'
import { FIRST_NORMAL_XID, type Lsn, type WalPosition, type Xid, xidPrecedes } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { pageChecksum } from '../page/checksum.ts'
import {
  isZeroPage, PAGESIZE_VERSION, PD_CHECKSUM, PD_LOWER, PD_PAGESIZE_VERSION, PD_SPECIAL, readPageHeader, SIZE_OF_PAGE_HEADER,
} from '../page/header.ts'
import { LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { SIZE_OF_TUPLE_HEADER, T_INFOMASK, T_XMIN } from '../tuple/header.ts'
import { HEAP_XMIN_COMMITTED, HEAP_XMIN_FROZEN } from '../tuple/infomask.ts'
import type { CheckPoint } from '../wal/xlog.ts'
import type { FullXid } from '../xact/transactionstate.ts'
import { readWalPageHeader, SIZE_OF_LONG_PAGE_HEADER, WAL_PAGE_SIZE } from '../wal/pageheader.ts'
import { catalogVersionOf, type ControlFile } from './controlfile.ts'
import type { GuessedCounters } from './guesstransactions.ts'
import { findNextXid } from './nextxid.ts'

const UNCLEAN = 'the WAL goes on behind the last checkpoint in pg_wal, so the server was not shut down cleanly and pages may be older than their WAL'
const FULL_XID_NAME = /^[0-9A-F]{16}$/

/** What the user knows of a cluster whose pg_control is lost. */
export interface KnownControl {
  systemIdentifier?: bigint | undefined
  nextXid?: FullXid | undefined
}

export interface GuessedControl {
  control: ControlFile
  /** End of the last checkpoint record in pg_wal if nothing is behind it; else the highest pd_lsn. */
  lsn: Lsn
  /** The highest pd_lsn: where the last record ends that changed a page. */
  pageLsn: Lsn
  /** pg_wal says that the server was shut down cleanly: it ends with a shutdown checkpoint. Undefined: there is no WAL that tells. */
  clean: boolean | undefined
  /** How each part was found, for people. */
  how: string
}

/** The last checkpoint record of a pg_wal, which pg_control has a copy of. */
export interface LastCheckpoint extends WalServer {
  checkPoint: CheckPoint
  /** Where its record begins, and where it ends. */
  start: WalPosition
  end: WalPosition
  /** It is a shutdown checkpoint and nothing is behind it: the server was shut down cleanly. */
  clean: boolean
  /** The latest transaction that a record behind it is of; 0 without one. */
  latestXid: Xid
}

/** What the first page of a WAL segment says of the server. */
export interface WalServer {
  systemIdentifier: bigint
  segmentSize: number
  timeline: number
}

/** What a data directory without pg_control has. */
export interface ControlEvidence {
  /** The last one in pg_wal, if it has one that can be read. */
  checkpoint: LastCheckpoint | undefined
  /** What the newest segment of pg_wal says, if there is one. */
  wal: WalServer | undefined
  survey: PageSurvey
  /** What pg_xact and pg_multixact say. */
  counters: GuessedCounters
  /** Names of the files in pg_twophase. */
  twophase: readonly string[]
}

/**
 * What pg_control would say, from the last checkpoint in pg_wal, pages, pg_xact and pg_multixact. Pages are taken as they are, whether or not the
 * server was shut down cleanly.
 * @throws EnvironmentError datadir.next-xid, datadir.system-identifier
 */
export function guessControl(major: PgMajor, evidence: ControlEvidence, known: KnownControl = {}): GuessedControl {
  const { checkpoint, survey, counters, twophase } = evidence
  const wal: WalServer | undefined = checkpoint ?? evidence.wal
  const { checkPoint } = checkpoint ?? {}
  // WAL may have been lost behind a checkpoint.
  const clean = checkpoint?.clean === true && survey.lsn <= BigInt(checkpoint.end)
  const { nextXid, how } = findNextXid({
    given: known.nextXid, checkpoint: checkPoint?.nextXid, isLast: clean, prepared: preparedFullXids(twophase), walXid: checkpoint?.latestXid ?? 0,
    pages: survey, clog: { next: counters.nextXid.low, oldest: counters.oldestXid },
  })
  const { oldestXid, nextMulti, nextMultiOffset, oldestMulti } = clean ? checkPoint! : counters
  const checksums = survey.right > survey.wrong
  const control: ControlFile = {
    systemIdentifier: identifierOf(wal?.systemIdentifier, known.systemIdentifier), controlVersion: 0, catalogVersion: catalogVersionOf(major),
    state: 'shut down', checkpoint: BigInt(checkpoint?.start ?? 0), redo: BigInt(checkPoint?.redo ?? 0),
    timeline: checkPoint?.thisTimeline ?? wal?.timeline ?? 1, nextXid, nextOid: checkPoint?.nextOid ?? 0, oldestXid, nextMulti, nextMultiOffset, oldestMulti,
    checksums, walSegmentSize: wal?.segmentSize ?? 1 << 24, checkpointTime: Number(checkPoint?.time ?? 0), oldestActiveXid: 0, minRecoveryPoint: 0n,
    minRecoveryPointTimeline: 0, backupStartPoint: 0n, backupEndPoint: 0n, backupEndRequired: false, walLevel: 1, walLogHints: false,
    trackCommitTimestamp: false,
  }
  const identity = wal !== undefined ? `system identifier ${wal.systemIdentifier} from WAL`
    : known.systemIdentifier !== undefined ? `system identifier ${known.systemIdentifier} as it was given`
      : 'no WAL tells the system identifier, 0 stands for it (--system-identifier)'
  const sums = `data checksums ${checksums ? 'on' : 'off'}: ${survey.right} pages have the right one, ${survey.wrong} another`
  const state = clean ? 'pg_wal ends with a shutdown checkpoint' : checkpoint === undefined ? 'whether the server was shut down cleanly is not known' : UNCLEAN
  const found = `${identity}; ${sums}; ${how}; ${state}`
  return { control, lsn: clean ? BigInt(checkpoint.end) : survey.lsn, pageLsn: survey.lsn, clean: checkpoint && clean, how: found }
}

function identifierOf(found: bigint | undefined, given: bigint | undefined): bigint {
  if (found === undefined || given === undefined || found === given) return found ?? given ?? 0n
  throw new EnvironmentError('datadir.system-identifier', `its pg_wal is of the cluster ${found}, not of ${given}, as --system-identifier says`)
}

/** Since 17 the name of a file in pg_twophase is the full xid of its transaction. */
function preparedFullXids(names: readonly string[]): FullXid[] {
  return names.filter((name) => FULL_XID_NAME.test(name))
    .map((name) => ({ epoch: Number.parseInt(name.slice(0, 8), 16), low: Number.parseInt(name.slice(8), 16) }))
}

/** @param head the first bytes of a WAL segment @returns undefined if they do not begin as one does */
export function walServerOf(head: Uint8Array): WalServer | undefined {
  if (head.length < SIZE_OF_LONG_PAGE_HEADER) return undefined
  const { long, timeline } = readWalPageHeader(dataView(head), 0)
  // Segments that were recycled keep an old header: it is this server's, too.
  return long?.pageSize === WAL_PAGE_SIZE && long.segmentSize >= 1 << 20 ? { ...long, timeline } : undefined
}

/** What pages tell of the cluster that they are of. */
export class PageSurvey {
  /** The highest pd_lsn. */
  lsn: Lsn = 0n
  /** Pages with a checksum that is right, and with another one. */
  right = 0
  wrong = 0
  /** The latest committed xmin, and the numerically highest frozen one; 0 without one. */
  committed: Xid = 0
  frozen: Xid = 0

  look(page: Uint8Array, block: number): void {
    if (readU16(page, PD_PAGESIZE_VERSION) !== PAGESIZE_VERSION || isZeroPage(page)) return
    const stored = readU16(page, PD_CHECKSUM)
    const isRight = stored !== 0 && stored === pageChecksum(page, block)
    if (isRight) this.right++
    else if (stored !== 0) this.wrong++
    // A page with a wrong checksum may be damaged, so its LSN does not count.
    if (stored !== 0 && !isRight) return
    const { lsn } = readPageHeader(dataView(page))
    if (lsn > this.lsn) this.lsn = lsn
    this.lookAtTuples(page)
  }

  /** Reads the xmins that a hint bit calls committed: a server believes these bits, too. Only heap pages have no special area. */
  private lookAtTuples(page: Uint8Array): void {
    if (readU16(page, PD_SPECIAL) !== BLOCK_SIZE) return
    const end = Math.min(readU16(page, PD_LOWER), BLOCK_SIZE)
    for (let at = SIZE_OF_PAGE_HEADER; at + 4 <= end; at += 4) {
      const word = readU32(page, at)
      const off = lpOff(word)
      if (lpFlags(word) !== LP_NORMAL || lpLen(word) < SIZE_OF_TUPLE_HEADER || off < end || off + lpLen(word) > BLOCK_SIZE) continue
      const xmin = readU32(page, off + T_XMIN)
      const hint = readU16(page, off + T_INFOMASK) & HEAP_XMIN_FROZEN
      if (xmin < FIRST_NORMAL_XID) continue
      if (hint === HEAP_XMIN_FROZEN) this.frozen = Math.max(this.frozen, xmin)
      else if (hint === HEAP_XMIN_COMMITTED && (this.committed === 0 || xidPrecedes(this.committed, xmin))) this.committed = xmin
    }
  }
}
