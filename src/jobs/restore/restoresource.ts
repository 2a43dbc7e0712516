import type { ControlFile } from '../../catalog/controlfile.ts'
import type { Lsn } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import type { ClusterEntry } from '../../io/datadir/lakefiles.ts'
import type { ReplayProgress } from '../../replay/replay.ts'

/** What a data directory is made from: one state of a cluster. */
export interface RestoreSource {
  major: PgMajor
  /** The state is that of a server that has applied every record that ends at or before it. */
  lsn: Lsn
  timeline: number
  /** Transactions as of the LSN; absent where pg_control says them, because a server was shut down there. */
  counters?: TransactionCounters | undefined
  /** Where the replay is that made the state; absent for the state of a server that was shut down. Prepared transactions are those of pg_twophase. */
  replayed?: Omit<ReplayProgress, 'lsn'> | undefined
  /** The newest timeline that is known of: the new one is behind it. */
  newestTimeline?: number | undefined
  /** What a lake keeps besides pages, a folder before what is in it: see clusterFilesOf. */
  entries(): AsyncIterable<ClusterEntry>
  /** Content of a file. @param path as the entry has it @throws CorruptionError */
  read(path: string): Promise<Uint8Array>
  /** Heaps: tables, catalogs, TOAST, sequences, materialized views. */
  relations(): AsyncIterable<RestoreRelation>
}

export type TransactionCounters = Pick<ControlFile, 'nextXid' | 'nextOid' | 'nextMulti' | 'nextMultiOffset' | 'oldestXid' | 'oldestMulti'>

/** The main fork of one heap. */
export interface RestoreRelation {
  locator: RelFileLocator
  /** For messages: `shop.public.orders`. */
  name: string
  blocks: number
  /** Gives each block once, in any order; the bytes are the sink's until it returns. @throws CorruptionError */
  pages(sink: (block: number, page: Uint8Array) => void): Promise<void>
}
