import * as v from 'valibot'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError } from '../../common/errors.ts'
import {
  count, faulty, integer, lsnText, matching, type Persisted, pieceLength, pieceStart, type Schema, unsigned32, validate,
} from '../../common/validate.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import type { EntryKey } from './entries.ts'
import { objectKey, type PageRef, parseText, type PieceRef } from './page.ts'
import { decodeStateText, encodeStateText } from './statetext.ts'

/*
 * The tree `transactions` of a state: what became of every transaction that was open at the lake's first state or began behind it. Entries are only added,
 * but for `open`.
 *
 *     open                            transactions that had not ended at the state: XidRun[]
 *     <timeline>/<LSN>/<n>            EndedTransactions between the state before and the one at this LSN; 10, 20 and 6 digits
 */

/** [first full xid, how many]. */
export type XidRun = readonly [first: number, count: number]

/** How a transaction ended; `unknown`: pg_xact has lost it, or forgotten it since VACUUM froze all its rows. */
export type TransactionEnd = 'committed' | 'aborted' | 'unknown'
const ENDS: readonly TransactionEnd[] = ['committed', 'aborted', 'unknown']

/** Transactions that ended between two states, subtransactions too. Each is in one of the two lists. */
export interface EndedTransactions {
  /** Those of a source without WAL, and those without a commit or abort record: successive full xids that ended in the same way. */
  readonly runs: readonly (readonly [first: number, count: number, end: TransactionEnd])[]
  /** What commit and abort records say. */
  readonly recorded: readonly RecordedEnd[]
}

export interface RecordedEnd {
  /** Full. */
  readonly xid: number
  /** Full xid of the transaction that it is a subtransaction of; its own for another one. */
  readonly top: number
  readonly committed: boolean
  /** End position of the record. */
  readonly lsn: number
  /** Microseconds since 1970. */
  readonly time: number
}

/** What an entry says of a piece of them, or of the open ones. */
export interface TransactionsEntry {
  /** The states between which they ended; undefined for `open`. */
  readonly between: { readonly timeline: number; readonly after: string; readonly until: string; readonly rows: number } | undefined
  readonly piece: PieceRef
}

/** Transactions of one piece. */
export const TRANSACTIONS_OF_PIECE: number = 1 << 17
/** So many bytes of JSON a piece has at most. */
const TEXT_MAX = 64 << 20
const OPEN_KEY = 'open'

const PIECE = { objects: v.strictTuple([objectKey]), start: pieceStart, length: pieceLength, crc: unsigned32,
  sha256: matching(/^[\w-]{43}$/, 'a SHA-256 in base64url') }
const OPEN_ENTRY = v.strictObject(PIECE)
const ENTRY = v.strictObject({ ...PIECE, timeline: unsigned32, after: lsnText, until: lsnText, rows: integer(1, TRANSACTIONS_OF_PIECE) })

/** Names the list of transactions that had not ended. */
export const OPEN_TRANSACTIONS: EntryKey = { tree: 'transactions', key: OPEN_KEY }

export function openTransactionsEdit({ key, ...piece }: PieceRef): EntryKey & { readonly value: object } {
  return { ...OPEN_TRANSACTIONS, value: { ...piece, objects: [key] } }
}

/** @param lsn `until` as a number @param index of the piece among those of the state */
export function endedTransactionsEdit(
  { key, ...piece }: PieceRef, between: NonNullable<TransactionsEntry['between']>, lsn: number, index: number,
): EntryKey & { readonly value: object } {
  const digits = (value: number, length: number): string => String(value).padStart(length, '0')
  return {
    tree: 'transactions', key: `${digits(between.timeline, 10)}/${digits(lsn, 20)}/${digits(index, 6)}`, value: { ...between, ...piece, objects: [key] },
  }
}

