import { parseLsn, walPosition } from '../../common/ids.ts'
import type { Lake } from '../../engine/lake.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { LogRecord, LogValue } from '../../lake/publishedlog.ts'
import { readEnded, type TransactionsPiece, transactionsPieces } from '../lakes/transactionpieces.ts'
import type { LogAddition, LogSource } from './logsource.ts'

/** Pieces of a file: so many transactions. */
const PIECES_OF_FILE = 8

/** Rows of `ltap.transactions`: each transaction that was open at the lake's first state or began behind it, once it has ended. */
export class TransactionsLog implements LogSource {
  private readonly lake: Lake
  private readonly pieces: readonly TransactionsPiece[]

  private constructor(lake: Lake, pieces: readonly TransactionsPiece[]) {
    this.lake = lake
    this.pieces = pieces
  }

  /** @throws CorruptionError lake.state */
  static async read(lake: Lake, snapshot: Snapshot): Promise<TransactionsLog> {
    return new TransactionsLog(lake, await transactionsPieces(snapshot))
  }

  get content(): string {
    return this.pieces.at(-1)?.entry ?? ''
  }

  since(before: LogRecord | undefined): Promise<LogAddition> {
    const { upto } = before ?? {}
    const pieces = this.pieces.filter(({ entry }) => upto === undefined || entry > upto)
    const last = pieces.at(-1)?.entry ?? upto
    return Promise.resolve({ files: this.files(pieces), next: { ...(last !== undefined && { upto: last }) } })
  }

  /** The state has all of them, so each one is written once more. */
  withoutLost(): LogRecord {
    return { files: [] }
  }

  private async *files(pieces: readonly TransactionsPiece[]): AsyncGenerator<readonly LogValue[][]> {
    for (let start = 0; start < pieces.length; start += PIECES_OF_FILE) {
      const rows: LogValue[][] = []
      for (const piece of pieces.slice(start, start + PIECES_OF_FILE)) {
        for (const row of transactionRows(piece, await readEnded(this.lake, piece))) rows.push(row)
      }
      yield rows
    }
  }
}

/** In the order of the columns of `ltap.transactions`. */
function* transactionRows(
  { timeline, after, until }: Pick<TransactionsPiece, 'timeline' | 'after' | 'until'>, { runs, recorded }: Awaited<ReturnType<typeof readEnded>>,
): Generator<LogValue[]> {
  const bounds = [numberOf(after), numberOf(until), timeline]
  for (const { xid, top, committed, lsn, time } of recorded) yield [xid, top, committed ? 'committed' : 'aborted', lsn, time, ...bounds]
  for (const [first, length, end] of runs) {
    for (let xid = first; xid < first + length; xid++) yield [xid, null, end, null, null, ...bounds]
  }
}

function numberOf(lsn: string): number {
  return walPosition(parseLsn(lsn)!)
}
