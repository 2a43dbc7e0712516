import { FIRST_NORMAL_XID, parseLsn, walPosition } from '../../common/ids.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import { readPiece } from '../../engine/pagereader.ts'
import { breathe } from '../../io/process/interruption.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import {
  decodeOpenTransactions, encodeEndedTransactions, encodeOpenTransactions, type EndedTransactions, endedTransactionsEdit, OPEN_TRANSACTIONS,
  openTransactionsEdit, parseTransactionsEntry, type RecordedEnd, type TransactionEnd, TRANSACTIONS_OF_PIECE, type XidRun,
} from '../../lake/state/transactions.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { fullXidOf } from './catalogentries.ts'
import type { PartWriter } from './partwriter.ts'
import type { PreviousState } from './previousstate.ts'

/** Transactions between two looks at what else there is to do. */
const BREATHE_EVERY = 1 << 16

/** What ends of transactions are found from. */
export interface EndsSource {
  readonly lake: Lake
  readonly before: PreviousState
  /** The state before; its sequence is 0 for a lake without one. */
  readonly base: StateRoot
  /** Status of transactions at the new state. */
  readonly snapshot: Snapshot
  readonly position: { readonly timeline: number; readonly lsn: string }
  /** What the WAL between the two states says; by full xid. */
  readonly recorded?: ReadonlyMap<number, RecordedEnd>
}

/**
 * Entries of the transactions that ended between the state before and the new one, and of those that are open now. Each transaction that was open at the
 * lake's first state or began behind it is in one entry, once it has ended.
 * @throws CorruptionError lake.* for a damaged list of open ones
 */
export async function transactionEdits(source: EndsSource, parts: PartWriter): Promise<(EntryKey & { value?: unknown })[]> {
  const { lake: { compressor }, before, base, snapshot, position } = source
  const open = runsOf(snapshot.inProgress())
  const [known] = await before.snapshot.get([OPEN_TRANSACTIONS])
  const edits: (EntryKey & { value?: unknown })[] = []
  if (open.length > 0) edits.push(openTransactionsEdit(await parts.add(encodeOpenTransactions(open, compressor))))
  else if (known !== undefined) edits.push(OPEN_TRANSACTIONS)
  if (base.sequence === 0) return edits
  const lsn = walPosition(parseLsn(position.lsn)!)
  let index = 0
  for await (const { rows, ...ended } of pieces(source)) {
    const between = { timeline: position.timeline, after: base.lsn, until: position.lsn, rows }
    edits.push(endedTransactionsEdit(await parts.add(encodeEndedTransactions(ended, compressor)), between, lsn, index++))
  }
  return edits
}

/** Those with a record first, each by xid. */
async function* pieces(source: EndsSource): AsyncGenerator<EndedTransactions & { rows: number }> {
  const { before, snapshot, recorded = new Map<number, RecordedEnd>() } = source
  const sorted = [...recorded.values()].sort((a, b) => a.xid - b.xid)
  for (let start = 0; start < sorted.length; start += TRANSACTIONS_OF_PIECE) {
    const part = sorted.slice(start, start + TRANSACTIONS_OF_PIECE)
    yield { runs: [], recorded: part, rows: part.length }
  }
  const wanted = [...await openBefore(source), [before.cluster.nextXid, fullXidOf(snapshot) - before.cluster.nextXid] as const]
  let runs: [number, number, TransactionEnd][] = []
  let rows = 0
  let looked = 0
  const running = new Set(snapshot.inProgress())
  for (const [first, length] of wanted) {
    for (let xid = first; xid < first + length; xid++) {
      if (++looked % BREATHE_EVERY === 0) await breathe()
      if (xid % 0x100000000 < FIRST_NORMAL_XID || running.has(xid) || recorded.has(xid)) continue
      const end = endOf(xid, snapshot)
      const last = runs.at(-1)
      if (last && last[0] + last[1] === xid && last[2] === end) last[1]++
      else runs.push([xid, 1, end])
      if (++rows < TRANSACTIONS_OF_PIECE) continue
      yield { runs, recorded: [], rows }
      runs = []
      rows = 0
    }
  }
  if (rows > 0) yield { runs, recorded: [], rows }
}

/** What had not ended at the state before: in the order of their xids, each once. */
async function openBefore({ lake: { ports: { store }, compressor }, before }: EndsSource): Promise<XidRun[]> {
  const [value] = await before.snapshot.get([OPEN_TRANSACTIONS])
  const listed: number[] = before.open.map(Number)
  if (value !== undefined) {
    const { piece } = parseTransactionsEntry(OPEN_TRANSACTIONS.key, value)
    const bytes = await readPiece(store, piece)
    for (const [first, length] of decodeOpenTransactions(bytes, piece, compressor)) for (let i = 0; i < length; i++) listed.push(first + i)
  }
  return runsOf([...new Set(listed)].filter((xid) => xid < before.cluster.nextXid).sort((a, b) => a - b))
}

/** @param xids ascending */
function runsOf(xids: readonly number[]): XidRun[] {
  const runs: [number, number][] = []
  for (const xid of xids) {
    const last = runs.at(-1)
    if (last && last[0] + last[1] === xid && last[1] < TRANSACTIONS_OF_PIECE) last[1]++
    else runs.push([xid, 1])
  }
  return runs
}

function endOf(fullXid: number, snapshot: Snapshot): TransactionEnd {
  try {
    const status = snapshot.xminStatus(fullXid % 0x100000000, 0)
    return status === 'committed' || status === 'aborted' ? status : 'unknown'
  } catch (error) {
    // VACUUM froze or removed each row of it, and pg_xact forgot it.
    if (error instanceof CorruptionError && error.code === 'xact.clog-truncated') return 'unknown'
    throw error
  }
}