/** @throws CorruptionError lake.state with the member */
export function parseTransactionsEntry(key: string, value: unknown): TransactionsEntry {
  const persisted: Persisted = { code: 'lake.state', name: `the entry ${key} of transactions` }
  if (key === OPEN_KEY) {
    const { objects: [object], ...piece } = validate(OPEN_ENTRY, value, persisted)
    return { between: undefined, piece: { key: object, ...piece } }
  }
  if (!/^\d{10}\/\d{20}\/\d{6}$/.test(key)) throw faulty(persisted, 'its key', 'names no state')
  const { objects: [object], timeline, after, until, rows, ...piece } = validate(ENTRY, value, persisted)
  return { between: { timeline, after, until, rows }, piece: { key: object, ...piece } }
}

const fullXid = integer(3, Number.MAX_SAFE_INTEGER)
const RUNS: Schema<XidRun[]> = v.array(v.strictTuple([fullXid, integer(1, TRANSACTIONS_OF_PIECE)])) as Schema<XidRun[]>
const TRANSACTIONS = v.strictObject({
  runs: v.array(v.strictTuple([fullXid, integer(1, TRANSACTIONS_OF_PIECE), integer(0, ENDS.length - 1)])),
  xid: v.array(fullXid), top: v.array(fullXid), committed: v.array(integer(0, 1)), lsn: v.array(count),
  time: v.array(integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
})

/** Columns, since those compress better than rows. */
export function encodeEndedTransactions({ runs, recorded }: EndedTransactions, compressor?: Compressor): Uint8Array {
  return encodeStateText(JSON.stringify({
    runs: runs.map(([first, length, end]) => [first, length, ENDS.indexOf(end)]), xid: recorded.map(({ xid }) => xid), top: recorded.map(({ top }) => top),
    committed: recorded.map(({ committed }) => Number(committed)), lsn: recorded.map(({ lsn }) => lsn), time: recorded.map(({ time }) => time),
  }), compressor)
}

/** @param rows as the entry says @throws CorruptionError lake.transactions with the member */
export function decodeEndedTransactions(bytes: Uint8Array, ref: PageRef, rows: number, compressor?: Compressor): EndedTransactions {
  const persisted = persistedOf(ref)
  const { runs, xid, ...columns } = validate(TRANSACTIONS, pieceText(bytes, ref, persisted, compressor), persisted)
  for (const [name, values] of Object.entries(columns)) {
    if (values.length !== xid.length) throw faulty(persisted, name, `has ${values.length} values, and xid has ${xid.length}`)
  }
  const found = runs.reduce((sum, [, length]) => sum + length, xid.length)
  if (found !== rows) throw faulty(persisted, '', `has ${found} transactions, and its entry says ${rows}`)
  const { top, committed, lsn, time } = columns
  return {
    runs: runs.map(([first, length, end]) => [first, length, ENDS[end]!]),
    recorded: xid.map((own, i) => ({ xid: own, top: top[i]!, committed: committed[i] === 1, lsn: lsn[i]!, time: time[i]! })),
  }
}

export function encodeOpenTransactions(open: readonly XidRun[], compressor?: Compressor): Uint8Array {
  return encodeStateText(JSON.stringify(open), compressor)
}

/** @throws CorruptionError lake.transactions with the member */
export function decodeOpenTransactions(bytes: Uint8Array, ref: PageRef, compressor?: Compressor): XidRun[] {
  const persisted = persistedOf(ref)
  return validate(RUNS, pieceText(bytes, ref, persisted, compressor), persisted)
}

function persistedOf({ key, start }: PageRef): Persisted {
  return { code: 'lake.transactions', name: `the list of transactions at byte ${start} of ${key}` }
}

function pieceText(bytes: Uint8Array, ref: PageRef, persisted: Persisted, compressor: Compressor | undefined): unknown {
  if (bytes.length !== ref.length || crc32c(bytes) !== ref.crc) {
    throw new CorruptionError(persisted.code, `${persisted.name} is damaged: its ${bytes.length} bytes do not have the CRC of its reference`)
  }
  return parseText(decodeStateText(bytes, persisted, TEXT_MAX, compressor), persisted)
}
