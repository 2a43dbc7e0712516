import { CorruptionError, EnvironmentError } from '../common/errors.ts'
import type { Lake } from '../engine/lake.ts'
import type { ObjectStore } from '../engine/objectstore.ts'
import { readPiece } from '../engine/pagereader.ts'
import { publicationSettings } from '../engine/publicationsettings.ts'
import type { Snapshot } from '../engine/snapshot.ts'
import { readCatalog } from '../engine/statecatalog.ts'
import { parseTableRecord } from '../lake/iceberg/format.ts'
import type { IcebergRecord } from '../lake/iceberg/record.ts'
import {
  decodeRecord, parsePublished, parsePublishedName, type PublicationSettings, type PublishedEntry, recordOf,
} from '../lake/publishedentry.ts'
import type { StateRoot } from '../lake/state/stateroot.ts'
import type { KeptBytes } from './keptbytes.ts'
import { inOrder } from './page.ts'

/** A table as one state of the lake has it. */
export interface LoadedTable {
  readonly entry: PublishedEntry
  readonly record: IcebergRecord
}

/** The tables of a database: of each namespace and name, the key of its entry. */
export class DatabaseTables {
  readonly namespaces: readonly string[]
  private readonly tables: ReadonlyMap<string, ReadonlyMap<string, string>>
  private readonly sorted = new Map<string, readonly string[]>()

  constructor(tables: ReadonlyMap<string, ReadonlyMap<string, string>>) {
    this.tables = tables
    this.namespaces = inOrder(tables.keys())
  }

  has(namespace: string): boolean {
    return this.tables.has(namespace)
  }

  /** Names of the tables of a namespace, in order. */
  names(namespace: string): readonly string[] {
    const known = this.sorted.get(namespace) ?? inOrder(this.tables.get(namespace)?.keys() ?? [])
    this.sorted.set(namespace, known)
    return known
  }

  /** Key of the entry; undefined without such a table. */
  key(namespace: string, name: string): string | undefined {
    return this.tables.get(namespace)?.get(name)
  }
}

/** Bytes of JSON become about so many in memory. */
const PARSED_SIZE = 8
/** A record is compressed in its object. */
const COMPRESSED_RATIO = 6

/** What one state of a branch shows to engines: names of all tables in memory, everything else when it is asked for. */
export class PublishedTables {
  readonly settings: PublicationSettings | undefined
  readonly snapshot: Snapshot
  /** By name; templates are not among them. */
  readonly databases: ReadonlyMap<string, DatabaseTables>
  private readonly lake: Lake
  private readonly records: KeptBytes<IcebergRecord>

  private constructor(
    lake: Lake, snapshot: Snapshot, records: KeptBytes<IcebergRecord>, settings: PublicationSettings | undefined, databases: Map<string, DatabaseTables>,
  ) {
    this.lake = lake
    this.snapshot = snapshot
    this.records = records
    this.settings = settings
    this.databases = databases
  }

  /**
   * @param branch its id: entries of the branch that it was made from are not its own
   * @throws EnvironmentError lake.empty, store.*; CorruptionError, UnsupportedError lake.*
   */
  static async read(lake: Lake, snapshot: Snapshot, branch: string, records: KeptBytes<IcebergRecord>): Promise<PublishedTables> {
    const databases = (await readCatalog(snapshot)).databases.filter(({ template }) => !template)
    const settings = await publicationSettings(snapshot, branch)
    const byOid = new Map(databases.map(({ oid }) => [oid, new Map<string, Map<string, string>>()]))
    const earlier: [key: string, tables: Map<string, string>, name: string][] = []
    await snapshot.scan('published', (key, value) => {
      const found = parsePublishedName(key, value)
      if (found?.branch !== branch) return
      const { dbOid, namespace, name, publication } = found
      // What ltap itself adds rows to is in every database.
      for (const namespaces of dbOid === undefined ? byOid.values() : [byOid.get(dbOid)]) {
        if (namespaces === undefined) continue
        const tables = namespaces.get(namespace) ?? new Map<string, string>()
        namespaces.set(namespace, tables)
        // In the middle of a publication two tables may have one name: the one that was published now has it.
        if (publication === settings?.publication) tables.set(name, key)
        else earlier.push([key, tables, name])
      }
    })
    for (const [key, tables, name] of earlier) if (!tables.has(name)) tables.set(name, key)
    return new PublishedTables(lake, snapshot, records, settings, new Map(databases.map(({ oid, name }) => [name, new DatabaseTables(byOid.get(oid)!)])))
  }

  /** The same tables, of a HEAD that says the same of them. */
  withSnapshot(snapshot: Snapshot): PublishedTables {
    return new PublishedTables(this.lake, snapshot, this.records, this.settings, new Map(this.databases))
  }

  /** @param key of the entry @throws CorruptionError lake.state, lake.published, lake.missing-object; EnvironmentError store.* */
  async load(key: string): Promise<LoadedTable> {
    const [value] = await this.snapshot.get([{ tree: 'published', key }])
    const found = parsePublished(key, value)
    if (found.kind === 'settings') throw new CorruptionError('lake.state', `the entry ${key} of published is of no table`)
    const { entry } = found
    const { record: ref } = entry
    const record = await this.records.get(`${ref.key}:${ref.start}`, async () => (
      { value: await this.record(entry), bytes: ref.length * COMPRESSED_RATIO * PARSED_SIZE }))
    return { entry, record }
  }

  private async record(entry: PublishedEntry): Promise<IcebergRecord> {
    const { ports: { store }, compressor } = this.lake
    const { record: ref } = entry
    const { iceberg, publishedMs } = decodeRecord(await readPiece(store, ref), ref, compressor)
    return parseTableRecord(iceberg, recordOf(ref), 'iceberg', { ...entry, publishedMs })
  }
}

/**
 * Refuses a lake whose tables engines would not find.
 * @param root URI by which engines find the lake @throws EnvironmentError catalog.unpublished, catalog.moved
 */
export function checkPublished(settings: PublicationSettings | undefined, root: string, { url }: Pick<ObjectStore, 'url'>): void {
  if (settings === undefined || !settings.formats.includes('iceberg')) {
    throw new EnvironmentError('catalog.unpublished',
      `the tables of ${url} are not published as Iceberg tables: ltap publish ${url} --publish iceberg,delta does that`)
  }
  if (settings.root !== root) throw moved(settings, url)
}

/**
 * Refuses a state that was not published itself: its tables are those of an earlier one.
 * @throws EnvironmentError catalog.not-published
 */
export function checkWhole(settings: PublicationSettings | undefined, { lsn }: Pick<StateRoot, 'lsn'>): void {
  if (settings?.lsn === lsn) return
  throw new EnvironmentError('catalog.not-published',
    `the state at LSN ${lsn} was not published, or not to the end: its tables are those of an earlier LSN; take a state that was`)
}

function moved(settings: PublicationSettings, url: string): EnvironmentError {
  return new EnvironmentError('catalog.moved',
    `the tables of ${url} were published for ${settings.root}, and engines would look for their files there: `
    + `ltap publish ${url} writes the metadata for this place`)
}
