import { EnvironmentError } from '../common/errors.ts'
import type { Xid } from '../common/ids.ts'
import type { FullXid } from '../xact/transactionstate.ts'

const FULL = 0x100000000
/** Two xids that both are in use lie at most half the circle apart. */
const HALF = 0x80000000

/** What tells the next transaction id of a cluster whose pg_control is lost. */
export interface XidEvidence {
  /** The next xid that the caller gave. */
  given?: FullXid | undefined
  /** The next xid in the last checkpoint record of pg_wal. */
  checkpoint?: FullXid | undefined
  /** No record follows that checkpoint. */
  isLast: boolean
  /** Full xids in the names of files in pg_twophase, as of Postgres 17. */
  prepared: readonly FullXid[]
  /** One behind the last transaction whose status pg_xact has, and the first one that it has room for. */
  clog: { next: Xid; oldest: Xid }
  /** The latest transaction of a WAL record behind the checkpoint; 0 without one. */
  walXid: Xid
  /** The latest committed xmin on pages, and the numerically highest frozen one; 0 without one. */
  pages: { committed: Xid; frozen: Xid }
}

/**
 * The next full xid, from the best evidence there is. On disk, only checkpoint records, and names in pg_twophase since 17, have an epoch.
 * @returns also which evidence it is from, for people
 * @throws EnvironmentError datadir.next-xid if xids have wrapped and no evidence says how often, or if the given one is impossible
 */
export function findNextXid(evidence: XidEvidence): { nextXid: FullXid; how: string } {
  const { given, checkpoint, isLast, prepared, clog, walXid, pages } = evidence
  const anchor = checkpoint ?? prepared.reduce<FullXid | undefined>((last, xid) => (last && number(last) > number(xid) ? last : xid), undefined)
  const behind = [clog.next, ...[walXid, pages.committed].filter((xid) => xid !== 0).map((xid) => xid + 1)]
  if (given !== undefined) {
    checkGiven(given, anchor, behind)
    return { nextXid: given, how: `next transaction ${text(given)} as it was given` }
  }
  if (anchor === undefined) {
    if (clog.oldest > clog.next || pages.frozen >= latest(clog.next, behind)) throw needed(clog, pages.frozen)
    const nextXid = split(latest(clog.next, behind))
    return { nextXid, how: `next transaction ${text(nextXid)} from pg_xact and pages; that ids never went round is likely, since no page has a higher one` }
  }
  const nextXid = isLast ? anchor : split(latest(number(anchor), behind))
  const source = checkpoint !== undefined ? 'the last checkpoint in pg_wal' : 'a name in pg_twophase'
  return { nextXid, how: `next transaction ${text(nextXid)} from ${source}${number(nextXid) > number(anchor) ? ' and what is behind it' : ''}` }
}

/** The latest of `from` and of xids that lie up to half the circle ahead of it. */
function latest(from: number, xids: readonly Xid[]): number {
  return xids.reduce((last, xid) => {
    const ahead = (xid - (last % FULL) + FULL) % FULL
    return ahead < HALF ? last + ahead : last
  }, from)
}

function checkGiven(given: FullXid, anchor: FullXid | undefined, behind: readonly Xid[]): void {
  const wanted = number(given)
  const least = latest(anchor === undefined ? wanted : number(anchor), behind)
  if (wanted >= least && (anchor === undefined || wanted - least < HALF)) return
  const says = anchor === undefined ? `a transaction before ${least % FULL} ran here` : `here the next one is at least ${text(split(least))}`
  throw new EnvironmentError('datadir.next-xid', `--next-xid ${text(given)} is impossible: ${says}; ask the latest pg_controldata of this cluster for NextXID`)
}

function needed({ next, oldest }: XidEvidence['clog'], frozen: Xid): EnvironmentError {
  const sign = oldest > next ? `pg_xact goes from ${oldest} to ${next}` : `pg_xact ends before ${next}, but pages have transaction ${frozen}`
  const reason = `transaction ids have wrapped (${sign}), and nothing here tells how often; say --next-xid <epoch>:<xid>, which pg_controldata calls NextXID`
  return new EnvironmentError('datadir.next-xid', reason)
}

function number({ epoch, low }: FullXid): number {
  return epoch * FULL + low
}

function split(xid: number): FullXid {
  return { low: xid % FULL, epoch: Math.floor(xid / FULL) }
}

function text({ epoch, low }: FullXid): string {
  return `${epoch}:${low}`
}
