import { join } from 'node:path'
import { ReplayDriver } from '../../replay/replaydriver.ts'
import { Replay, type ReplayOptions, type ReplayProgress, type ReplayTarget } from '../../replay/replay.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../../common/ids.ts'
import { endPosition } from '../../wal/pageheader.ts'
import type { WalRecord } from '../../wal/record.ts'
import type { TransactionState } from '../../xact/transactionstate.ts'
import { readControlFile } from '../../io/datadir/datadir.ts'
import type { OnProgress } from '../jobprogress.ts'
import { systemClock } from '../../io/process/clock.ts'
import { breathe, onEnd, stopIfEnding } from '../../io/process/interruption.ts'
import { refuseInside, refuseScheme } from '../../io/disk/localpath.ts'
import { writeFile } from '../../io/disk/create.ts'
import type { PageStore } from '../../replay/pagestore/pagestore.ts'
import { WalInventory, type WalPlace } from '../../io/walsource/inventory.ts'
import { openWal, type WalSource } from '../../io/walsource/walsource.ts'
import { type StartedReplay, startReplay } from './startreplay.ts'

export interface ReplayClusterOptions {
  /** Data directory of a server that does not run, plain base backup, or folder of pg_basebackup's tar files. Not changed. */
  source: string
  /** Folder of the WAL, or one segment; default: what came with the source. The pages of a server that was shut down need none. */
  wal?: string
  /** A new folder, or one that an earlier replay of this cluster left, which goes on. */
  out: string
  target?: ReplayTarget
  timeline?: number | 'latest'
  /** Memory for pages, default 256 MiB. */
  cacheBytes?: number
  /** Called with the number of WAL bytes that were replayed. */
  onProgress?: OnProgress
  /** Called before the first record with where the WAL is: what was named, and the source's own; undefined without any WAL. */
  onWal?: (wal: WalPlace | undefined) => void
  /**
   * Makes the observers, see {@link Replay}; `state` returns the state of the transactions at the current record.
   */
  observe?: (started: StartedReplay, state: () => Readonly<TransactionState>) => Pick<ReplayOptions, 'pages' | 'transactions'>
}

export interface ReplayReport {
  systemIdentifier: string
  major: number
  timeline: number
  /** Where this run began. */
  from: string
  /** What the folder holds: every record that ends at or before this. */
  lsn: string
  resumed: boolean
  records: number
  walBytes: number
  /** Bytes of the source's relations that no server reads, not in the folder: part of a block, segments behind one that is not full. */
  trailingBytes: number
  /** Why it ended: the target, or why the WAL has no next record. */
  end: string
}

/**
 * Brings `out` to the state that the source's relations and transaction status had at the target. After an interruption, even a kill, the same call
 * goes on from the last durable state.
 * @throws EnvironmentError replay.*, wal.*, datadir.*, backup.*, pagestore.*, file.*; CorruptionError and UnsupportedError with the LSN
 */
export async function replayCluster(options: ReplayClusterOptions): Promise<ReplayReport> {
  const { source, out, timeline, cacheBytes, observe } = options
  for (const path of [source, out, options.wal ?? '']) refuseScheme(path)
  refuseInside(out, source)
  const started = await startReplay({ source, out, wal: options.wal, timeline, cacheBytes })
  const { store, progress, resumed, trailingBytes, wal } = started
  const forget = onEnd(() => store.close())
  options.onWal?.(wal)
  try {
    const { major, systemIdentifier } = store.identity
    const { checksums, walSegmentSize } = readControlFile(out, major)
    const target = endingTarget(options.target ?? {}, walSegmentSize)
    refusePast({ ...progress, lsn: endPosition(progress.lsn, walSegmentSize) }, target, resumed)
    const source = wal === undefined ? undefined : openWal(wal, { start: progress.lsn, exact: true, timeline, major, systemIdentifier })
    const { timelineHistory } = source ?? {}
    const replay: Replay = new Replay(store, progress, {
      major, checksums, target, ...timelineHistory !== undefined && { timelineHistory }, ...observe?.(started, () => replay.transactionState),
    })
    const job = source === undefined ? undefined : new ReplayJob(replay, store, source)
    const end = job === undefined ? withoutWal(replay, store) : await job.run(wal!, target, options.onProgress)
    return {
      systemIdentifier: String(systemIdentifier), major, timeline: replay.timeline, from: formatWalPosition(progress.lsn),
      lsn: formatWalPosition(replay.position), resumed, records: job?.records ?? 0, walBytes: replay.position - progress.lsn, trailingBytes, end,
    }
  } finally {
    forget()
    await stopIfEnding()
    store.close()
  }
}

function endingTarget(target: ReplayTarget, segmentSize: number): ReplayTarget {
  return target.lsn === undefined ? target : { ...target, lsn: endPosition(target.lsn, segmentSize) }
}

