import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkPointCopy, parseControlFile, shutDownControlFile } from '../../catalog/controlfile.ts'
import { CorruptionError, EnvironmentError, UnsupportedError, withPosition } from '../../common/errors.ts'
import { formatLsn, type Lsn, walPosition } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { databasePath, type TablespaceVersion } from '../../common/relpath.ts'
import { byteText } from '../../common/utf8.ts'
import type { ClusterEntry } from '../../io/datadir/lakefiles.ts'
import { checkpointEnd } from '../../io/datadir/consistentdirectory.ts'
import { RestoreTarget, RESTORING } from '../../io/datadir/restoretarget.ts'
import { breathe, remarkOnEnd, stopIfEnding } from '../../io/process/interruption.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import { initdbFolders, isTablespace } from '../../lake/keptfiles.ts'
import { timelineHistoryName, segmentName } from '../../wal/segment.ts'
import { checkpointPage, firstRecordOf, shutdownCheckPoint } from '../../wal/shutdowncheckpoint.ts'
import type { OnProgress } from '../jobprogress.ts'
import { readConfiguration } from '../../io/datadir/configuration.ts'
import { type EmptyFiles, writeIndexFiles } from './indexfiles.ts'
import { type NotRebuilt, rebuildIndexes, type RebuiltIndexes } from './rebuildindexes.ts'
import { HELD_FILES, type RestoredSettings, writeSettings } from './restoredsettings.ts'
import { replaySource, type RestoreWal, writeHeap } from './replayedsource.ts'
import type { RestoreRelation, RestoreSource } from './restoresource.ts'

export interface RestoreOptions {
  /** Missing, empty, or of a restore that was interrupted. */
  out: string
  /** The folder with the server's programs, of the same major: it rebuilds the indexes. Without it indexes are left empty. */
  postgres?: string | undefined
  /** What becomes of prepared transactions; without it a state that has some is refused. */
  prepared?: 'commit' | 'rollback' | 'keep' | undefined
  /** Where a tablespace goes, by the folder where it was; default `<out>.tablespaces/<oid>`. */
  tablespaces?: ReadonlyMap<string, string> | undefined
  /** WAL to apply to the state first. */
  wal?: RestoreWal | undefined
  /** Called while the WAL is applied. */
  onReplayProgress?: OnProgress | undefined
  /** Called while the heaps are written. */
  onProgress?: OnProgress | undefined
}

export interface RestoreReport extends RestoredSettings {
  lsn: Lsn
  /** The new timeline. */
  timeline: number
  relations: number
  bytes: number
  /** Prepared transactions in the state. */
  prepared: number
  /** Files of unlogged relations, which are empty now: heaps, indexes and sequences. */
  unlogged: number
  tablespaces: { oid: number; from: string; to: string }[]
  /** Tables whose access method ltap does not read: they have no file. */
  notRestored: readonly string[]
  /** Rebuilt by the server; undefined: no server was named, every index is empty and has to be rebuilt by hand. */
  indexes: number | undefined
  notRebuilt: readonly NotRebuilt[]
}

const UNFINISHED = 'the folder is half restored: start no server on it, run the restore again'

/**
 * Makes a data directory that a server boots, on a timeline of its own that begins behind the state's LSN.
 * @throws EnvironmentError restore.*, postgres.*, file.*; CorruptionError, UnsupportedError for a source that cannot be trusted
 */
export async function restoreCluster(source: RestoreSource, options: RestoreOptions): Promise<RestoreReport> {
  const target = new RestoreTarget(options.out)
  const forget = remarkOnEnd(UNFINISHED)
  try {
    return await new Restore(source, options, target).run()
  } finally {
    await stopIfEnding()
    forget()
    target.release()
  }
}

class Restore {
  private source: RestoreSource
  private readonly options: RestoreOptions
  private readonly target: RestoreTarget
  /** Content of timeline history files, by timeline. */
  private readonly timelineHistories = new Map<number, Uint8Array>()
  private readonly held = new Map<string, Uint8Array>()
  /** Paths of the main forks that are copies of init forks. */
  private readonly unlogged = new Set<string>()
  private readonly tablespaces: RestoreReport['tablespaces'] = []
  private prepared = 0
  private newestTimeline: number

