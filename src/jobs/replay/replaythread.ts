import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { assert, EnvironmentError } from '../../common/errors.ts'
import type { WalPosition } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { stopOnEnd } from '../../io/process/interruption.ts'
import { type Outcome, valueOf } from '../tasks/remote.ts'
import type { Answer, Call, CallName, ThreadCalls, ThreadStart, ThreadState } from './threadmessages.ts'

export interface ReplayThreadOptions {
  /** Folder of a page store that {@link replayCluster} made. No other process or thread may have it open. */
  store: string
  /** Memory for pages, default 256 MiB. */
  cacheBytes?: number
  /** Bytes of WAL that may wait for redo before {@link ReplayThread.push} waits, default 16 MiB. */
  backlogBytes?: number
}

/** A page as of an LSN. */
export interface PageAtLsn {
  /** 8192 bytes with a right checksum; undefined if the relation does not have the block. */
  page: Uint8Array | undefined
  lsn: WalPosition
}

const BACKLOG_BYTES = 16 << 20

/**
 * A page store and its replay in a thread of their own: a service pushes WAL, asks for pages, and never waits for redo with its own thread.
 *
 *     push ──► WAL that waits ──► redo ──► pages in memory ──► flush ──► folder
 *                                          │ getPage
 *
 * After any error of redo the store stays as it was last flushed; open it again to go on.
 */
export class ReplayThread {
  private readonly worker: Worker
  private readonly backlog: number
  private readonly calls = new Map<number, (outcome: Outcome<unknown>) => void>()
  private readonly exited: Promise<void>
  private readonly forget: () => void
  private lastId = 0
  private gone = false

  private constructor(script: string, { store, cacheBytes, backlogBytes }: ReplayThreadOptions) {
    this.backlog = backlogBytes ?? BACKLOG_BYTES
    this.worker = new Worker(script, { workerData: { store, ...cacheBytes !== undefined && { cacheBytes } } satisfies ThreadStart })
    this.worker.on('message', ({ id, outcome }: Answer) => {
      this.calls.get(id)?.(outcome)
      this.calls.delete(id)
    })
    let reason = 'the thread of the replay was closed'
    this.worker.on('error', (error: Error) => {
      reason = `the thread of the replay ended by itself (${error.message}); open the store again to go on from what is durable`
    })
    this.exited = new Promise((resolve) => this.worker.once('exit', () => {
      this.gone = true
      this.forget()
      for (const answer of this.calls.values()) answer({ error: { name: 'EnvironmentError', code: 'worker.ended', reason, position: {} } })
      this.calls.clear()
      resolve()
    }))
    this.forget = stopOnEnd(() => this.close())
  }

  /** @throws EnvironmentError pagestore.*, replay.state, file.*; CorruptionError */
  static async open(options: ReplayThreadOptions): Promise<ReplayThread> {
    const script = fileURLToPath(new URL('./replayworker.js', import.meta.url))
    assert(existsSync(script), 'a thread runs the built package: npm run build')
    const thread = new ReplayThread(script, options)
    await thread.answer(0)
    return thread
  }

  /** Where the replay is. Right after {@link open} its `wanted` says where the WAL must begin. */
  state(): Promise<ThreadState> {
    return this.call('state', undefined)
  }

  /**
   * Takes the bytes that follow the last ones, and copies them. Resolves when at most `backlogBytes` wait for redo: a receiver awaits it before it
   * reads more.
   * @throws what redo failed with, of this piece or one before
   */
  push(bytes: Uint8Array): Promise<void> {
    // A Buffer's own slice is a view.
    const copy = new Uint8Array(bytes)
    return this.call('push', { bytes: copy, backlog: this.backlog }, [copy.buffer])
  }

  /** Says that no more bytes come. */
  finish(): Promise<void> {
    return this.call('finish', undefined)
  }

  /**
   * Resolves when every record that ends at or before `lsn` is applied.
   * @returns how far the replay is then
   * @throws EnvironmentError replay.end; what redo failed with
   */
  reach(lsn: WalPosition): Promise<WalPosition> {
    return this.call('reach', lsn)
  }

  /** The page as the last record left it. @throws EnvironmentError replay.inconsistent */
  getPage(locator: RelFileLocator, fork: number, block: number): Promise<PageAtLsn> {
    const { spcOid, dbOid, relNumber } = locator
    return this.call('page', { spcOid, dbOid, relNumber, fork, block })
  }

  /** Blocks of a fork; 0 if there is no such relation. @throws EnvironmentError replay.inconsistent */
  blocks(locator: RelFileLocator, fork: number): Promise<number> {
    const { spcOid, dbOid, relNumber } = locator
    return this.call('blocks', { spcOid, dbOid, relNumber, fork })
  }

  /** Makes durable what is applied. @returns up to where: what may be reported as flushed */
  flush(): Promise<WalPosition> {
    return this.call('flush', undefined)
  }

  /** Flushes and ends the thread. Calls that wait fail. */
  async close(): Promise<void> {
    if (!this.gone) await this.call('close', undefined)
    await this.exited
  }

  private call<Name extends CallName>(name: Name, input: ThreadCalls[Name]['takes'], moved: ArrayBuffer[] = []): Promise<ThreadCalls[Name]['gives']> {
    const id = ++this.lastId
    const answer = this.answer(id)
    this.worker.postMessage({ id, name, input } satisfies Call<Name>, moved)
    return answer as Promise<ThreadCalls[Name]['gives']>
  }

  private async answer(id: number): Promise<unknown> {
    if (this.gone) throw new EnvironmentError('worker.ended', 'the thread of the replay has ended: open the page store again')
    return valueOf(await new Promise<Outcome<unknown>>((resolve) => this.calls.set(id, resolve)))
  }
}