function refusePast({ lsn, time }: Pick<ReplayProgress, 'lsn' | 'time'>, target: ReplayTarget, resumed: boolean): void {
  const late = (target.lsn !== undefined && target.lsn < lsn) || (target.time !== undefined && target.time < time)
  if (!late) return
  const wanted = target.lsn !== undefined ? formatWalPosition(target.lsn) : timeText(Number(target.time))
  const advice = resumed ? 'replay into another folder, from a copy that is older' : 'take a copy or a base backup that is older'
  throw new EnvironmentError('replay.past', `the pages are those of ${formatWalPosition(lsn)} and ${momentText(time)}; ${wanted} is before that; ${advice}`)
}

/** pg_control has the time of a checkpoint in whole seconds: a target time must be after that second. */
function momentText(time: number): string {
  const isSecond = (time + 1) % 1_000_000 === 0
  return isSecond ? `some moment in the second that begins at ${timeText(time - 999_999).replace('.000Z', 'Z')}` : timeText(time)
}

function timeText(microseconds: number): string {
  return new Date(Math.floor(microseconds / 1000) + POSTGRES_EPOCH_SECONDS * 1000).toISOString()
}

/** The pages are of one LSN already. @returns why it ended @throws EnvironmentError replay.target */
function withoutWal(replay: Replay, store: PageStore): string {
  finish(replay, store, true)
  return 'there is no WAL, and none is needed: the server was shut down'
}

/** The state that was reached is kept even if it is not the target: the next call goes on with more WAL, or to a later point. */
function finish(replay: Replay, store: PageStore, endOfWal: boolean): void {
  try {
    replay.finish(endOfWal)
  } catch (error) {
    if (error instanceof EnvironmentError) store.flush(replay.progress)
    throw error
  }
  store.flush(replay.progress)
}

/** Records between two reports of progress: the same ones in each run, whatever the clock says. */
const PROGRESS_EVERY = 1 << 14

/** Drives the replay of one folder of WAL into a page store. */
class ReplayJob {
  private readonly replay: Replay
  private readonly store: PageStore
  private readonly wal: WalSource
  private readonly driver: ReplayDriver

  constructor(replay: Replay, store: PageStore, wal: WalSource) {
    this.replay = replay
    this.store = store
    this.wal = wal
    this.driver = new ReplayDriver(replay, wal, {
      clock: { ...systemClock, sleep: breathe }, budget: { records: PROGRESS_EVERY }, store,
      failed: (record, error) => this.withDump(record, error),
    })
  }

  get records(): number {
    return this.driver.records
  }

  /** @returns why it ended */
  async run(place: WalPlace, target: ReplayTarget, onProgress: OnProgress | undefined): Promise<string> {
    const { replay, wal } = this
    const from = replay.position
    const total = onProgress === undefined ? 0 : Math.max((target.lsn ?? this.lastByte(place)) - from, 1)
    onProgress?.(0, total, '')
    try {
      const end = await this.driver.run({
        onStep: () => onProgress?.(Math.min(replay.position - from, total), total, formatWalPosition(replay.position)),
      })
      finish(replay, this.store, end === 'end')
      onProgress?.(total, total, '')
      return end === 'end' ? wal.end!.reason : 'the target is reached'
    } finally {
      wal.close()
    }
  }

  /** An EnvironmentError is not the record's fault: it means another server's WAL or a full disk, for example. */
  private withDump(record: WalRecord, error: unknown): unknown {
    return !isPositioned(error) || error instanceof EnvironmentError ? error : error.at({ file: this.dump(record, error.message) })
  }

  /** The record and the pages it names, as they were when the error was found. @returns the file of the record */
  private dump(record: WalRecord, message: string): string {
    const name = join(this.store.path, 'ltap', `failed-${formatWalPosition(record.startLsn).replace('/', '-')}`)
    writeFile(`${name}.record`, record.bytes.subarray(record.start, record.start + record.length))
    writeFile(`${name}.txt`, `${message}\n`)
    for (let i = 0; i < record.blockCount; i++) {
      const { id, spcOid, dbOid, relNumber, fork, block } = record.blocks[i]!
      const known = this.store.exists({ spcOid, dbOid, relNumber }, fork)
      const page = known ? this.store.fork(spcOid, dbOid, relNumber, fork)?.page(block) : undefined
      if (page !== undefined) writeFile(`${name}.block${id}`, page.bytes)
    }
    return `${name}.record`
  }

  private lastByte(place: WalPlace): WalPosition {
    const last = new WalInventory(place).numbers(this.wal.timelineHistory, this.wal.segmentSize).at(-1)
    return last === undefined ? 0 : (last + 1) * this.wal.segmentSize
  }
}
