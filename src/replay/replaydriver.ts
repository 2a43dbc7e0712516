import type { Clock } from '../common/clock.ts'
import type { WalPosition } from '../common/ids.ts'
import type { WalRecord } from '../wal/record.ts'
import type { WalEnd } from '../wal/walend.ts'
import type { Replay, ReplayProgress } from './replay.ts'

/** Records in the order of the WAL: of files, or of a stream ({@link WalStream}). A port. */
export interface RecordSource {
  /** The next record: one object, refilled each time. Undefined: the next record is not whole yet, or `end` says that no record can follow. */
  read(): WalRecord | undefined
  /** Why no record can follow; undefined while one may. */
  readonly end: WalEnd | undefined
  /** Resolves when {@link read} is worth another try. Sources that always have all of their WAL have none. */
  more?(signal?: AbortSignal): Promise<void>
}

/** A store whose changes become durable together. A port. */
export interface FlushedStore {
  /** True if the store holds as many changes in memory as it may. */
  readonly needsFlush: boolean
  /** Makes durable what was applied, together with the position. */
  flush(progress: ReplayProgress): void
}

/** How long one step may take before other tasks of the event loop run. Redo of one record is never divided. */
export interface StepBudget {
  records: number
  milliseconds?: number
}

export interface ReplayDriverOptions {
  clock: Clock
  /** Default: 16,384 records, 20 milliseconds. */
  budget?: StepBudget
  /** The driver flushes this store when `needsFlush` says so. The caller flushes it after the last step. */
  store?: FlushedStore
  /** Fetches the pages that a record names and the store does not have at hand; undefined if all are. The record stays as it is meanwhile. */
  prepare?: (record: WalRecord) => Promise<void> | undefined
  /** Gives the error to throw for a record that could not be applied. */
  failed?: (record: WalRecord, error: unknown) => unknown
}

export interface DriveOptions {
  /** Stop before the first record that ends later. A later call goes on with that record. */
  to?: WalPosition
  /** Ends the call between two records. A later call goes on. */
  signal?: AbortSignal
  /** After each step. */
  onStep?: () => void
}

/** `target`: the next record lies beyond `to` or the replay's target. `end`: no record can follow. `aborted`: by the signal. */
export type DriveEnd = 'target' | 'end' | 'aborted'

/** Records between two looks at the clock. */
const CLOCK_EVERY = 64
const BUDGET: StepBudget = { records: 1 << 14, milliseconds: 20 }

/**
 * Moves a {@link Replay} along the WAL in steps. Each step is synchronous and bounded, and other tasks of the event loop run between two steps.
 * Wherever it stops, every record up to {@link Replay.position} is applied whole.
 */
export class ReplayDriver {
  /** Applied so far. */
  records = 0
  private readonly replay: Replay
  private readonly source: RecordSource
  private readonly options: ReplayDriverOptions
  private readonly budget: StepBudget
  /** A record that was read and is not applied yet: its pages are being fetched, or it lies beyond a target. */
  private held: WalRecord | undefined

  constructor(replay: Replay, source: RecordSource, options: ReplayDriverOptions) {
    this.replay = replay
    this.source = source
    this.options = options
    this.budget = options.budget ?? BUDGET
  }

  /**
   * Applies records until one of the ends is met. Calls must not overlap.
   * @throws what the source, the store and {@link Replay.apply} throw; the store may then hold half of a record and must not be flushed
   */
  async run({ to = Infinity, signal, onStep }: DriveOptions = {}): Promise<DriveEnd> {
    for (;;) {
      if (signal?.aborted === true) return 'aborted'
      const step = this.step(to)
      onStep?.()
      if (step === 'target' || step === 'end') return step
      try {
        if (step === 'budget') await this.options.clock.sleep(0, signal)
        else await step(signal)
      } catch (error) {
        if (isAborted(signal)) return 'aborted'
        throw error
      }
    }
  }

  /** @returns why it ended, or what must be waited for */
  private step(to: WalPosition): 'budget' | 'target' | 'end' | ((signal?: AbortSignal) => Promise<void>) {
    const { clock, prepare } = this.options
    const until = clock.now() + (this.budget.milliseconds ?? Infinity)
    for (let left = this.budget.records; left > 0; left--) {
      const record = this.held ?? this.source.read()
      if (record === undefined) return this.source.end === undefined ? (signal) => this.wait(signal) : 'end'
      const wanted = this.held === undefined ? prepare?.(record) : undefined
      this.held = record
      if (wanted !== undefined) return () => wanted
      if (record.endLsn > to || !this.apply(record)) return 'target'
      this.held = undefined
      if (this.options.store?.needsFlush === true) this.options.store.flush(this.replay.progress)
      if (++this.records % CLOCK_EVERY === 0 && clock.now() >= until) break
    }
    return 'budget'
  }

  private apply(record: WalRecord): boolean {
    try {
      return this.replay.apply(record)
    } catch (error) {
      throw this.options.failed?.(record, error) ?? error
    }
  }

  private async wait(signal?: AbortSignal): Promise<void> {
    const { source } = this
    if (source.more === undefined) throw new Error('ltap bug: a source of WAL without an end has no record')
    await source.more(signal)
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
