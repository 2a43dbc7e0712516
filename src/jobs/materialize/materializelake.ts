import { realpathSync } from 'node:fs'
import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import { grownColumnFields } from '../../columnar/fieldhistory.ts'
import type { Compression } from '../../columnar/planfile.ts'
import type { Clock } from '../../common/clock.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { equalJson } from '../../common/equaljson.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { formatLsn, parseLsn, walPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { TypeProfile } from '../../datum/typedef.ts'
import { Lake, type LakePorts } from '../../engine/lake.ts'
import type { ObjectStore, StoreCounters } from '../../engine/objectstore.ts'
import { isProbe, probeCas } from '../../engine/probecas.ts'
import { unneededTransactions } from '../../engine/prunetransactions.ts'
import type { Random } from '../../engine/random.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { BranchWriter, type Work } from '../../engine/writer.ts'
import { type DirectoryCluster, directoryOptions, openCluster, openSnapshot } from '../../io/cluster.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import { systemClock } from '../../io/process/clock.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import type { WalPlace } from '../../io/walsource/inventory.ts'
import { catalogEdit, type ClusterInfo, DEFAULT_PACKING, type LakeSelection, type Packing } from '../../lake/clusterinfo.ts'
import type { NotRead } from '../../lake/notread.ts'
import { encodeDescription } from '../../lake/relationinfo.ts'
import { materialize, type RelationChange } from '../../lake/state/changes.ts'
import type { Change } from '../../lake/state/commit.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import type { Head } from '../../lake/state/head.ts'
import type { TransactionStatus } from '../../lake/state/status.ts'
import { FORMAT_KEY, MAIN_BRANCH, packObjectKey, partKey } from '../../lake/state/names.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import type { UnknownTransactions } from '../../xact/snapshot.ts'
import type { FullXid } from '../../xact/transactionstate.ts'
import type { OnProgress } from '../jobprogress.ts'
import { MergeJob, type MergedRelations, type MergePlace, noMerges } from '../merge/mergejob.ts'
import { PlannedRelations } from '../plannedrelations.ts'
import { JobTasks, type Pool } from '../pool.ts'
import type { RelationFilter } from '../selection.ts'
import { codecModules, type CodecModules, loadCodecs } from '../tasks/codecs.ts'
import { lendStore } from '../tasks/storereference.ts'
import { LTAP_VERSION } from '../version.ts'
import { clusterFileEdits, replayedOf } from './clusterfiles.ts'
import { lakeSelection, selectionOf } from './lakeselection.ts'
import { refuseOtherSource } from './othersource.ts'
import { PackWriter } from './packwriter.ts'
import { PartWriter } from './partwriter.ts'
import { PreviousState } from './previousstate.ts'
import { pageStoreName, type RecordedChanges, recordedChanges } from './recordedchanges.ts'
import { newCounts, RelationWriter, type WrittenRelations } from './relationwriter.ts'
import { statusEdits } from './statusedits.ts'
import { transactionEnds } from './transactionends.ts'
import type { WriteEvents } from './writtenfolder.ts'

export interface MaterializeLakeOptions {
  /** A clean data directory, or what replay made. */
  pgdata: string
  /** What `pgdata` was made from, for people; default: `pgdata` itself. */
  source?: string
  /** The WAL that `pgdata` was replayed along: it says exactly when transactions ended since the lake's newest state. */
  wal?: WalPlace
  /** Where the lake is, or is to be. */
  store: ObjectStore
  /** Branch of it that is written; default: `main`. Another one must be there. */
  branch?: string
  /** With which threads open the store by its URL. */
  storeOptions?: S3Options
  clock?: Clock
  random?: Random
  filter?: RelationFilter
  /** Worker threads to start, default one for each core; 0 runs everything on this thread. */
  workers?: number | Pool
  /** Compression of the Parquet files; default zstd. */
  compression?: Compression
  /** How a new lake stores types; default portable. */
  profile?: TypeProfile
  /** Modules with codecs from outside, as of transcodeLake. */
  codecs?: readonly string[]
  /** Lengths in blocks below which relations lie in packs, at most PACKING_MAX; default: as in the lake's newest state, of a new lake DEFAULT_PACKING. */
  packing?: Partial<Packing>
  /** Whether layers are merged where size tiers say so (src/lake/mergeplan.ts); default true. */
  merge?: boolean
  onCorrupt?: 'fail' | 'carry'
  unknownTransactions?: UnknownTransactions
  major?: PgMajor
  systemIdentifier?: bigint
  nextXid?: FullXid
  onProgress?: OnProgress
  /** Told what the user should know, as a sentence. */
  onNotice?: (text: string) => void
}

/** What a state says of its cluster as a whole. */
export interface ClusterFacts {
  /** Path of what was read. */
  source: string
  /** Nothing of the cluster was left out. */
  complete: boolean
  /** Relation files that no catalog row names, relative to the data directory; at most 1,000. */
  orphanFiles: readonly string[]
  temporaryFiles: number
  notRead: readonly NotRead[]
  /** A sentence for each part of the cluster as a whole that is lost. */
  damage: readonly string[]
  /** With `carry`: how many rows of new files have a transaction whose status is lost, and what became of them. */
  unknownTransactions?: { policy: UnknownTransactions; rows: number }
}

export interface MaterializeReport extends WrittenRelations, ClusterFacts {
  url: string
  systemIdentifier: string
  major: PgMajor
  timeline: number
  /** Where the lake was before; null for a new lake. */
  from: string | null
  /** What the lake holds now. */
  lsn: string
  /** False: the lake was there already, nothing was written. */
  committed: boolean
  /** Bytes of the heaps that were read. */
  heapBytes: number
  /** What became of layers that were there before. */
  merged: MergedRelations
  /** Why layers were not merged, which costs readers time alone; null if nothing stood against it. */
  mergeProblem: string | null
  /** Requests of this thread's store; those of worker threads are not among them. */
  requests: StoreCounters['requests']
}

/**
 * Brings a lake of format 2 to where a cluster is: what changed since the lake's newest state becomes layers, in one commit. A lake that is not there is
 * made. Without WAL each heap page is read once and compared.
 * @throws EnvironmentError datadir.*, lake.*, commit.*, store.*, selection.*; CorruptionError of the first damaged page unless onCorrupt is 'carry'
 */
export function materializeLake(options: MaterializeLakeOptions): Promise<MaterializeReport> {
  return materialized(options)
}

/** As {@link materializeLake}, which tells of its writing. */
export async function materialized(options: MaterializeLakeOptions, events?: WriteEvents): Promise<MaterializeReport> {
  const cluster = openCluster(options.pgdata, directoryOptions(options))
  const found = await openIfThere(options)
  return found === undefined ? await createLake(cluster, options, events) : await new MaterializeJob(found.lake, cluster, options, events).run(found.head)
}

function portsOf({ store, clock = systemClock, random = systemRandom }: MaterializeLakeOptions): LakePorts {
  return { store, clock, random }
}

/** @throws EnvironmentError lake.not-empty, lake.profile, lake.missing */
async function openIfThere(options: MaterializeLakeOptions): Promise<{ lake: Lake; head: Head } | undefined> {
  const { store } = options
  if (await store.head(FORMAT_KEY) !== undefined) {
    const lake = await Lake.open(portsOf(options))
    const { profile = lake.format.profile, branch } = options
    // One that was killed while it made the lake left it without HEAD: then it is made to its end.
    const head = branch === undefined ? (await lake.readHead(MAIN_BRANCH))?.head : await lake.head(branch)
    if (profile === lake.format.profile) return head && { lake, head }
    throw new EnvironmentError('lake.profile',
      `the lake in ${store.url} stores types as profile ${lake.format.profile} says, from its first state on, not ${profile}: make another lake for these`)
  }
  if (options.branch !== undefined) throw new EnvironmentError('lake.missing', `${store.url} has no lake, and so no branch ${options.branch}`)
  for await (const { key } of store.list('')) {
    if (isProbe(key)) continue
    throw new EnvironmentError('lake.not-empty', `${store.url} has no lake, but an object ${key}: name an empty place for a new lake`)
  }
  return undefined
}

/** What cannot be read makes no lake. */
async function createLake(cluster: DirectoryCluster, options: MaterializeLakeOptions, events: WriteEvents | undefined): Promise<MaterializeReport> {
  const ports = portsOf(options)
  const plan = new PlannedRelations(cluster, { onCorrupt: options.onCorrupt, filter: selectionOf(options.filter) })
  const { profile = 'portable' } = options
  const cas = await probeCas(ports.store, ports.random)
  const lake = await Lake.create(ports, { systemIdentifier: String(cluster.systemIdentifier), profile, cas })
  return await new MaterializeJob(lake, cluster, options, events).run(await lake.head(MAIN_BRANCH), plan)
}

/** What a state leaves to do. */
type Begun = { isThere: true; before: PreviousState } | {
  isThere: false
  base: StateRoot
  before: PreviousState
  plan: PlannedRelations
  /** What the lake takes of the cluster; undefined for all of it. */
  selection: LakeSelection | undefined
}

class MaterializeJob {
  private readonly lake: Lake
  private readonly cluster: DirectoryCluster
  private readonly options: MaterializeLakeOptions
  private readonly events: WriteEvents | undefined
  private readonly codecs: CodecModules
  private readonly descriptor: ClusterDescriptor
  /** Name of the page store that is read; undefined for the data directory of a server. */
  private readonly pageStore: string | undefined
  private doneBytes = 0

  constructor(lake: Lake, cluster: DirectoryCluster, options: MaterializeLakeOptions, events?: WriteEvents) {
    this.lake = lake
    this.cluster = cluster
    this.options = options
    this.events = events
    this.codecs = codecModules(options.codecs ?? [])
    this.pageStore = cluster.replayed === undefined ? undefined : pageStoreName(options.pgdata, lake.ports.random)
    this.descriptor = {
      systemIdentifier: String(cluster.systemIdentifier), major: cluster.major, checksums: cluster.checksums, lsn: formatLsn(cluster.lsn),
      profile: lake.format.profile,
    }
  }

  /** @param plan of a lake that was made just now */
  async run(head: Head, plan?: PlannedRelations): Promise<MaterializeReport> {
    // A source that is refused must not fence a writer that works, so it is checked before the epoch is raised.
    const { branch = MAIN_BRANCH } = this.options
    let begun = await this.begin(head, plan)
    if (begun.isThere) return this.nothing(begun.before)
    const writer = await BranchWriter.open(this.lake, branch)
    await this.events?.opened(writer, this.lake)
    // That writer may have committed meanwhile; from now on it cannot.
    if (writer.head.state.sequence !== head.state.sequence) begun = await this.begin(writer.head)
    if (begun.isThere) return this.nothing(begun.before)
    const work = writer.begin()
    try {
      return await this.write(begun, writer, work)
    } catch (error) {
      await stopIfEnding()
      work.end()
      throw error
    }
  }

  /** What is to be done from a state on. @throws EnvironmentError lake.*, selection.* if this cluster cannot follow it */
  private async begin(head: Head, plan?: PlannedRelations): Promise<Begun> {
    const { lake, cluster, options } = this
    await refuseOtherSource(lake, head, cluster, options.pgdata)
    const { state: base } = head
    const before = await PreviousState.read(Snapshot.of(lake, head, base), lake.ports.store)
    const isFirst = base.sequence === 0
    const selection = isFirst ? selectionOf(options.filter) : lakeSelection(lake.ports.store.url, before, options.filter, options.onNotice)
    const isThere = !isFirst && parseLsn(base.lsn) === cluster.lsn
    const chosen = isFirst || selection === undefined ? { filter: selection } : { filter: selection, known: before }
    if (isThere) return { isThere, before }
    return { isThere, base, before, selection, plan: plan ?? new PlannedRelations(cluster, { onCorrupt: options.onCorrupt, ...chosen }) }
  }

  /** The lake has this state already. */
  private nothing({ cluster, notRead }: PreviousState): MaterializeReport {
    const { lsn } = this.descriptor
    return { ...this.identity(), ...newCounts(), ...this.found(cluster, notRead, 0), from: lsn, committed: false, heapBytes: 0, ...NOT_MERGED }
  }

  private async write({ base, before, plan, selection }: Begun & { isThere: false }, writer: BranchWriter, work: Work): Promise<MaterializeReport> {
    const { lake, cluster, descriptor, options } = this
    const pool = new JobTasks(options.workers)
    const { reference, end } = lendStore(lake.ports.store, options.storeOptions ?? {})
    try {
      const parts = new PartWriter(lake.ports.store, () => partKey(work.name()))
      const packs = new PackWriter(lake.ports.store, () => packObjectKey(work.name()), lake.compressor)
      const packing = { ...DEFAULT_PACKING, ...(base.sequence > 0 && before.cluster.packing), ...options.packing }
      const snapshot = { pgdata: options.pgdata, job: pool.job, options: directoryOptions(options) }
      const relations = new RelationWriter({
        cluster, descriptor, plan, pool, snapshot, reference, mint: () => work.name(), parts, packs, before, extensions: await loadCodecs(this.codecs),
        onCorrupt: options.onCorrupt ?? 'fail', packing, changes: this.changes(before, base.lsn),
      }, { compression: options.compression ?? 'zstd', codecs: this.codecs, onBlocks: (...done) => this.progress(plan, ...done) })
      this.progress(plan, 0, '')
      try {
        await forEachAtMost(pool.workers + 3, plan.inOrder(), (planned) => relations.write(planned))
        await packs.finish()
      } catch (error) {
        await packs.abort()
        throw error
      }
      for (const dbOid of plan.selection.databases) for (const parent of plan.selection.parents(dbOid)) relations.addParent(parent)
      relations.finish()
      const { changes, unresolved, losses, counts } = relations
      const damage = [...new Set([...cluster.losses, ...losses])].sort()
      const transactions = openSnapshot(options.pgdata, directoryOptions(options))
      const { low, epoch } = transactions.nextXid
      const info = this.clusterInfo(plan.selection.complete, selection, { damage, packing, nextXid: epoch * 0x100000000 + low })
      const others = [
        ...await unneededTransactions(lake, writer.head),
        ...statusEdits(before, unresolved, transactions, { after: base.lsn, until: descriptor.lsn }, await this.ends(before.open, base.lsn)),
        ...await clusterFileEdits(options.pgdata, cluster, before.files, parts),
        ...await this.catalogEdits({ plan, before }, info, parts),
      ]
      await parts.finish()
      const { timeline, time } = cluster
      const position = { timeline, lsn: descriptor.lsn, ...(time !== undefined && { time }) }
      await this.commit(writer, materialize({ from: base, position, relations: changes, others }), work)
      const merges = options.merge === false ? NOT_MERGED : await this.merge({ lake, writer, pool, reference }, changes)
      return {
        ...this.identity(), ...counts, ...merges, ...this.found(info, plan.notRead, counts.lanes.unknownStatus),
        from: base.sequence === 0 ? null : base.lsn, committed: true, heapBytes: plan.totalBytes,
      }
    } finally {
      end()
      await pool.close()
    }
  }

  /** Undefined unless the lake's state was read from the page store that is read now. */
  private changes(before: PreviousState, from: string): RecordedChanges | undefined {
    const { pageStore, options: { pgdata, onNotice } } = this
    if (pageStore === undefined || before.catalog.size === 0 || before.cluster.pageStore !== pageStore) return undefined
    return recordedChanges(pgdata, walPosition(parseLsn(from)!), onNotice)
  }

  private async ends(open: readonly bigint[], from: string): Promise<ReadonlyMap<bigint, TransactionStatus>> {
    const { options: { wal }, cluster: { lsn, timeline, major, systemIdentifier, replayed } } = this
    if (wal === undefined || replayed === undefined) return new Map()
    try {
      return await transactionEnds({ wal, from: walPosition(parseLsn(from)!), to: walPosition(lsn), timeline, major, systemIdentifier }, open)
    } catch (error) {
      if (!(error instanceof EnvironmentError && error.code.startsWith('wal.'))) throw error
      this.options.onNotice?.(`when the ${open.length} transactions ended that were open at LSN ${from} is not known exactly: ${error.message}`)
      return new Map()
    }
  }

  /** The state is in the lake: what stands against merges is no failure. */
  private async merge(place: MergePlace, changes: readonly RelationChange[]): Promise<Pick<MaterializeReport, 'merged' | 'mergeProblem'>> {
    const changed = new Set(changes.filter(({ layer }) => layer !== undefined).map(({ relation }) => relation.key))
    const { compression = 'zstd' } = this.options
    const job = new MergeJob(place, { all: false, compression, codecs: this.codecs, wants: ({ entry }) => changed.has(entry.key) })
    try {
      return { merged: await job.run(), mergeProblem: null }
    } catch (error) {
      await stopIfEnding()
      if (!isPositioned(error)) throw error
      return { merged: job.merged, mergeProblem: error.message }
    }
  }

  private async commit(writer: BranchWriter, change: Change, work: Work): Promise<void> {
    await stopIfEnding()
    const done = writer.commit(change, work)
    this.events?.committing(done.then(() => true, () => this.isCommitted(writer)))
    await done
  }

  /** Whether HEAD has a commit of a writer that failed. */
  private async isCommitted({ epoch, branch }: BranchWriter): Promise<boolean> {
    const { epochs } = await this.lake.head(branch)
    return epochs.find((other) => other.epoch === epoch)?.sequence !== 0
  }

  /** What a report says of the cluster as a whole. */
  private found(
    { complete, source, orphans, temporaryFiles, damage = [], unknownTransactions: policy }: ClusterInfo, notRead: readonly NotRead[], rows: number,
  ): ClusterFacts {
    return {
      source, complete: complete && notRead.length === 0, orphanFiles: orphans, temporaryFiles, notRead, damage,
      ...(policy && { unknownTransactions: { policy, rows } }),
    }
  }

  private identity(): Pick<MaterializeReport, 'url' | 'systemIdentifier' | 'major' | 'timeline' | 'lsn' | 'requests'> {
    const { systemIdentifier, major, lsn } = this.descriptor
    const { store } = this.lake.ports
    return { url: store.url, systemIdentifier, major, timeline: this.cluster.timeline, lsn, requests: store.counters.requests }
  }

  private progress(plan: PlannedRelations, blocks: number, relation: string): void {
    this.doneBytes += blocks * BLOCK_SIZE
    this.options.onProgress?.(this.doneBytes, plan.totalBytes, relation)
  }

  /** What the state says beside relations with pages, as far as it is not as before. */
  private async catalogEdits(
    { plan: { selection, notRead }, before }: Pick<Begun & { isThere: false }, 'plan' | 'before'>, cluster: ClusterInfo, parts: PartWriter,
  ): Promise<(EntryKey & { value?: object })[]> {
    const entries: (EntryKey & { value: object })[] = [
      catalogEdit({ kind: 'cluster', cluster }),
      ...this.cluster.databases.map(({ oid, name, template }) => catalogEdit({ kind: 'database', database: { oid, name, template } })),
      ...notRead.map((relation, i) => catalogEdit({ kind: 'notread', notRead: relation }, i)),
    ]
    for (const dbOid of selection.databases) {
      for (const { database: { encoding }, oid, schema, name, parents, desc, virtualColumns } of selection.parents(dbOid)) {
        const { major, profile } = this.descriptor
        const { history: fields } = grownColumnFields(undefined, { major, profile, encoding, desc, displayScales: {}, pageFlags: 0 })
        const description = await parts.add(encodeDescription({ encoding, desc, fields, overflow: [], virtualColumns }))
        entries.push(catalogEdit({ kind: 'parent', parent: { dbOid, oid, schema, name, parents, description } }))
      }
    }
    const now = new Set(entries.map(({ key }) => key))
    const gone = [...before.catalog.keys()].filter((key) => !now.has(key)).map((key) => ({ tree: 'catalog' as const, key }))
    return [...entries.filter(({ key, value }) => !equalJson(before.catalog.get(key), value)), ...gone]
  }

  private clusterInfo(complete: boolean, selection: LakeSelection | undefined, { damage, packing, nextXid }: StateFacts): ClusterInfo {
    const { cluster, options: { pgdata, source, onCorrupt, unknownTransactions = 'hide' } } = this
    const root = realpathSync(pgdata)
    const orphans = complete ? cluster.orphans().map(({ dir, relNumber }) => `${dir.slice(root.length + 1)}/${relNumber}`) : []
    return {
      major: cluster.major, catalogVersion: cluster.control.catalogVersion, blockSize: BLOCK_SIZE, checksums: cluster.checksums,
      createdBy: `ltap ${LTAP_VERSION}`, complete, ...(selection && { selection }), source: realpathSync(source ?? pgdata),
      orphans: orphans.slice(0, ORPHANS_MAX),
      temporaryFiles: complete ? cluster.temp().length : 0, ...(onCorrupt === 'carry' && { unknownTransactions }),
      ...(cluster.guessed && { guessed: true as const }), ...(damage.length > 0 && { damage }), ...replayedOf(cluster), packing, nextXid,
      ...(this.pageStore !== undefined && { pageStore: this.pageStore }),
    }
  }
}

/** What a state says of its cluster that the work finds out. */
type StateFacts = Pick<ClusterInfo, 'packing' | 'nextXid'> & { damage: readonly string[] }

const NOT_MERGED: Pick<MaterializeReport, 'merged' | 'mergeProblem'> = { merged: noMerges(), mergeProblem: null }

/** So many are listed: a commit has room for no more. */
const ORPHANS_MAX = 1000