  constructor(source: RestoreSource, options: RestoreOptions, target: RestoreTarget) {
    this.source = source
    this.options = options
    this.target = target
    this.newestTimeline = Math.max(source.timeline, source.newestTimeline ?? 0)
  }

  async run(): Promise<RestoreReport> {
    const { target, options: { wal, onReplayProgress } } = this
    const replayFolder = join(target.path, RESTORING, 'replay')
    if (wal !== undefined) {
      this.source = await replaySource(this.source, replayFolder, wal, onReplayProgress)
      this.newestTimeline = Math.max(this.source.timeline, this.source.newestTimeline ?? 0)
    }
    const { source } = this
    for (const folder of initdbFolders(source.major)) target.folder(folder)
    for await (const entry of source.entries()) {
      await this.entry(entry)
      await breathe()
    }
    this.refusePrepared()
    const control = this.takeControl()
    const written = await this.heaps(control.version)
    rmSync(replayFolder, { recursive: true, force: true })
    const timeline = this.newestTimeline + 1
    this.beginTimeline(control.bytes, timeline)
    const { notRestored, pending } = await writeIndexFiles(target)
    this.refuseKept(pending)
    const rebuilt = await this.rebuildIndexes(control.trackCommitTimestamp)
    await target.sync()
    const settings = writeSettings(target, this.held)
    const { outside } = readConfiguration(target.path)
    await target.finish()
    return {
      lsn: source.lsn, timeline, ...written, prepared: this.prepared, unlogged: this.unlogged.size, tablespaces: this.tablespaces,
      notRestored, indexes: rebuilt?.rebuilt, notRebuilt: rebuilt?.notRebuilt ?? [], ...settings, outside,
    }
  }

  private async rebuildIndexes(trackCommitTimestamp: boolean): Promise<RebuiltIndexes | undefined> {
    const { postgres, prepared } = this.options
    if (postgres === undefined) return undefined
    return await rebuildIndexes(this.target, { bindir: postgres, prepared, preparedCount: this.prepared, trackCommitTimestamp })
  }

  /** Its index cannot be marked as invalid, and the catalogs that it changed are locked: their indexes could not be rebuilt. */
  private refuseKept(pending: EmptyFiles['pending']): void {
    const [first] = pending
    if (this.options.prepared !== 'keep' || first === undefined) return
    const reason = `a prepared transaction made index ${first.name} of database ${first.database}; say --prepared commit or rollback`
    throw new EnvironmentError('restore.prepared', reason)
  }

  private async entry(entry: ClusterEntry): Promise<void> {
    const { path } = entry
    // In files that replay made a tablespace is a folder: where it was they do not say.
    if (entry.kind === 'link' || (isTablespace(path) && this.source.counters !== undefined)) return this.link(path, entry.kind === 'link' ? entry.target : path)
    if (entry.kind === 'folder') return this.target.folder(path)
    const content = await this.source.read(path)
    if (content.length !== entry.bytes) throw new CorruptionError('restore.file', `${content.length} bytes, not ${entry.bytes}`, { file: path })
    if (HELD_FILES.includes(path)) {
      this.held.set(path, content)
      return
    }
    if (path.startsWith('pg_commit_ts/') && this.source.counters !== undefined) return
    this.target.file(path, content)
    if (path.startsWith('pg_twophase/')) this.prepared++
    const timeline = /^pg_wal\/([0-9A-F]{8})\.history$/.exec(path)?.[1]
    if (timeline !== undefined) {
      this.newestTimeline = Math.max(this.newestTimeline, Number.parseInt(timeline, 16))
      this.timelineHistories.set(Number.parseInt(timeline, 16), content)
    }
    const main = /^(.*\/\d+)_init((?:\.\d+)?)$/.exec(path)
    if (main === null) return
    if (main[2] === '') this.unlogged.add(main[1]!)
    this.target.file(`${main[1]}${main[2]}`, content)
  }

  private link(path: string, from: string): void {
    const oid = /^pg_tblspc\/(\d+)$/.exec(path)?.[1]
    if (oid === undefined) throw new CorruptionError('restore.path', 'a link that is no tablespace', { file: path })
    const to = this.options.tablespaces?.get(from) ?? this.target.defaultTablespace(oid)
    this.target.linkTablespace(oid, to)
    this.tablespaces.push({ oid: Number(oid), from, to })
  }

