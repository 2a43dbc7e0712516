import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { RecentlyUsed } from '../../common/recentlyused.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { type ClusterInfo, parseCatalogEntry } from '../../lake/clusterinfo.ts'
import type { NotRead } from '../../lake/notread.ts'
import { parsePublished } from '../../lake/publishedentry.ts'
import { decodeDescription, type TableDescription } from '../../lake/relationinfo.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { relationKey } from '../../lake/state/relationlayers.ts'
import { parseStatus, statusXid } from '../../lake/state/status.ts'
import { type TableFolder, tableFolder } from '../../lake/tablefolder.ts'
import type { KnownRelations } from '../selection.ts'

/** So many objects with descriptions are kept, some 4 MB each. */
const PARTS_KEPT = 8

/** What the state before has, to find in it what a source has: texts of keys, so that 100,000 relations fit into memory. */
export class PreviousState implements KnownRelations {
  readonly snapshot: Snapshot
  private readonly store: ObjectStore
  /** Descriptions of tables lie side by side: a part is read once for many. */
  private readonly parts: RecentlyUsed<string, Promise<Uint8Array | undefined>> = new RecentlyUsed(PARTS_KEPT)
  /** Keys of the tree of layers, by locator. */
  private readonly relations: ReadonlyMap<string, string>
  /** Full xids of transactions that had not ended. */
  readonly open: readonly bigint[]
  /** Keys of the tree of files, and of that of the catalog. */
  readonly files: ReadonlyMap<string, unknown>
  readonly catalog: ReadonlyMap<string, unknown>
  /** Keys of relations that were not looked for: the source does not have them. */
  private readonly left: Set<string>
  /** By database and oid: which relation had the same table's rows, whatever its file's number was. */
  private readonly tables: ReadonlyMap<string, string>
  private readonly databases: ReadonlySet<Oid>
  /** Folders of published tables, by database and oid. */
  private readonly folders: ReadonlyMap<string, string>

  private constructor(snapshot: Snapshot, store: ObjectStore, found: Entries) {
    this.snapshot = snapshot
    this.store = store
    this.relations = found.relations
    this.tables = found.tables
    this.open = found.open
    this.files = found.files
    this.catalog = found.catalog
    this.folders = found.folders
    this.left = new Set(found.relations.values())
    this.databases = new Set([...found.tables.keys()].map((table) => Number(table.split('/', 1)[0])))
  }

  static async read(snapshot: Snapshot, store: ObjectStore): Promise<PreviousState> {
    const relations = new Map<string, string>()
    const tables = new Map<string, string>()
    const open: bigint[] = []
    const files = new Map<string, unknown>()
    const catalog = new Map<string, unknown>()
    await snapshot.scan('layers', (key, value) => {
      const [locator] = key.split('@', 1) as [string]
      relations.set(locator, key)
      const { info } = value as { info?: { oid?: unknown } }
      tables.set(`${key.split('/', 1)[0]}/${String(info?.oid)}`, key)
    })
    await snapshot.scan('status', (key, value) => {
      if (parseStatus(value, { tree: 'status', key }).ended === 'open') open.push(statusXid({ key }))
    })
    await snapshot.scan('files', (key, value) => void files.set(key, value))
    await snapshot.scan('catalog', (key, value) => void catalog.set(key, value))
    const folders = new Map<string, string>()
    await snapshot.scan('published', (key, value) => {
      const found = parsePublished(key, value)
      if (found.kind === 'table') folders.set(key, found.entry.folder)
    })
    return new PreviousState(snapshot, store, { relations, tables, open, files, catalog, folders })
  }

  /** @throws CorruptionError lake.object, lake.description */
  async description(ref: PieceRef): Promise<TableDescription> {
    const part = await this.parts.get(ref.key, async () => (await this.store.get(ref.key))?.bytes)
    if (part === undefined) throw new CorruptionError('lake.object', `the lake refers to the object ${ref.key}, which is not in ${this.store.url}`)
    return decodeDescription(part.subarray(ref.start, ref.start + ref.length), ref)
  }

  /** Key of the relation with this file; from now on it does not count as gone. */
  take(locator: RelFileLocator): string | undefined {
    const { key } = relationKey(locator, '')
    const found = this.relations.get(key.slice(0, -1))
    if (found !== undefined) this.left.delete(found)
    return found
  }

  /** What the state says of its cluster as a whole. @throws EnvironmentError lake.empty for the state of a lake that nothing was written into */
  get cluster(): ClusterInfo {
    const value = this.catalog.get('cluster')
    const entry = value === undefined ? undefined : parseCatalogEntry('cluster', value)
    if (entry?.kind === 'cluster') return entry.cluster
    throw new EnvironmentError('lake.empty', `the lake in ${this.store.url} has no state yet`)
  }

  /** Relations of the cluster that the state does not have, with the reason. */
  get notRead(): NotRead[] {
    return [...this.catalog].flatMap(([key, value]) => {
      const entry = parseCatalogEntry(key, value)
      return entry.kind === 'notread' ? [entry.notRead] : []
    })
  }

  /** Whether the state has a relation or a partitioned table. */
  has(dbOid: Oid, oid: Oid): boolean {
    return this.tables.has(`${dbOid}/${oid}`) || this.catalog.has(`parent/${dbOid}/${oid}`)
  }

  /** Whether it has a relation of the database. */
  hasDatabase(dbOid: Oid): boolean {
    return this.databases.has(dbOid)
  }

  /** Key of the relation that a table's rows were in. */
  table(dbOid: number, oid: number): string | undefined {
    return this.tables.get(`${dbOid}/${oid}`)
  }

  /** Where files of a relation go: a table that was renamed keeps its folder, since readers find its files by their place below that. */
  folder(relation: TableFolder): string {
    return this.folders.get(`${relation.dbOid}/${relation.oid}`) ?? tableFolder(relation)
  }

  /** Keys of the relations that were never taken. */
  gone(): string[] {
    return [...this.left]
  }
}

type Entries = Pick<PreviousState, 'open' | 'files' | 'catalog'> & Record<'relations' | 'tables' | 'folders', ReadonlyMap<string, string>>
