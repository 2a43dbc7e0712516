import * as v from 'valibot'
import { CorruptionError } from '../../common/errors.ts'
import { integer, lsnText, type Schema } from '../../common/validate.ts'
import { type EntryKey, parseEntry } from './entries.ts'

/**
 * What became of a transaction, by full xid. From WAL its commit or abort record has an LSN (its end position) and a time in microseconds since 1970; a
 * source without WAL only says between which two states it ended. `open`: it has not ended, and rows of some file depend on it.
 */
export type TransactionStatus =
  | { readonly ended: 'committed' | 'aborted'; readonly lsn: string; readonly time: number }
  | { readonly ended: 'committed' | 'aborted'; readonly after: string; readonly until: string }
  | { readonly ended: 'open' }

const ENDED = v.picklist(['committed', 'aborted'], 'committed or aborted')
const STATUS: Schema<TransactionStatus> = v.union([
  v.strictObject({ ended: ENDED, lsn: lsnText, time: integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) }),
  v.strictObject({ ended: ENDED, after: lsnText, until: lsnText }),
  v.strictObject({ ended: v.literal('open', 'open') }),
], 'how a transaction ended')

/** @param fullXid 64 bits: epoch and xid */
export function statusKey(fullXid: bigint): EntryKey {
  return { tree: 'status', key: String(fullXid).padStart(20, '0') }
}

export function statusEdit(fullXid: bigint, status: TransactionStatus): EntryKey & { readonly value: TransactionStatus } {
  return { ...statusKey(fullXid), value: status }
}

/** The full xid that {@link statusKey} was given. @throws CorruptionError lake.state for a key that it does not make */
export function statusXid({ key }: Pick<EntryKey, 'key'>): bigint {
  const xid = /^\d{20}$/.test(key) ? BigInt(key) : undefined
  if (xid !== undefined && xid < 1n << 64n) return xid
  throw new CorruptionError('lake.state', `the entry ${key} of status is damaged: its key names no transaction`)
}

/** @throws CorruptionError lake.state with the member */
export function parseStatus(value: unknown, entry: EntryKey): TransactionStatus {
  return parseEntry(STATUS, value, entry)
}
