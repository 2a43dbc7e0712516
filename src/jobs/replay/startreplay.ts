import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Consistency, ReplayProgress } from '../../replay/replay.ts'
import { refuseOtherTimeline } from '../../replay/timelines.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import { formatWalPosition, walPosition, type WalPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { RM_XLOG_ID } from '../../wal/rmgr.ts'
import type { TimelineHistory } from '../../wal/timelinehistory.ts'
import { decodeCheckPoint, XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_SHUTDOWN } from '../../wal/xlog.ts'
import { ORIGINS_FILE, parseOrigins } from '../../xact/replicationorigins.ts'
import type { StartPoint } from '../../xact/transactionstate.ts'
import { isSeedable, type Seed, seed } from '../../io/seed/seed.ts'
import { findWalTar } from '../../io/seed/findtars.ts'
import { EXTRACTED_WAL } from '../../io/seed/seedtar.ts'
import { unpackWal } from '../../io/seed/waltar.ts'
import { readControlFile, readMajor, readPrepared } from '../../io/datadir/datadir.ts'
import { FileSlru } from '../../io/datadir/slru.ts'
import { readIfThere } from '../../io/disk/files.ts'
import { createPageStore, isPageStore, lockPageStore, openPageStore } from '../../io/pagestore/openstore.ts'
import type { PageStore, PageStoreOptions } from '../../replay/pagestore/pagestore.ts'
import { onEnd, stopIfEnding } from '../../io/process/interruption.ts'
import { WalInventory, type WalPlace } from '../../io/walsource/inventory.ts'
import { openWal } from '../../io/walsource/walsource.ts'
import { shutdownProgress, startProgress } from '../../replay/progress.ts'

/** A page store that is ready to be moved along the WAL. */
export interface StartedReplay {
  store: PageStore
  progress: ReplayProgress
  /** True if the store existed already, from an earlier replay. */
  resumed: boolean
  /** Bytes after the last whole block of relation files of the source: no server reads them, and they are not kept. 0 if `resumed`. */
  trailingBytes: number
}

export interface StartOptions {
  /** Data directory, base backup, or folder of tar files. */
  source: string
  out: string
  /** Folder of the WAL; what it lacks, and all by default, is taken from the one that came with the source. */
  wal: string | undefined
  /** The WAL comes later, from elsewhere: no file of it is needed now, unless the source leaves open where it begins. */
  walComesLater?: boolean
  /** The timeline to follow. */
  timeline: number | 'latest' | undefined
  cacheBytes: number | undefined
}

/**
 * Opens the page store at `out`, or seeds it from the source. @returns where the WAL is, too; undefined if no WAL was found for the pages of a server
 * that was shut down, which need no WAL
 * @throws EnvironmentError replay.wal, pagestore.*, datadir.*, backup.*, wal.*, file.*; CorruptionError; UnsupportedError
 */
export async function startReplay(options: StartOptions): Promise<StartedReplay & { wal: WalPlace | undefined }> {
  const { out, cacheBytes } = options
  const storeOptions = cacheBytes === undefined ? {} : { cacheBytes }
  if (isPageStore(out)) {
    refuseAnother(options.source, out)
    return resume(options, storeOptions)
  }
  // A wrong argument is an error before much is copied.
  const tar = options.wal === undefined ? undefined : await findWalTar(options.wal)
  if (options.wal !== undefined && tar === undefined) new WalInventory(options.wal)
  if (!isSeedable(out)) throw new EnvironmentError('pagestore.exists', 'the folder is not empty; name another one, or delete it', { file: out })
  const lock = lockPageStore(out)
  // Another process may have made a store of the folder in the meantime.
  const isOurs = isSeedable(out)
  const forget = onEnd(() => {
    if (isOurs) rmSync(out, { recursive: true, force: true })
  })
  try {
    const seeded = await seed(options.source, out)
    const given = tar === undefined ? options.wal : await unpackWal(tar, out)
    const wal = placeOf(given, seeded.walDirectory, seeded.kind === 'clean' || options.walComesLater === true, options.source)
    if (wal !== undefined) refuseOtherTimeline(timelineHistoryOf(wal, options.timeline), seeded.start, seeded.timeline)
    createPageStore(out, seeded.identity, progressOfSeed(seeded, out, wal, options.timeline), seeded.indexes)
    const store = openPageStore(out, storeOptions, lock)
    return { store, progress: store.flushed, resumed: false, trailingBytes: seeded.trailingBytes, wal }
  } catch (error) {
    await stopIfEnding()
    if (isOurs) rmSync(out, { recursive: true, force: true })
    lock.release()
    throw error
  } finally {
    forget()
  }
}

/** Refuses the source of another cluster: a replay that goes on needs only the WAL, but such a source is a mistake. */
function refuseAnother(source: string, out: string): void {
  if (!existsSync(join(source, 'global/pg_control'))) return
  const [theirs, ours] = [source, out].map((path) => readControlFile(path, readMajor(path)).systemIdentifier)
  if (theirs === ours) return
  throw new EnvironmentError('replay.system', `the folder holds a replay of cluster ${ours}, the source is of ${theirs}; name another folder`, { file: out })
}

