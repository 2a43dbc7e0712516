import { BlockSet } from '../../common/blockset.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../../common/ids.ts'
import { readControlFile } from '../../io/datadir/datadir.ts'
import { openPageStore } from '../../io/pagestore/openstore.ts'
import { systemClock } from '../../io/process/clock.ts'
import type { PageStore } from '../../replay/pagestore/pagestore.ts'
import { Replay } from '../../replay/replay.ts'
import { ReplayDriver } from '../../replay/replaydriver.ts'
import { WalStream } from '../../replay/walstream.ts'
import type { ThreadCalls, ThreadStart, ThreadState } from './threadmessages.ts'

type Handlers = { [Name in keyof ThreadCalls]: (input: ThreadCalls[Name]['takes']) => ThreadCalls[Name]['gives'] | Promise<ThreadCalls[Name]['gives']> }

interface Waiter {
  isDone: () => boolean
  done: () => void
  fail: (error: unknown) => void
}

/** A page store that moves along the WAL that is pushed. It is read between two steps of redo, never within one. */
export class ReplayedStore implements Handlers {
  private readonly store: PageStore
  private readonly replay: Replay
  private readonly stream: WalStream
  private readonly driver: ReplayDriver
  private readonly stop = new AbortController()
  private readonly running: Promise<void>
  private waiters: Waiter[] = []
  /** Set when no further record will be applied. */
  private ended: { error: unknown } | undefined
  private hasFailed = false

  /** @throws EnvironmentError pagestore.*, replay.state; CorruptionError */
  constructor({ store, cacheBytes }: ThreadStart) {
    this.store = openPageStore(store, cacheBytes === undefined ? {} : { cacheBytes })
    try {
      const { major, systemIdentifier } = this.store.identity
      const { checksums, walSegmentSize } = readControlFile(store, major)
      const progress = this.store.flushed
      const { timeline } = progress.transactions
      this.replay = new Replay(this.store, progress, { major, checksums })
      const { lsn: start, previous } = progress
      this.stream = new WalStream({ major, systemIdentifier, timeline, segmentSize: walSegmentSize, start, exact: true, previous })
      this.driver = new ReplayDriver(this.replay, this.stream, { clock: systemClock, store: this.store })
    } catch (error) {
      this.store.close()
      throw error
    }
    this.running = this.run()
  }

  async push({ bytes, backlog }: ThreadCalls['push']['takes']): Promise<void> {
    if (this.ended !== undefined) throw this.ended.error
    this.stream.push(bytes)
    await this.until(() => this.stream.pendingBytes <= backlog)
  }

  finish(): void {
    this.stream.finish()
  }

  async reach(lsn: WalPosition): Promise<WalPosition> {
    await this.until(() => this.replay.position >= lsn)
    return this.replay.position
  }

  async page({ fork, block, ...locator }: ThreadCalls['page']['takes']): Promise<ThreadCalls['page']['gives']> {
    this.checkReadable()
    const pages = this.store.pages(locator, fork)
    const lsn = this.replay.position
    if (pages === undefined || block >= pages.blocks) return { page: undefined, lsn }
    const set = BlockSet.range(block, 1)
    const prepared = pages.prepare(set)
    // A page store prepares pages at once: they are of this LSN, although redo may go on before the caller sees the promise.
    const page = pages.read(block).slice()
    await prepared
    pages.close()
    return { page, lsn }
  }

  blocks({ fork, ...locator }: ThreadCalls['blocks']['takes']): number {
    this.checkReadable()
    return this.store.pages(locator, fork)?.blocks ?? 0
  }

  flush(): WalPosition {
    this.checkSound()
    this.store.flush(this.replay.progress)
    return this.replay.position
  }

  state(): ThreadState {
    const { end, wanted } = this.stream
    return {
      lsn: this.replay.position, durable: this.store.flushed.lsn, wanted,
      records: this.driver.records, timeline: this.replay.timeline, ...end !== undefined && { end: end.reason },
    }
  }

  async close(): Promise<void> {
    this.stop.abort()
    await this.running
    try {
      if (!this.hasFailed) this.store.flush(this.replay.progress)
    } finally {
      this.store.close()
    }
  }

  private async run(): Promise<void> {
    try {
      const end = await this.driver.run({ signal: this.stop.signal, onStep: () => this.serve() })
      const at = formatWalPosition(this.replay.position)
      const reason = end === 'aborted' ? `replay was closed at ${at}` : `the WAL ends at ${at}: ${this.stream.end?.reason ?? end}`
      this.ended = { error: new EnvironmentError('replay.end', reason) }
    } catch (error) {
      this.hasFailed = true
      this.ended = { error }
    }
    this.serve()
  }

  /** Answers the calls whose wait is over. */
  private serve(): void {
    const waiters = this.waiters
    this.waiters = waiters.filter((waiter) => {
      if (waiter.isDone()) waiter.done()
      else if (this.ended !== undefined) waiter.fail(this.ended.error)
      else return true
      return false
    })
  }

  private until(isDone: () => boolean): Promise<void> {
    return new Promise((done, fail) => {
      this.waiters.push({ isDone, done, fail })
      this.serve()
    })
  }

  /** Redo that failed may have left half of a record. */
  private checkSound(): void {
    if (this.hasFailed) throw this.ended!.error
  }

  private checkReadable(): void {
    this.checkSound()
    const { isConsistent, position } = this.replay
    if (!isConsistent) {
      throw new EnvironmentError('replay.inconsistent', `at ${formatWalPosition(position)} the pages are not yet consistent: push more WAL`)
    }
  }
}
