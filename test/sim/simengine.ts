/** What foreign engines see of published tables: an independent reader of each format, at the moment at which metadata comes before readers and long after. */
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { type MetadataJson, readSnapshot } from '../lake/iceberg/reader.ts'
import { type Objects, ReplayedDelta } from '../support/deltalog.ts'
import { lsnNumber, rowText, type SimCluster } from './simcluster.ts'
import { rowsOfFile, type SimFile } from './simtable.ts'
import { check } from './world.ts'

const ROOT = 'memory://simulation'
const ICEBERG = /^(.+)\/metadata\/v(\d+)\.metadata\.json$/
const DELTA = /^(.+)\/_delta_log\/(\d{20})\.json$/

/** An object that an engine asks for is not there. */
class NotThere extends Error {
  readonly uri: string

  constructor(uri: string) {
    super(`${uri} is not there`)
    this.uri = uri
  }
}

/** Objects by URI. */
class ByUri extends Map<string, Uint8Array> {
  private readonly find: (key: string) => Uint8Array | undefined

  constructor(find: (key: string) => Uint8Array | undefined) {
    super()
    this.find = find
  }

  override get(uri: string): Uint8Array {
    const bytes = this.find(uri.slice(ROOT.length + 1))
    if (bytes === undefined) throw new NotThere(uri)
    return bytes
  }
}

function parse<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T
}

/** A table that ltap itself adds rows to, `ltap.schemas`, has no pages. */
function isLog(table: string): boolean {
  return !/^t\d+$/.test(table)
}

/** Rows of a data file at these positions. */
async function rowsAt(table: string, bytes: Uint8Array, isShown: (position: number) => boolean): Promise<string[]> {
  if (isLog(table)) {
    const rows = await parquetReadObjects({ file: bytes.slice().buffer as ArrayBuffer, compressors })
    return rows.map((row) => `${Number(row['oid'])}.${Number(row['attnum'])}`).filter((_, position) => isShown(position))
  }
  return rowsOfFile(parse<{ blocks: SimFile }>(bytes).blocks).flatMap((tuple, position) => {
    if (!isShown(position)) return []
    check(tuple !== undefined, 'a reader sees a row that only says that a page is there')
    return [rowText(tuple)]
  })
}

async function icebergRows(objects: ByUri, metadata: MetadataJson, id: number): Promise<string[]> {
  const { files } = await readSnapshot(objects, metadata, id)
  const rows: string[] = []
  for (const [uri, { visible }] of files) {
    const shown = new Set(visible)
    rows.push(...await rowsAt(metadata.properties['ltap.table']!, objects.get(uri), (position) => shown.has(position)))
  }
  return rows.sort()
}

type Snapshot = MetadataJson['snapshots'][number]

/** What a table was at an LSN: the oid is part of its name. Each table has two columns for ever, and states keep no ends of transactions in pieces. */
export function expectedRows(cluster: SimCluster | undefined, table: string, lsn: number): string[] | undefined {
  if (table === 'transactions') return []
  if (table === 'schemas') return cluster?.relationsAt(lsn).flatMap((relation) => [1, 2].map((attnum) => `${cluster.oidOf(relation)}.${attnum}`)).sort()
  return cluster?.rowsAt(Number(table.slice(1)), lsn)
}

function rowsOfSnapshot(clusters: ReadonlyMap<number, SimCluster>, table: string, { summary }: Pick<Snapshot, 'summary'>): string[] | undefined {
  return expectedRows(clusters.get(Number(summary['ltap.timeline'])), table, lsnNumber(summary['ltap.lsn']!))
}

function checkRows(found: readonly string[], expected: readonly string[] | undefined, what: string): void {
  check(expected !== undefined, `${what} is of a table that did not exist`)
  check(found.join() === expected.join(), `${what} shows ${found.join()}, and the rows are ${expected.join()}`)
}

/** Looks at what comes before readers, when it does. */
export class PublicationChecker {
  /** Snapshots of tables, versions of Delta tables: what they were when they were first seen. */
  private readonly seen = new Map<string, string>()
  private readonly logs = new Map<string, { log: ReplayedDelta; id: string | undefined }>()
  private readonly clusters: ReadonlyMap<number, SimCluster>
  private readonly objects: ReadonlyMap<string, { bytes: Uint8Array }>
  snapshots = 0
  versions = 0

  constructor(objects: ReadonlyMap<string, { bytes: Uint8Array }>, clusters: ReadonlyMap<number, SimCluster>) {
    this.objects = objects
    this.clusters = clusters
  }

  /** To be called when an object was put, and to be awaited before anything else happens. @param isLate the request was given up before */
  async put(key: string, isLate: boolean): Promise<void> {
    const iceberg = ICEBERG.exec(key)
    const delta = DELTA.exec(key)
    if (iceberg) await this.icebergPut(iceberg[1]!, Number(iceberg[2]), key, isLate)
    else if (delta) await this.deltaPut(delta[1]!, Number(delta[2]), key, isLate)
  }

