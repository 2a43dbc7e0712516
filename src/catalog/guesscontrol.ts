import { dataView, readU16 } from '../common/bytes.ts'
import type { Lsn } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { pageChecksum } from '../page/checksum.ts'
import { isZeroPage, PAGESIZE_VERSION, PD_CHECKSUM, PD_PAGESIZE_VERSION, readPageHeader } from '../page/header.ts'
import { readWalPageHeader, SIZE_OF_LONG_PAGE_HEADER, WAL_PAGE_SIZE } from '../wal/pageheader.ts'
import { catalogVersionOf, type ControlFile } from './controlfile.ts'
import type { GuessedCounters } from './guesstransactions.ts'

export interface GuessedControl {
  control: ControlFile
  /** The highest pd_lsn: of the last record that changed a page. */
  lsn: Lsn
  /** How each part was found, for people. */
  how: string
}

/** What the first page of a WAL segment says of the server. */
export interface WalServer {
  systemIdentifier: bigint
  segmentSize: number
  timeline: number
}

/**
 * What pg_control would say, from pages, WAL, pg_xact and pg_multixact. Whether the server was shut down cleanly nothing tells: the pages
 * are taken as they are.
 * @param wal of its newest segment, if there is one
 */
export function guessControl(major: PgMajor, wal: WalServer | undefined, { lsn, right, wrong }: PageSurvey, transactions: GuessedCounters): GuessedControl {
  const control: ControlFile = {
    systemIdentifier: wal?.systemIdentifier ?? 0n, controlVersion: 0, catalogVersion: catalogVersionOf(major), state: 'shut down', checkpoint: 0n,
    redo: 0n, timeline: wal?.timeline ?? 1, nextOid: 0, ...transactions, checksums: right > wrong, walSegmentSize: wal?.segmentSize ?? 1 << 24,
    checkpointTime: 0, oldestActiveXid: 0, minRecoveryPoint: 0n, minRecoveryPointTimeline: 0, backupStartPoint: 0n, backupEndPoint: 0n,
    backupEndRequired: false, walLevel: 1, walLogHints: false,
  }
  const identity = wal ? `system identifier ${wal.systemIdentifier} from WAL` : 'no WAL tells the system identifier, 0 stands for it'
  const sums = `data checksums ${control.checksums ? 'on' : 'off'}: ${right} pages have the right one, ${wrong} another`
  const xid = `next transaction ${transactions.nextXid.low} from pg_xact, its epoch not known and taken for 0`
  const how = `${identity}; ${sums}; ${xid}; whether the server was shut down cleanly is not known`
  return { control, lsn, how }
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

  look(page: Uint8Array, block: number): void {
    if (readU16(page, PD_PAGESIZE_VERSION) !== PAGESIZE_VERSION || isZeroPage(page)) return
    const stored = readU16(page, PD_CHECKSUM)
    const isRight = stored !== 0 && stored === pageChecksum(page, block)
    if (isRight) this.right++
    else if (stored !== 0) this.wrong++
    // A page that says so itself is not asked for its LSN.
    if (stored !== 0 && !isRight) return
    const { lsn } = readPageHeader(dataView(page))
    if (lsn > this.lsn) this.lsn = lsn
  }
}
