import type { Lake } from '../../engine/lake.ts'
import { readPiece } from '../../engine/pagereader.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { decodeEndedTransactions, type EndedTransactions, parseTransactionsEntry } from '../../lake/state/transactions.ts'

/** Transactions that ended between two states. */
export interface TransactionsPiece {
  /** Key of its entry: those of later states are greater. */
  readonly entry: string
  readonly timeline: number
  readonly after: string
  readonly until: string
  readonly rows: number
  readonly piece: PieceRef
}

/** All of a state, the earliest first. @throws CorruptionError lake.state */
export async function transactionsPieces(snapshot: Snapshot): Promise<TransactionsPiece[]> {
  const pieces: TransactionsPiece[] = []
  await snapshot.scan('transactions', (entry, value) => {
    const { between, piece } = parseTransactionsEntry(entry, value)
    if (between !== undefined) pieces.push({ entry, ...between, piece })
  })
  return pieces.sort((a, b) => (a.entry < b.entry ? -1 : 1))
}

/** @throws CorruptionError lake.transactions, lake.missing-object; EnvironmentError store.* */
export async function readEnded({ ports: { store }, compressor }: Lake, { piece, rows }: TransactionsPiece): Promise<EndedTransactions> {
  return decodeEndedTransactions(await readPiece(store, piece), piece, rows, compressor)
}
