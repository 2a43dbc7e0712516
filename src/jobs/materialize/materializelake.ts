import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { parseLsn, walPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { Lake } from '../../engine/lake.ts'
import type { StoreCounters } from '../../engine/objectstore.ts'
import { unneededTransactions } from '../../engine/prunetransactions.ts'
import { BranchWriter, type Work } from '../../engine/writer.ts'
import { type DirectoryCluster, directoryOptions, openSnapshot } from '../../io/cluster.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { catalogEdit, type ClusterInfo } from '../../lake/clusterinfo.ts'
import type { NotRead } from '../../lake/notread.ts'
import { materialize, type RelationChange } from '../../lake/state/changes.ts'
import type { Change } from '../../lake/state/commit.ts'
import type { Head } from '../../lake/state/head.ts'
import { MAIN_BRANCH, packObjectKey, partKey } from '../../lake/state/names.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import type { RecordedEnd } from '../../lake/state/transactions.ts'
import type { UnknownTransactions } from '../../xact/snapshot.ts'
import { MergeJob, type MergedRelations, type MergePlace, noMerges } from '../merge/mergejob.ts'
import type { PlannedRelations } from '../plannedrelations.ts'
import { isPublicationDue, NOT_PUBLISHED, type Publication, publishAfter } from '../publish/publishnewest.ts'
import { JobTasks } from '../pool.ts'
import { codecModules, type CodecModules, loadCodecs } from '../tasks/codecs.ts'
import { lendStore } from '../tasks/storereference.ts'
import { begin, type BegunWork, describedCluster, openBoth, packingOf, positionOf } from './begun.ts'
import { catalogEdits, catalogEntries, clusterInfo, fullXidOf } from './catalogentries.ts'
import { clusterFileEdits } from './clusterfiles.ts'
import type { MaterializeLakeOptions } from './materializeoptions.ts'
import { PackWriter } from './packwriter.ts'
import { PartWriter } from './partwriter.ts'
import { PackingRule } from './packingrule.ts'
import type { PreviousState } from './previousstate.ts'
import { pageStoreName, type RecordedChanges, recordedChanges } from './recordedchanges.ts'
import { newCounts, RelationWriter, type WrittenRelations } from './relationwriter.ts'
import { transactionEdits } from './endedtransactions.ts'
import { endedEdits, openEdits } from './statusedits.ts'
import { TreeFields } from './treefields.ts'
import { transactionEnds } from './transactionends.ts'
import type { WriteEvents } from './writtenfolder.ts'

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

export interface MaterializeReport extends WrittenRelations, ClusterFacts, Publication {
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
  /** Requests to the store, those of worker threads, too. */
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
  const { cluster, lake, head, plan } = await openBoth(options)
  return await new MaterializeJob(lake, cluster, options, events).run(head, plan)
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
    this.descriptor = describedCluster(cluster, lake)
  }

  /** @param plan of a lake that was made just now */
  async run(head: Head, plan?: PlannedRelations): Promise<MaterializeReport> {
    // A source that is refused must not fence a writer that works, so it is checked before the epoch is raised.
    const { lake, cluster, options } = this
    const { branch = MAIN_BRANCH } = options
    let begun = await begin(lake, head, { cluster, options, plan })
    if (begun.isThere) return await this.nothing(begun.before, head)
    const writer = await BranchWriter.open(lake, branch)
    await this.events?.opened(writer, lake)
    // That writer may have committed meanwhile; from now on it cannot.
    if (writer.head.state.sequence !== head.state.sequence) begun = await begin(lake, writer.head, { cluster, options })
    if (begun.isThere) return await this.nothing(begun.before, writer.head)
    const work = writer.begin()
    try {
      return await this.write(begun, writer, work)
    } catch (error) {
      await stopIfEnding()
      work.end()
      throw error
    }
  }

  /** The lake has this state already; perhaps it is not published yet. */
  private async nothing({ cluster, notRead }: PreviousState, head: Head): Promise<MaterializeReport> {
    const { lake, descriptor: { lsn }, options: { publish = {} } } = this
    const isDue = publish !== false && await isPublicationDue(lake, head, publish)
    const published = isDue ? await this.publish(await BranchWriter.open(lake, head.branch.name)) : NOT_PUBLISHED
    return {
      ...this.identity(), ...newCounts(), ...this.found(cluster, notRead, 0), from: lsn, committed: false, heapBytes: 0, ...NOT_MERGED, ...published,
    }
  }

  private async publish(writer: BranchWriter): Promise<Publication> {
    const { publish = {} } = this.options
    return publish === false ? NOT_PUBLISHED : await publishAfter(this.lake, writer, publish)
  }

  private async write(begun: BegunWork, writer: BranchWriter, work: Work): Promise<MaterializeReport> {
    const { base, before, plan, selection } = begun
    const { lake, cluster, descriptor, options } = this
    const pool = new JobTasks(options.workers)
    const { reference, end } = lendStore(lake.ports.store, options.storeOptions ?? {})
    try {
      const parts = new PartWriter(lake.ports.store, () => partKey(work.name()))
      const packs = new PackWriter(lake.ports.store, () => packObjectKey(work.name()), lake.compressor)
      const packing = new PackingRule(packingOf(begun, options))
      const snapshot = { pgdata: options.pgdata, job: pool.job, options: directoryOptions(options) }
      const extensions = await loadCodecs(this.codecs)
      const trees = await TreeFields.read(plan, before, { major: descriptor.major, profile: descriptor.profile, extensions })
      const relations = new RelationWriter({
        cluster, descriptor, plan, pool, snapshot, reference, mint: () => work.name(), parts, packs, before, trees, extensions,
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
      for (const sentence of packing.unused(options.packing)) options.onNotice?.(sentence)
      const { changes, unresolved, losses, counts } = relations
      const lost = new Set([...cluster.losses, ...losses])
      const files = await clusterFileEdits(options.pgdata, cluster, before.files, parts, options.onCorrupt === 'carry' ? lost : undefined)
      const damage = [...lost].sort()
      const transactions = openSnapshot(options.pgdata, directoryOptions(options))
      const info = clusterInfo({ cluster, plan, selection, options }, {
        damage, packing: packing.packing, nextXid: fullXidOf(transactions), ...(this.pageStore !== undefined && { pageStore: this.pageStore }),
      })
      const recorded = await this.ends(base, info.nextXid)
      const others = [
        ...await unneededTransactions(lake, writer.head),
        ...endedEdits(before, transactions, { after: base.lsn, until: descriptor.lsn }, recorded),
        ...openEdits(before, unresolved),
        ...await transactionEdits({ lake, before, base, snapshot: transactions, position: positionOf(cluster), recorded }, parts),
        ...files,
        ...catalogEdits(before.catalog, [
          ...await catalogEntries({ cluster, descriptor, plan, parts, trees }, info),
          ...plan.notRead.map((notRead, i) => catalogEdit({ kind: 'notread', notRead }, i)),
        ]),
      ]
      await parts.finish()
      await this.commit(writer, materialize({ from: base, position: positionOf(cluster), relations: changes, others }), work)
      const merges = options.merge === false ? NOT_MERGED : await this.merge({ lake, writer, pool, reference }, changes)
      const published = await this.publish(writer)
      return {
        ...this.identity(), ...counts, ...merges, ...published, ...this.found(info, plan.notRead, counts.lanes.unknownStatus),
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

  /** What the WAL says of how transactions ended since the state before. */
  private async ends({ sequence, lsn: from }: StateRoot, nextXid: number): Promise<ReadonlyMap<number, RecordedEnd>> {
    const { options: { wal }, cluster: { lsn, timeline, major, systemIdentifier, replayed } } = this
    if (wal === undefined || replayed === undefined || sequence === 0) return new Map()
    try {
      return await transactionEnds({ wal, from: walPosition(parseLsn(from)!), to: walPosition(lsn), timeline, major, systemIdentifier }, nextXid)
    } catch (error) {
      if (!(error instanceof EnvironmentError && error.code.startsWith('wal.'))) throw error
      this.options.onNotice?.(`when transactions ended since LSN ${from} is not known exactly: ${error.message}`)
      return new Map()
    }
  }

  /** The state is in the lake: what stands against merges is no failure. */
  private async merge(place: MergePlace, changes: readonly RelationChange[]): Promise<Pick<MaterializeReport, 'merged' | 'mergeProblem'>> {
    const changed = new Set(changes.filter(({ layer }) => layer !== undefined).map(({ relation }) => relation.key))
    const { compression = 'zstd' } = this.options
    const job = new MergeJob(place, { all: false, compression, codecs: this.codecs, changed })
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
}

const NOT_MERGED: Pick<MaterializeReport, 'merged' | 'mergeProblem'> = { merged: noMerges(), mergeProblem: null }
