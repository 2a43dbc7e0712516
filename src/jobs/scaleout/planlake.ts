import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import { crc32c } from '../../common/crc32c.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { CorruptionError } from '../../common/errors.ts'
import { formatLsn } from '../../common/ids.ts'
import type { Lake } from '../../engine/lake.ts'
import { setPlan } from '../../engine/openjob.ts'
import { addReference, jobObjectName, type Registered, removeReference } from '../../engine/references.ts'
import { NO_USE, useSince } from '../../engine/requestcounters.ts'
import { type DirectoryCluster, directoryOptions, openSnapshot } from '../../io/cluster.ts'
import { localFolder } from '../../io/objectstore/openobjectstore.ts'
import { onEnd, stopIfEnding } from '../../io/process/interruption.ts'
import type { JobIdentity } from '../../lake/job/identity.ts'
import { encodePlan, type JobPlan } from '../../lake/job/plan.ts'
import type { Unit } from '../../lake/job/unit.ts'
import type { UnitReading } from '../../lake/job/unittask.ts'
import type { Packing } from '../../lake/clusterinfo.ts'
import type { NotRead } from '../../lake/notread.ts'
import { encodeDescription, relationInfoJson } from '../../lake/relationinfo.ts'
import { tableFolder } from '../../lake/tablefolder.ts'
import type { Head } from '../../lake/state/head.ts'
import { MAIN_BRANCH, partKey } from '../../lake/state/names.ts'
import { STATE_FORMAT } from '../../lake/state/page.ts'
import { begin, type BegunWork, describedCluster, openBoth, packingOf, positionOf } from '../materialize/begun.ts'
import { PackingRule } from '../materialize/packingrule.ts'
import { catalogEntries, clusterInfo, fullXidOf } from '../materialize/catalogentries.ts'
import { clusterFileEdits } from '../materialize/clusterfiles.ts'
import { layerChange, LayerPlanner, type PlannedLayer } from '../materialize/layerplanner.ts'
import type { MaterializeLakeOptions } from '../materialize/materializeoptions.ts'
import { PartWriter } from '../materialize/partwriter.ts'
import type { PreviousState } from '../materialize/previousstate.ts'
import { TreeFields } from '../materialize/treefields.ts'
import { transactionEdits } from '../materialize/endedtransactions.ts'
import { endedEdits } from '../materialize/statusedits.ts'
import type { PlannedRelation, PlannedRelations } from '../plannedrelations.ts'
import { JobTasks } from '../pool.ts'
import { codecModules, loadCodecs } from '../tasks/codecs.ts'
import { putObject } from '../tasks/lakeobject.ts'
import { lendStore } from '../tasks/storereference.ts'
import { LTAP_VERSION } from '../version.ts'
import { RecordWriter } from './recordwriter.ts'
import { UnitWriter } from './unitwriter.ts'

export interface PlannedJob {
  url: string
  /** Id of the open job; null if the lake has the source's state already. */
  job: string | null
  name: string | null
  /** Where the lake is now; null for a new one. */
  from: string | null
  lsn: string
  relations: number
  unchanged: number
  gone: number
  blocks: number
  notRead: readonly NotRead[]
  /** Lines for `workUnits`. */
  units: readonly Unit[]
}

export interface PlanLakeOptions extends Omit<MaterializeLakeOptions, 'onProgress'> {
  /** Name of the job; default: a new one. */
  name?: string
}

/**
 * Finds out what of a cluster the lake does not have, and registers that as an open job: units of work that any process on any machine can do, for one
 * commit. No page is transcoded.
 * @throws EnvironmentError datadir.*, lake.*, store.*, selection.*; CorruptionError of the first damaged page unless onCorrupt is 'carry'
 */
export async function planLake(options: PlanLakeOptions): Promise<PlannedJob> {
  const { cluster, lake, head, plan } = await openBoth(options)
  const { branch = MAIN_BRANCH } = options
  const begun = await begin(lake, head, { cluster, options, plan })
  if (begun.isThere) return nothing(lake, cluster)
  const source = { systemIdentifier: String(cluster.systemIdentifier), lsn: formatLsn(cluster.lsn) }
  const name = options.name ?? `job-${lake.ports.random.nonce().slice(0, 8)}`
  const registered = await addReference(lake, branch, 'jobs', name, 'newest', source)
  const drop = (): Promise<void> => removeReference(lake, branch, 'jobs', registered.entry.id)
  const forget = onEnd(drop)
  try {
    // Another commit may have come first: what is to be done from its state on is another thing.
    const work = registered.entry.state.sequence === head.state.sequence ? begun : await begin(lake, registered.head, { cluster, options })
    if (!work.isThere) return await new Planner(lake, cluster, registered, options).run(work)
    await drop()
    return nothing(lake, cluster)
  } catch (error) {
    await stopIfEnding()
    await drop()
    throw error
  } finally {
    forget()
  }
}