  private find(key: string): Uint8Array | undefined {
    return this.objects.get(key)?.bytes
  }

  private same(what: string, content: unknown): void {
    const text = JSON.stringify(content)
    const before = this.seen.get(what) ?? text
    check(before === text, `${what} has two contents: ${before} and ${text}`)
    this.seen.set(what, text)
  }

  private async icebergPut(folder: string, version: number, key: string, isLate: boolean): Promise<void> {
    // What a process that is gone had sent, and another one has put meanwhile and replaced: no reader gets there.
    if (isLate && this.objects.has(`${folder}/metadata/v${version + 1}.metadata.json`)) return
    const metadata = parse<MetadataJson>(this.find(key)!)
    this.same(`version ${version} of table ${metadata['table-uuid']}`, metadata)
    for (const snapshot of metadata.snapshots) this.same(`snapshot ${snapshot['snapshot-id']} of table ${metadata['table-uuid']}`, snapshot)
    const objects = new ByUri((name) => this.find(name))
    for (const snapshot of new Set([metadata.snapshots[0]!, metadata.snapshots.at(-1)!])) {
      this.snapshots++
      const id = snapshot['snapshot-id']
      const rows = await icebergRows(objects, metadata, id)
      checkRows(rows, rowsOfSnapshot(this.clusters, metadata.properties['ltap.table']!, snapshot), `snapshot ${id} of ${key}`)
    }
  }

  private async deltaPut(folder: string, version: number, key: string, isLate: boolean): Promise<void> {
    const text = Buffer.from(this.find(key)!).toString()
    if (version === 0) this.logs.set(folder, { log: new ReplayedDelta({ get: (name: string) => this.find(name) } as Objects, folder), id: undefined })
    const found = this.logs.get(folder)
    check(found !== undefined, `${key} is put, and no version before`)
    const { log } = found
    if (version <= log.version) {
      check(isLate, `${key} is put once more`)
      return
    }
    log.next()
    check(log.version === version, `${key} is put, and version ${log.version} is not there`)
    const { id, name } = log.metaData!
    this.same(`version ${version} of the Delta table ${id}`, text)
    const table = name.split('.').at(-1)!
    const rows: string[] = []
    for (const [path, { hidden }] of log.files) {
      const data = path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length + 1) : `${folder}/${decodeURI(path)}`
      const bytes = this.find(data)
      check(bytes !== undefined, `${key} names ${data}, which is not there`)
      rows.push(...await rowsAt(table, bytes, (position) => !hidden.has(position)))
    }
    const [[app, position]] = [...log.txns].filter(([, at]) => at === Math.max(...log.txns.values())) as [[string, number]]
    this.versions++
    checkRows(rows.sort(), expectedRows(this.clusters.get(Number(app.split('/')[1])), table, position), key)
  }
}

/** A table that an engine has opened by the hint beside its metadata. */
export class OpenTable {
  readonly folder: string
  readonly metadata: MetadataJson

  private constructor(folder: string, metadata: MetadataJson) {
    this.folder = folder
    this.metadata = metadata
  }

  /** @returns undefined if there is no such table (any more) */
  static async open(store: ObjectStore, folder: string): Promise<OpenTable | undefined> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const hint = await store.get(`${folder}/metadata/version-hint.text`)
      if (hint === undefined) return undefined
      const found = await store.get(`${folder}/metadata/v${Buffer.from(hint.bytes).toString()}.metadata.json`)
      // It may have been taken from the window meanwhile: then the hint is another one.
      if (found) return new OpenTable(folder, parse(found.bytes))
    }
    return undefined
  }

  get name(): string {
    return this.metadata.properties['ltap.table']!
  }

  /** Reads a snapshot. @param pause between two objects @returns why it cannot be read */
  async read(store: ObjectStore, clusters: ReadonlyMap<number, SimCluster>, snapshot: Snapshot, pause: () => Promise<void>, outside: <T>(work: Promise<T>) => Promise<T>): Promise<string | undefined> {
    const fetched = new Map<string, Uint8Array>()
    const objects = new ByUri((key) => fetched.get(key))
    for (;;) {
      const rows = await outside(icebergRows(objects, this.metadata, snapshot['snapshot-id']).catch((error: unknown) => {
        if (error instanceof NotThere) return error
        throw error
      }))
      if (!(rows instanceof NotThere)) {
        checkRows(rows, rowsOfSnapshot(clusters, this.name, snapshot), `snapshot ${snapshot['snapshot-id']} of ${this.folder}`)
        return undefined
      }
      await pause()
      const key = rows.uri.slice(ROOT.length + 1)
      const found = await store.get(key)
      if (found === undefined) return rows.message
      fetched.set(key, found.bytes)
    }
  }
}

/** Folders of the tables that readers find. */
export async function openFolders(store: ObjectStore): Promise<string[]> {
  const folders: string[] = []
  for await (const { key } of store.list('')) if (key.endsWith('/metadata/version-hint.text')) folders.push(key.slice(0, -'/metadata/version-hint.text'.length))
  return folders.sort()
}
