/** Publications of a simulation: what shows them to engines, engines that read them, and what they must find. */
import type { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import type { BranchWriter } from '../../src/engine/writer.ts'
import { publishNewest, type PublishOptions } from '../../src/jobs/publish/publishnewest.ts'
import { DEFAULT_WINDOW, type PublishedWindow } from '../../src/lake/publishedentry.ts'
import { MAIN_BRANCH } from '../../src/lake/state/names.ts'
import type { StateRoot } from '../../src/lake/state/stateroot.ts'
import { lsnNumber, lsnText, type SimCluster } from './simcluster.ts'
import { expectedRows, OpenTable, openFolders, PublicationChecker } from './simengine.ts'
import type { SimStore } from './simstore.ts'
import { hasCode, isPackedTable } from './simwriter.ts'
import { check, type Machine, type World } from './world.ts'

const BRANCH_FOLDER = /^branches\/([^/]+)\//

function branchOf(folder: string): string {
  return BRANCH_FOLDER.exec(folder)?.[1] ?? MAIN_BRANCH
}

export class SimPublishing {
  readonly checker: PublicationChecker
  readonly counts = { publications: 0, reads: 0 }
  /** Names of branches that were deleted once: their tables stay where they are. */
  readonly deleted = new Set<string>()
  private readonly world: World
  private readonly clusters: ReadonlyMap<number, SimCluster>
  private readonly options: PublishOptions
  private readonly window: PublishedWindow
  /** By branch name: the LSN that was reported as published. */
  private readonly reported = new Map<string, number>()

  /** @param clusters by timeline */
  constructor(world: World, store: SimStore, clusters: ReadonlyMap<number, SimCluster>, options: PublishOptions) {
    this.world = world
    this.clusters = clusters
    this.options = options
    this.window = { ...DEFAULT_WINDOW, ...options.window }
    this.checker = new PublicationChecker(store.objects, clusters)
    store.onPut = (key, isLate) => void world.outside(this.checker.put(key, isLate))
  }

  /** As `ltap transcode` and `ltap publish` do. @returns false if the lake has another state meanwhile */
  async publish(lake: Lake, writer: BranchWriter): Promise<boolean> {
    const { branch, head: { state: { timeline, lsn } } } = writer
    if (timeline === 0) return false
    try {
      const { left } = await publishNewest(lake, writer, this.options)
      check(left.length === 0, `tables are not published: ${left.map(({ table, reason }) => `${table}: ${reason}`).join('; ')}`)
    } catch (error) {
      if (hasCode(error, 'commit.stale')) return false
      throw error
    }
    this.counts.publications++
    this.reported.set(branch, Math.max(lsnNumber(lsn), this.reported.get(branch) ?? 0))
    return true
  }

  /** A branch begins, perhaps under a name that another one had. */
  begin(branch: string): void {
    this.reported.delete(branch)
  }

  /** A foreign engine: it opens a table, and reads it slowly. */
  async read(machine: Machine, store: ObjectStore): Promise<void> {
    const folders = await openFolders(store)
    if (folders.length === 0) return
    const reported = this.reported.get(MAIN_BRANCH) ?? 0
    const openedMs = machine.clock.now()
    const table = await OpenTable.open(store, machine.numbers.pick(folders))
    if (table === undefined) return
    const { snapshots } = table.metadata
    this.checkNotBack(table, reported)
    const snapshot = machine.numbers.chance(60) ? snapshots.at(-1)! : machine.numbers.pick(snapshots)
    const slowness = machine.numbers.pick([10, 1000, 5000])
    const failed = await table.read(store, this.clusters, snapshot, () => machine.clock.sleep(machine.numbers.int(slowness)), (work) => this.world.outside(work))
    this.counts.reads++
    if (failed === undefined || this.deleted.has(branchOf(table.folder))) return
    const now = await OpenTable.open(store, table.folder)
    if (now?.metadata['table-uuid'] !== table.metadata['table-uuid']) return
    const isListed = now.metadata.snapshots.some((other) => other['snapshot-id'] === snapshot['snapshot-id'])
    const newer = now.metadata.snapshots.at(-1)!['sequence-number'] - snapshot['sequence-number']
    const { snapshots: kept, ms } = this.window
    const isOver = snapshot !== snapshots.at(-1) || newer >= kept || machine.clock.now() >= openedMs + ms
    check(isOver, `snapshot ${snapshot['snapshot-id']} of ${table.folder} was the newest one ${machine.clock.now() - openedMs} ms ago, but ${failed}`)
    check(!isListed, `snapshot ${snapshot['snapshot-id']} of ${table.folder} is listed, but ${failed}`)
  }

  /** What was reported as published is what readers find, or what came later. */
  private checkNotBack(table: OpenTable, reported: number): void {
    if (branchOf(table.folder) !== MAIN_BRANCH) return
    const lsn = lsnNumber(table.metadata.snapshots.at(-1)!.summary['ltap.lsn']!)
    const cluster = this.clusters.get(1)!
    const wanted = expectedRows(cluster, table.name, reported)
    check(lsn >= reported || wanted === undefined || expectedRows(cluster, table.name, lsn)!.join() === wanted.join(),
      `readers find ${table.folder} at LSN ${lsnText(lsn)}, and ${lsnText(reported)} was reported as published`)
  }

  /** Behind a publication of a state of a branch: readers find each table that has files, as it is, and each snapshot that is listed. */
  async checkTables(store: ObjectStore, branch: string, state: StateRoot): Promise<void> {
    if (state.timeline === 0) return
    const [cluster, lsn] = [this.clusters.get(state.timeline)!, lsnNumber(state.lsn)]
    const tables = new Map<string, OpenTable>()
    for (const folder of await openFolders(store)) {
      if (branchOf(folder) !== branch) continue
      const table = (await OpenTable.open(store, folder))!
      tables.set(table.name, table)
    }
    for (const relation of cluster.relationsAt(lsn)) {
      const oid = cluster.oidOf(relation)
      const table = tables.get(`t${oid}`)
      const isPacked = isPackedTable(relation, cluster.lengthAt(relation, lsn))
      check((table === undefined) === isPacked, `table t${oid} of branch ${branch} is ${isPacked ? '' : 'not '}in packs, and readers find ${table ? 'it' : 'none'}`)
      if (table) await this.checkTable(store, table, cluster.rowsAt(oid, lsn)!)
    }
    const schemas = tables.get('schemas')
    check(schemas !== undefined, `readers find no ltap.schemas of branch ${branch}`)
    await this.checkTable(store, schemas, expectedRows(cluster, 'schemas', lsn)!)
  }

  private async checkTable(store: ObjectStore, { folder, name, metadata }: OpenTable, rows: readonly string[]): Promise<void> {
    const table = (await OpenTable.open(store, folder))!
    const { summary } = metadata.snapshots.at(-1)!
    const found = expectedRows(this.clusters.get(Number(summary['ltap.timeline'])), name, lsnNumber(summary['ltap.lsn']!))
    check(found?.join() === rows.join(), `readers find ${folder} as it was at LSN ${summary['ltap.lsn']}`)
    for (const snapshot of metadata.snapshots) {
      const failed = await table.read(store, this.clusters, snapshot, () => Promise.resolve(), (work) => this.world.outside(work))
      check(failed === undefined, `snapshot ${snapshot['snapshot-id']} of ${folder} is listed, but ${failed}`)
    }
  }
}