async function resume(options: StartOptions, storeOptions: PageStoreOptions): ReturnType<typeof startReplay> {
  const { source, out, timeline } = options
  const store = openPageStore(out, storeOptions)
  try {
    const tar = options.wal === undefined ? undefined : await findWalTar(options.wal)
    const progress = store.flushed
    const canBeMissing = progress.consistency.reached || options.walComesLater === true
    const wal = placeOf(tar === undefined ? options.wal : await unpackWal(tar, out), ownWal(source, out), canBeMissing, source)
    if (wal !== undefined) refuseOtherTimeline(timelineHistoryOf(wal, timeline), progress.lsn, progress.transactions.timeline, progress.ancestors)
    return { store, progress, resumed: true, trailingBytes: 0, wal }
  } catch (error) {
    store.close()
    throw error
  }
}

function timelineHistoryOf(wal: WalPlace, timeline: number | 'latest' = 'latest'): TimelineHistory {
  const inventory = new WalInventory(wal)
  return inventory.timelineHistory(timeline === 'latest' ? inventory.newestTimeline : timeline)
}

/** The folder of WAL that came with the source. */
function ownWal(source: string, out: string): string | undefined {
  return [join(out, EXTRACTED_WAL), join(source, 'pg_wal')].find((folder) => existsSync(folder))
}

/** Adds the WAL that came with the source: a server looks into pg_wal, too, for segments that the archive does not have. */
function withOwn(wal: string, own: string | undefined): WalPlace {
  return own === undefined || own === wal ? wal : [wal, own]
}

/**
 * Where the WAL is: what was named, and the source's own.
 * @param canBeMissing replay could end before the first record: the pages are consistent, or the WAL comes later @throws EnvironmentError replay.wal
 */
function placeOf(given: string | undefined, own: string | undefined, canBeMissing: boolean, source: string): WalPlace | undefined {
  if (given !== undefined) return withOwn(given, own)
  if (own !== undefined && (!canBeMissing || hasWal(own))) return own
  if (canBeMissing) return undefined
  throw new EnvironmentError('replay.wal', 'the source holds no WAL; name the folder of its WAL with --wal', { file: source })
}

/** Whether there is a segment. A copy may have the folder alone. */
function hasWal(folder: string): boolean {
  try {
    return new WalInventory(folder).files.length > 0
  } catch (error) {
    if (error instanceof EnvironmentError && error.code === 'wal.none') return false
    throw error
  }
}

function progressOfSeed(seeded: Seed, out: string, wal: WalPlace | undefined, timeline: StartOptions['timeline']): ReplayProgress {
  const { kind, major, control, start, checkpoint } = seeded
  const clog = new FileSlru(join(out, 'pg_xact'))
  const prepared = readPrepared({ path: out, major })
  const originsFile = join(out, ORIGINS_FILE)
  const bytes = readIfThere(originsFile)
  const origins = bytes === undefined ? [] : withPosition({ file: originsFile }, () => parseOrigins(bytes))
  if (kind === 'clean') return shutdownProgress(control, clog, prepared, origins)
  const from = walPosition(control.checkpoint) === checkpoint ? control : startPointOfRecord(wal, timeline, seeded)
  return startProgress({ lsn: start, consistency: consistencyOf(seeded), from, walLogHints: control.walLogHints }, clog, prepared, origins)
}

/** A server that crashed: its pages may be as new as the end of the WAL in its own pg_wal. */
function consistencyOf({ start, consistentAt, backupEndOf, walDirectory, major, control }: Seed): Consistency {
  if (backupEndOf !== undefined) return { at: consistentAt ?? start, backupEndOf, reached: false }
  if (consistentAt !== undefined) return { at: consistentAt, reached: false }
  if (walDirectory === undefined) {
    throw new EnvironmentError('replay.wal', 'the server crashed and its own pg_wal is missing: how new its pages are is not known; take a base backup')
  }
  return { at: endOfWal(walDirectory, start, major, control.systemIdentifier), reached: false }
}

function endOfWal(wal: string, start: WalPosition, major: PgMajor, systemIdentifier: bigint): WalPosition {
  const source = openWal(wal, { start, exact: true, major, systemIdentifier })
  try {
    while (source.read() !== undefined);
    return source.position
  } finally {
    source.close()
  }
}

/** A base backup's pg_control may be of a later checkpoint than the one that backup_label names. */
function startPointOfRecord(wal: WalPlace | undefined, timeline: StartOptions['timeline'], { checkpoint, major, control }: Seed): StartPoint {
  if (wal === undefined) {
    const reason = 'pg_control is of a later checkpoint than the one where the backup begins; name the folder with the WAL from this position on'
    throw new EnvironmentError('replay.wal', reason, { lsn: formatWalPosition(checkpoint) })
  }
  const source = openWal(wal, { start: checkpoint, exact: true, timeline, major, systemIdentifier: control.systemIdentifier })
  try {
    const record = source.read()
    const isCheckpoint = record?.rmgr === RM_XLOG_ID && (record.op === XLOG_CHECKPOINT_SHUTDOWN || record.op === XLOG_CHECKPOINT_ONLINE)
    if (record === undefined || !isCheckpoint) {
      throw new CorruptionError('replay.checkpoint', `no checkpoint record where backup_label names one: ${source.end?.reason ?? 'another record'}`, {
        lsn: formatWalPosition(checkpoint),
      })
    }
    const { thisTimeline, ...rest } = decodeCheckPoint(record, major)
    return { ...rest, timeline: thisTimeline }
  } finally {
    source.close()
  }
}
