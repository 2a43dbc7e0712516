/** What a {@link ReplayThread} and its thread say to each other. */
import type { RelFileLocator } from '../../common/rel.ts'
import type { WalPosition } from '../../common/ids.ts'
import type { Outcome } from '../tasks/remote.ts'

/** The thread's workerData. */
export interface ThreadStart {
  /** Folder of the page store. */
  store: string
  cacheBytes?: number
}

/** How far the thread is. */
export interface ThreadState {
  /** Every record that ends at or before it is applied. */
  lsn: WalPosition
  /** What is durable: if the thread is killed, every record that ends at or before this position is kept. */
  durable: WalPosition
  /** The byte that the next push must begin with. */
  wanted: WalPosition
  records: number
  timeline: number
  /** Why no record can follow; absent while one may. */
  end?: string
}

/** Calls by name, with what they take and give. */
export interface ThreadCalls {
  /** Bytes of the WAL; answered once the thread has fewer than so many in hand. */
  push: { takes: { bytes: Uint8Array; backlog: number }; gives: void }
  /** No more bytes come. */
  finish: { takes: undefined; gives: void }
  /** Answered when the position is reached, or with an error when it cannot be any more. */
  reach: { takes: WalPosition; gives: WalPosition }
  page: { takes: RelFileLocator & { fork: number; block: number }; gives: { page: Uint8Array | undefined; lsn: WalPosition } }
  blocks: { takes: RelFileLocator & { fork: number }; gives: number }
  flush: { takes: undefined; gives: WalPosition }
  state: { takes: undefined; gives: ThreadState }
  /** Flushes, unless the replay failed, and ends the thread. */
  close: { takes: undefined; gives: void }
}

export type CallName = keyof ThreadCalls

export interface Call<Name extends CallName = CallName> {
  id: number
  name: Name
  input: ThreadCalls[Name]['takes']
}

export interface Answer {
  id: number
  outcome: Outcome<unknown>
}