function nothing({ ports: { store } }: Lake, cluster: DirectoryCluster): PlannedJob {
  const lsn = formatLsn(cluster.lsn)
  return { url: store.url, job: null, name: null, from: lsn, lsn, relations: 0, unchanged: 0, gone: 0, blocks: 0, notRead: [], units: [] }
}

class Planner {
  private readonly lake: Lake
  private readonly cluster: DirectoryCluster
  private readonly head: Head
  private readonly job: Registered['entry']
  private readonly options: PlanLakeOptions
  private readonly descriptor: ClusterDescriptor
  private readonly parts: PartWriter
  private readonly records: RecordWriter
  private readonly databases = new Set<number>()
  private readonly counts = { relations: 0, unchanged: 0 }
  /** A sentence for each part of the cluster that is lost. */
  private readonly losses: Set<string>

  constructor(lake: Lake, cluster: DirectoryCluster, { head, entry }: Registered, options: PlanLakeOptions) {
    this.lake = lake
    this.cluster = cluster
    this.head = head
    this.job = entry
    this.options = options
    this.losses = new Set(cluster.losses)
    this.descriptor = describedCluster(cluster, lake)
    this.parts = new PartWriter(lake.ports.store, () => this.newKey())
    this.records = new RecordWriter(this.parts, lake.compressor)
  }

  async run(begun: BegunWork): Promise<PlannedJob> {
    const { plan, base, before, selection } = begun
    const { lake, options, cluster } = this
    const packing = new PackingRule(packingOf(begun, options))
    const extensions = await loadCodecs(codecModules(options.codecs ?? []))
    const units = new UnitWriter(this.parts, { reading: readingOf(options), compression: options.compression ?? 'zstd', codecs: [...extensions.keys()].sort() })
    const trees = await TreeFields.read(plan, before, { major: this.descriptor.major, profile: this.descriptor.profile, extensions })
    const pool = new JobTasks(options.workers)
    const { reference, end } = lendStore(lake.ports.store, options.storeOptions ?? {})
    try {
      const planner = new LayerPlanner({
        cluster, descriptor: this.descriptor, plan, pool, reference, before, trees, extensions, onCorrupt: options.onCorrupt ?? 'fail', packing,
      })
      await forEachAtMost(pool.workers + 3, plan.inOrder(), (planned) => this.relation(planned, { planner, plan, before, units }))
    } finally {
      end()
      await pool.close()
    }
    const gone = before.gone()
    for (const key of gone) this.records.add({ kind: 'edit', edit: { tree: 'layers', key } })
    for (const sentence of packing.unused(options.packing)) options.onNotice?.(sentence)
    await this.others({ plan, base, before, selection }, packing.packing, trees)
    const planned = await units.finish()
    for (const unit of planned) this.records.add({ kind: 'unit', unit })
    await this.writePlan(plan, { units: planned.length, gone: gone.length })
    return this.report(plan, planned.map((unit): Unit => ({ ...this.identity(), ...unit, source: realpathSync(options.pgdata) })), gone.length)
  }

  private async relation(
    planned: PlannedRelation,
    { planner, plan, before, units }: { planner: LayerPlanner; plan: PlannedRelations; before: PreviousState; units: UnitWriter },
  ): Promise<void> {
    const key = before.take(planned.relation.locator)
    try {
      await this.layer(await planner.plan(planned, key), { plan, before, units }, key !== undefined)
    } catch (error) {
      if (!(error instanceof CorruptionError && error.code === 'relation.unreadable')) throw error
      plan.leaveOut(planned.relation, error)
      if (key !== undefined) this.records.add({ kind: 'edit', edit: { tree: 'layers', key } })
    }
  }

