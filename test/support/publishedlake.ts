/** A lake whose published tables are made here: layers, and whatever else engines are not told, it has not. */
import { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { putObjects } from '../../src/engine/pagereader.ts'
import { BranchWriter, type Work } from '../../src/engine/writer.ts'
import { catalogEdit } from '../../src/lake/clusterinfo.ts'
import { type IcebergOptions, nextIceberg } from '../../src/lake/iceberg/iceberg.ts'
import { icebergCommit } from '../../src/lake/iceberg/metadata.ts'
import { icebergObjects, type IcebergRecord } from '../../src/lake/iceberg/record.ts'
import {
  DEFAULT_WINDOW, encodeRecord, type PublicationSettings, publishedEdit, publishedKey, settingsEdit,
} from '../../src/lake/publishedentry.ts'
import type { PublishedColumn, TableSnapshot } from '../../src/lake/publishedtable.ts'
import type { Change } from '../../src/lake/state/commit.ts'
import { parseObjectName, partKey } from '../../src/lake/state/names.ts'
import type { CasKind } from '../../src/lake/state/format.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { column } from './publishedtables.ts'
import { Random } from './random.ts'

const HASH = 'h'.repeat(43)
const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

/** What a table is to be at an LSN. */
export interface WantedTable {
  readonly dbOid: number
  readonly oid: number
  readonly namespace: string
  readonly name: string
  readonly columns?: readonly PublishedColumn[]
  readonly files?: TableSnapshot['files']
  readonly kind?: TableSnapshot['kind']
}

export interface PublishedLakeOptions {
  readonly databases?: readonly { oid: number; name: string; template: boolean }[]
  readonly root?: string
  readonly formatVersion?: IcebergOptions['formatVersion']
  readonly cas?: CasKind
}

const COLUMNS = [column(1, 'id', { kind: 'long' }), column(2, 'word', { kind: 'string' })]
const SHOP = { oid: 5, name: 'shop', template: false }

/** Publishes states, one behind the other. */
export class PublishedLake {
  readonly lake: Lake
  /** By `<database>/<oid>`. */
  readonly records = new Map<string, IcebergRecord>()
  readonly recordKeys = new Map<string, string>()
  readonly root: string
  /** Milliseconds since 1970. */
  now = 1_700_000_000_000
  private readonly writer: BranchWriter
  private readonly databases: NonNullable<PublishedLakeOptions['databases']>
  private readonly formatVersion: IcebergOptions['formatVersion']
  private readonly random = new Random(7)

  private constructor(lake: Lake, writer: BranchWriter, { databases = [SHOP], root = 'memory:', formatVersion = 2 }: PublishedLakeOptions) {
    this.lake = lake
    this.writer = writer
    this.databases = databases
    this.root = root
    this.formatVersion = formatVersion
  }

  static async create(store: ObjectStore, options: PublishedLakeOptions = {}): Promise<PublishedLake> {
    const random = new Random(11)
    const ports = {
      store, clock: { now: () => clock.now, sleep: () => Promise.resolve() },
      random: { nonce: () => Array.from({ length: 20 }, () => DIGITS[random.int(36)]).join(''), fraction: () => 0 },
    }
    const clock = { now: 1_700_000_000_000 }
    const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: options.cas ?? 'if-match' })
    const made = new PublishedLake(lake, await BranchWriter.open(lake, 'main'), options)
    Object.defineProperty(made, 'now', { get: () => clock.now, set: (now: number) => { clock.now = now } })
    return made
  }

  /** A state at an LSN that nobody was told of. */
  async materialize(lsn: string): Promise<void> {
    this.now += 60_000
    const cluster = {
      major: 17, catalogVersion: 202406281, blockSize: 8192, checksums: true, createdBy: 'test', source: 'test', complete: true, orphans: [], temporaryFiles: 0,
      nextXid: 1000, packing: { threshold: 0, below: 0 },
    } as const
    const edits = [catalogEdit({ kind: 'cluster', cluster }), ...this.databases.map((database) => catalogEdit({ kind: 'database', database }))]
    const position = { timeline: 1, lsn, time: this.now * 1000 }
    await this.writer.commit({ reads: edits, apply: () => ({ position, edits }) })
  }

  /** Publishes tables of the newest state. @param puts whether the metadata files are put, too: else the publication is killed before that */
  async publish(tables: readonly WantedTable[], { gone = [] as readonly { dbOid: number; oid: number }[], puts = true, behind = [] as readonly string[] } = {}): Promise<void> {
    const { lake, writer, root } = this
    this.now += 1000
    const publication = lake.ports.random.nonce()
    const work = writer.begin()
    const edits = gone.map(publishedKey) as ReturnType<typeof publishedEdit>[]
    const points = []
    for (const table of tables) {
      const { edit, record } = await this.table(table, publication, work)
      edits.push(edit)
      points.push(icebergCommit(record))
    }
    const settings: PublicationSettings = {
      formats: ['iceberg'], icebergVersion: this.formatVersion, branch: writer.head.branch.id, root, publication, window: DEFAULT_WINDOW,
      lsn: writer.head.state.lsn, ...(behind.length > 0 && { behind, left: behind.length }),
    }
    edits.push(settingsEdit(settings) as ReturnType<typeof publishedEdit>)
    const change: Change = { kind: 'published', reads: edits, apply: ({ state }) => ({ edits, published: state.lsn, amends: true }) }
    await writer.commit(change, work)
    if (puts) await putObjects(lake.ports.store, points)
  }

  async at(lsn: string, tables: readonly WantedTable[], options?: Parameters<PublishedLake['publish']>[1]): Promise<void> {
    await this.materialize(lsn)
    await this.publish(tables, options)
  }

  private async table(wanted: WantedTable, publication: string, work: Work): Promise<{ edit: ReturnType<typeof publishedEdit>; record: IcebergRecord }> {
    const { lake, writer: { head: { state: { lsn, timeline, time }, branch } }, root } = this
    const { dbOid, oid, namespace, name, columns = COLUMNS, files = [], kind = 'change' } = wanted
    const id = `${dbOid}/${oid}`
    const before = this.records.get(id)
    const uuid = `00000000-0000-4000-8000-${String(dbOid).padStart(4, '0')}${String(oid).padStart(8, '0')}`
    const snapshot: TableSnapshot = {
      uuid, namespace, name, root, folder: `shop/t-${dbOid}-${oid}`, columns, files, kind, timeline, lsn, ...(time !== undefined && { time }), publishedMs: this.now,
    }
    const { record, objects } = nextIceberg(before, snapshot, work, {
      formatVersion: this.formatVersion, ltapVersion: 'test', keepSnapshots: DEFAULT_WINDOW.snapshots, keepMs: DEFAULT_WINDOW.ms,
    })
    await putObjects(lake.ports.store, objects)
    const bytes = encodeRecord({ publishedMs: this.now, iceberg: record }, lake.compressor)
    const key = partKey(work.name())
    this.records.set(id, record)
    this.recordKeys.set(id, key)
    await lake.ports.store.put(key, bytes)
    const edit = publishedEdit({ dbOid, oid }, {
      uuid, branch: branch.id, folder: snapshot.folder, namespace, name, lsn, content: HASH, made: HASH, publication,
      record: { key, start: 0, length: bytes.length, crc: crc32c(bytes), sha256: HASH },
      // Data files of a test may have names of their own.
      objects: [...icebergObjects(record)].filter((object) => parseObjectName(object)?.branch === branch.id),
    })
    return { edit, record }
  }

  /** A new key of a data file. */
  dataKey(oid: number): string {
    return `shop/t-5-${oid}/data/${this.lake.ports.random.nonce()}.parquet`
  }

  /** A number below `max`. */
  int(max: number): number {
    return this.random.int(max)
  }
}