  private refusePrepared(): void {
    const { prepared, postgres } = this.options
    if (this.prepared === 0) return
    if (prepared === undefined) {
      const advice = 'say what becomes of them: --prepared commit, rollback or keep'
      throw new EnvironmentError('restore.prepared', `the state has ${this.prepared} prepared transactions (pg_twophase); ${advice}`)
    }
    if (prepared !== 'keep' && postgres === undefined) {
      throw new EnvironmentError('restore.prepared', `--prepared ${prepared} needs --postgres: the server's own programs end prepared transactions`)
    }
  }

  private takeControl(): { bytes: Uint8Array; version: TablespaceVersion; trackCommitTimestamp: boolean } {
    const bytes = this.held.get('global/pg_control')
    if (bytes === undefined) throw new CorruptionError('restore.file', 'the state has no pg_control', { file: 'global/pg_control' })
    const control = withPosition({ file: 'global/pg_control' }, () => parseControlFile(bytes, this.source.major))
    const { catalogVersion, trackCommitTimestamp } = control
    const { counters, lsn } = this.source
    if (counters === undefined && (control.state !== 'shut down' || checkpointEnd(control) !== lsn)) {
      const reason = `pg_control is not of ${formatLsn(lsn)}, where the state is, so nothing says which transaction ids are free there`
      const advice = 'an older ltap replayed its WAL; transcode a state of now'
      throw new UnsupportedError('restore.control', `${reason}: ${advice}`, { file: 'global/pg_control' })
    }
    return { bytes, trackCommitTimestamp, version: { major: this.source.major, catalogVersion } }
  }

  private async heaps(version: TablespaceVersion): Promise<{ relations: number; bytes: number }> {
    const { source, unlogged, target, options: { onProgress } } = this
    const pathOf = ({ locator }: RestoreRelation): string => `${databasePath(locator, version)}/${locator.relNumber}`
    let total = 0
    for await (const relation of source.relations()) total += unlogged.has(pathOf(relation)) ? 0 : relation.blocks * BLOCK_SIZE
    onProgress?.(0, total, '')
    let relations = 0
    let bytes = 0
    for await (const relation of source.relations()) {
      const path = pathOf(relation)
      if (unlogged.has(path)) continue
      await writeHeap(target, path, relation)
      relations++
      bytes += relation.blocks * BLOCK_SIZE
      onProgress?.(bytes, total, relation.name)
    }
    return { relations, bytes }
  }

  /**
   * The history file, the first segment with a shutdown checkpoint, and pg_control that points to it. The nonce tells two restores of one state apart,
   * since each begins a timeline of the same number.
   */
  private beginTimeline(bytes: Uint8Array, timeline: number): void {
    const { source: { major, lsn, counters }, target } = this
    const { systemIdentifier, walSegmentSize, ...found } = parseControlFile(bytes, major)
    const segment = Math.ceil(walPosition(lsn) / walSegmentSize)
    const start = segment * walSegmentSize
    const at = firstRecordOf(start)
    const checkPoint = shutdownCheckPoint(checkPointCopy(bytes), at, timeline, counters ?? found)
    // Commit timestamps belong to the checkpoint of pg_control.
    if (counters !== undefined) checkPoint.fill(0, 72, 80)
    const before = byteText(this.timelineHistories.get(this.source.timeline) ?? new Uint8Array(0))
    target.file(`pg_wal/${timelineHistoryName(timeline)}`, `${before}${this.source.timeline}\t${formatLsn(lsn)}\tltap restore ${systemRandom.nonce()}\n`)
    const wal = target.fork(`pg_wal/${segmentName(timeline, segment, walSegmentSize)}`, walSegmentSize / BLOCK_SIZE)
    try {
      wal.write(0, checkpointPage({ major, systemIdentifier, segmentSize: walSegmentSize }, start, timeline, checkPoint))
    } finally {
      wal.close()
    }
    target.file('global/pg_control', shutDownControlFile(bytes, major, BigInt(at), checkPoint))
  }
}