  private async layer(
    layer: PlannedLayer, { plan, before, units }: { plan: PlannedRelations; before: PreviousState; units: UnitWriter }, isKnown: boolean,
  ): Promise<void> {
    const number = this.counts.relations++
    if (layer.isSame) this.counts.unchanged++
    if (layer.relation.dbOid !== 0) this.databases.add(layer.relation.dbOid)
    const { planned, storage: { relativePath, segments }, relation: descriptor, description, entry, info } = layer
    const ref = await this.parts.add(encodeDescription(description), layer.known?.description)
    if (layerChange(layer, ref, []) === undefined) return
    const toast = layer.files.length === 0 ? undefined : plan.toastOf(planned)
    const folder = before.folder(descriptor)
    const files = []
    for (const blocks of layer.files) {
      const place = await units.add({
        relation: number, descriptor, ...(folder !== tableFolder(descriptor) && { folder }),
        cluster: this.descriptor, blocks, fork: { path: relativePath, segments },
        ...(layer.packed && { pack: { entry: entry.key, smallest: layer.layer.smallest, length: layer.layer.length } }),
        ...(toast && { toast: { oid: toast.relationId, path: toast.relativePath, segments: toast.fork.segments, blocks: toast.blocks } }),
      })
      files.push({ ...place, blocks })
    }
    this.records.add({
      kind: 'relation', number, change: {
        relation: entry, info: relationInfoJson({ ...info, description: ref }), ...(!layer.isSame && { layer: layer.layer }), files,
        overflow: description.overflow, database: descriptor.database, isKnown,
      },
    })
  }

  /** Entries that do not depend on what units write. */
  private async others({ plan, base, before, selection }: Omit<BegunWork, 'isThere'>, packing: Packing, trees: TreeFields): Promise<void> {
    const { cluster, descriptor, options, parts } = this
    const snapshot = openSnapshot(options.pgdata, directoryOptions(options))
    for (const edit of endedEdits(before, snapshot, { after: this.job.state.lsn, until: descriptor.lsn })) this.records.add({ kind: 'edit', edit })
    const ended = await transactionEdits({ lake: this.lake, before, base, snapshot, position: positionOf(cluster) }, parts)
    for (const edit of ended) this.records.add({ kind: 'edit', edit })
    const files = await clusterFileEdits(options.pgdata, cluster, before.files, parts, options.onCorrupt === 'carry' ? this.losses : undefined)
    for (const edit of files) this.records.add({ kind: 'edit', edit })
    const info = clusterInfo({ cluster, plan, selection, options }, { damage: [], packing, nextXid: fullXidOf(snapshot) })
    for (const { key, value } of await catalogEntries({ cluster, descriptor, plan, parts, trees }, info)) {
      this.records.add({ kind: 'catalog', key, value })
    }
    for (const notRead of plan.notRead) this.records.add({ kind: 'notread', notRead })
  }

  private async writePlan(plan: PlannedRelations, counts: Pick<JobPlan, 'units' | 'gone'>): Promise<void> {
    const { lake, cluster, job, options } = this
    const { sequence, timeline: baseTimeline, lsn } = job.state
    const records = await this.records.finish()
    await this.parts.finish()
    const bytes = encodePlan({
      ltap: LTAP_VERSION, source: realpathSync(options.pgdata), base: { sequence, timeline: baseTimeline, lsn },
      position: positionOf(cluster), ...this.counts, ...counts,
      databases: this.databases.size, heapBytes: plan.totalBytes, damage: [...this.losses], records,
      used: useSince(lake.ports.store.counters, NO_USE),
    }, lake.compressor)
    const key = this.newKey()
    await putObject(lake.ports.store, key, bytes)
    await setPlan(lake, this.head.branch.name, job.id, { key, bytes: bytes.length, crc: crc32c(bytes) })
  }

  private newKey(): string {
    return partKey(jobObjectName(this.lake, this.head.branch.id, this.job.id))
  }

  private identity(): JobIdentity {
    const { lake: { ports: { store }, format: { main } }, descriptor: { systemIdentifier, lsn }, cluster: { timeline }, job } = this
    const folder = localFolder(store.url)
    const place = folder === undefined ? store.url : resolve(folder)
    return { ltap: LTAP_VERSION, format: STATE_FORMAT, lake: place, main, branch: this.head.branch.name, job: job.id, systemIdentifier, timeline, lsn }
  }

  private report(plan: PlannedRelations, units: readonly Unit[], gone: number): PlannedJob {
    const { lake: { ports: { store } }, job: { id, name, state }, descriptor: { lsn } } = this
    return {
      url: store.url, job: id, name, from: state.sequence === 0 ? null : state.lsn, lsn, ...this.counts, gone,
      blocks: units.reduce((sum, { blocks }) => sum + blocks, 0), notRead: plan.notRead, units,
    }
  }
}

function readingOf({ onCorrupt = 'fail', unknownTransactions = 'hide', major, systemIdentifier, nextXid }: PlanLakeOptions): UnitReading {
  return {
    onCorrupt, unknownTransactions, ...(major !== undefined && { major }),
    ...(systemIdentifier !== undefined && { systemIdentifier: String(systemIdentifier) }), ...(nextXid !== undefined && { nextXid }),
  }
}
