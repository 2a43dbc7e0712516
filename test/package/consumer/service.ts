/**
 * A small pageserver, as a user of the package writes it: on the public face alone. It is compiled and run against the packed tarball
 * (service.test.ts), and holds one cluster in memory.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClusterSource, type ControlFile, loadCluster, type Cluster, parseControlFile, type Relation, transactionsOf } from 'ltap/catalog'
import {
  type ClusterDescriptor, HiddenRows, indexToast, PageTranscoder, PreparedToastReader, type RelationDescriptor, relationSchema, transcodeFile, withOverflow,
} from 'ltap/columnar'
import {
  BLOCK_SIZE, BlockSet, DEFAULT_TABLESPACE, FORK_NAMES, formatWalPosition, GLOBAL_TABLESPACE, MAIN_FORK, type Oid, type PgMajor, type RelFileLocator, type WalPosition,
} from 'ltap/common'
import type { CodecFactory, Vector } from 'ltap/datum'
import type { PageSource } from 'ltap/page'
import { formatProgress, MemoryReplayStore, parseProgress, Replay, type ReplayProgress, shutdownProgress } from 'ltap/replay'
import type { ToastSource } from 'ltap/tuple'
import { WalReader, type WalRecord } from 'ltap/wal'
import type { SlruStore } from 'ltap/xact'

/** A file of a relation: as an object store would get it. */
export interface Materialized {
  blocks: BlockSet
  parquet: Uint8Array
  /** Positions of the rows that nobody may see at the LSN. */
  hidden: readonly number[]
}

export class PageService {
  readonly control: ControlFile
  private readonly major: PgMajor
  private readonly store: MemoryReplayStore
  private replay: Replay
  private wal: WalReader
  /** By fork, block to the end of the last record that names it. */
  private readonly changes = new Map<string, Map<number, WalPosition>>()

  /** Seeds from the data directory of a server that was shut down; its pg_wal is not looked at. */
  constructor(dataDir: string) {
    this.major = Number(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8')) as PgMajor
    this.control = parseControlFile(readFileSync(join(dataDir, 'global/pg_control')), this.major)
    this.store = new MemoryReplayStore(this.major)
    readFolder(this.store, join(dataDir, 'global'), GLOBAL_TABLESPACE, 0)
    for (const name of readdirSync(join(dataDir, 'base'))) readFolder(this.store, join(dataDir, 'base', name), DEFAULT_TABLESPACE, Number(name))
    readSlru(this.store.clog, join(dataDir, 'pg_xact'))
    readSlru(this.store.multiOffsets, join(dataDir, 'pg_multixact/offsets'))
    readSlru(this.store.multiMembers, join(dataDir, 'pg_multixact/members'))
    ;[this.replay, this.wal] = this.startAt(shutdownProgress(this.control, this.store.clog))
  }

  get lsn(): WalPosition {
    return this.replay.position
  }

  /** Why no record can follow; undefined while bytes may still come. */
  get end(): string | undefined {
    return this.wal.end?.reason
  }

  /** Where the stream has to begin: what was received of a record that was not whole is lost in a restart. */
  get wanted(): WalPosition {
    return this.wal.fed
  }

  /** Bytes of the WAL, in any pieces. */
  receive(bytes: Uint8Array): void {
    this.wal.feed(bytes.slice())
    for (let record = this.wal.next(); record !== undefined; record = this.wal.next()) {
      if (!this.replay.apply(record)) throw new Error('a target that nobody set')
      this.note(record)
    }
  }

  /** What a service keeps beside its pages. */
  save(): string {
    return formatProgress(this.replay.progress)
  }

  restart(saved: string): void {
    ;[this.replay, this.wal] = this.startAt(parseProgress(saved))
  }

  /** A copy of the page; undefined past the end. */
  getPage({ spcOid, dbOid, relNumber }: RelFileLocator, block: number): Uint8Array | undefined {
    if (!this.store.exists({ spcOid, dbOid, relNumber }, MAIN_FORK)) return undefined
    return this.store.fork(spcOid, dbOid, relNumber, MAIN_FORK)?.page(block)?.bytes.slice()
  }

  blocks(locator: RelFileLocator): number {
    return this.store.pages(locator, MAIN_FORK)?.blocks ?? 0
  }

  /** Blocks of the main fork that a record changed which ends after `mark`, as far as they are there. */
  changedSince(mark: WalPosition, locator: RelFileLocator): BlockSet {
    const known = [...this.changes.get(keyOf(locator)) ?? []].filter(([, lsn]) => lsn > mark).map(([block]) => block)
    return BlockSet.of(known.sort((a, b) => a - b)).intersect(BlockSet.range(0, this.blocks(locator)))
  }

  /** The catalogs as they are at the LSN. */
  catalog(): Promise<Cluster> {
    return loadCluster(this.source())
  }

  /** One Parquet file for each run of the blocks. */
  async materialize(cluster: Cluster, relation: Relation, blocks: BlockSet): Promise<Materialized[]> {
    const files: Materialized[] = []
    for (const { first, count } of blocks.runs) files.push(await this.file(cluster, relation, BlockSet.range(first, count)))
    return files
  }

  /** The columns of a relation in memory, by codecs of the caller. */
  async columns(cluster: Cluster, relation: Relation, extensions: ReadonlyMap<string, CodecFactory>): Promise<{ rows: number; hidden: readonly number[]; vectors: Vector[] }> {
    const schema = relationSchema({
      major: this.major, profile: 'portable', encoding: relation.database.encoding, desc: relation.desc!, displayScales: {}, pageFlags: 0, extensions,
    })
    const toast = await this.toast(cluster, relation)
    const transcoder = new PageTranscoder(schema, { visibility: cluster.snapshot, checksums: false, onCorrupt: 'fail', ...(toast && { toast }) })
    for (let block = 0; block < this.blocks(relation.locator); block++) {
      const page = this.getPage(relation.locator, block)!
      transcoder.add(new Int32Array(page.buffer), 0, block)
    }
    return { ...transcoder.takeRowGroup(), hidden: transcoder.hidden }
  }

  private async file(cluster: Cluster, relation: Relation, blocks: BlockSet): Promise<Materialized> {
    const { database, schema, name, oid, relkind, locator, desc } = relation
    let descriptor: RelationDescriptor = {
      ...locator, database: database.oid === 0 ? null : database.name, schema, name, oid, relkind, blocks: this.blocks(locator), encoding: database.encoding, desc: desc!,
    }
    const described: ClusterDescriptor = {
      systemIdentifier: String(cluster.systemIdentifier), major: this.major, checksums: false, lsn: formatWalPosition(this.lsn), profile: 'portable',
    }
    const toast = await this.toast(cluster, relation)
    const options = { cluster: described, compression: 'snappy', visibility: cluster.snapshot, checksums: false, onCorrupt: 'fail', ...(toast && { toast }) } as const
    for (;;) {
      const parts: Uint8Array[] = []
      const written = await transcodeFile(descriptor, this.pages(locator), blocks, options, (bytes) => void parts.push(bytes.slice()))
      if (!('wanted' in written)) {
        const hidden = this.hiddenRows(cluster, relation, blocks)
        if (hidden.length !== written.hiddenRows) throw new Error(`${hidden.length} hidden rows of ${written.hiddenRows}`)
        return { blocks, parquet: Buffer.concat(parts), hidden }
      }
      descriptor = withOverflow(descriptor, written.wanted)
    }
  }

  private hiddenRows(cluster: Cluster, { locator }: Relation, blocks: BlockSet): readonly number[] {
    const rows = new HiddenRows({ visibility: cluster.snapshot, checksums: false, onCorrupt: 'fail' })
    for (const block of blocks) rows.addPage(this.getPage(locator, block)!, block)
    return rows.positions
  }

  private async toast(cluster: Cluster, { toastRelId, database }: Relation): Promise<ToastSource | undefined> {
    const relation = toastRelId === 0 ? undefined : cluster.relations(database.oid).find(({ oid }) => oid === toastRelId)
    if (relation === undefined) return undefined
    const pages = this.pages(relation.locator)
    return new PreparedToastReader(relation.oid, pages, await indexToast(pages, cluster.snapshot))
  }

  private source(): ClusterSource {
    const { store, replay, control } = this
    const { systemIdentifier, catalogVersion } = control
    return {
      // Checksums are made when a server writes a page: pages that were changed in memory have old ones.
      identity: { systemIdentifier, major: this.major, catalogVersion, checksums: false, blockSize: BLOCK_SIZE },
      lsn: BigInt(replay.position), timeline: replay.timeline, transactions: transactionsOf(replay.progress.transactions),
      clog: store.clog, multiOffsets: store.multiOffsets, multiMembers: store.multiMembers,
      relationMap: (spcOid, dbOid) => store.maps.get(`${spcOid}/${dbOid}`)!,
      exists: (locator) => store.exists(locator, MAIN_FORK),
      fork: (locator, fork) => (fork === MAIN_FORK ? store.pages(locator, fork) : undefined),
      folder: (spcOid, dbOid) => (spcOid === GLOBAL_TABLESPACE ? 'global' : `base/${dbOid}`),
      databaseOids: () => [...store.directories].map((key) => Number(key.split('/')[1])).filter((oid) => oid !== 0),
      relNumbers: (spcOid, dbOid) => [...store.relations.values()].filter((found) => found.spcOid === spcOid && found.dbOid === dbOid).map(({ relNumber }) => relNumber),
    }
  }

  /** The pages of a main fork as they are when they are prepared. */
  private pages(locator: RelFileLocator): PageSource {
    return this.store.pages(locator, MAIN_FORK)!
  }

  private startAt(progress: ReplayProgress): [Replay, WalReader] {
    const { systemIdentifier, walSegmentSize: segmentSize } = this.control
    const wal = new WalReader({
      major: this.major, start: progress.lsn, timeline: progress.transactions.timeline, segmentSize, systemIdentifier, exact: true, startsMidPage: true,
      ...(progress.previous !== undefined && { previous: progress.previous }),
    })
    return [new Replay(this.store, progress, { major: this.major, checksums: this.control.checksums }), wal]
  }

  private note({ blocks, blockCount, endLsn }: WalRecord): void {
    for (const { spcOid, dbOid, relNumber, fork, block } of blocks.slice(0, blockCount)) {
      if (fork !== MAIN_FORK) continue
      const key = keyOf({ spcOid, dbOid, relNumber })
      let known = this.changes.get(key)
      if (known === undefined) this.changes.set(key, known = new Map())
      known.set(block, endLsn)
    }
  }
}

function keyOf({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

/** Heaps, their visibility maps and init forks; indexes are not kept: replay disowns them when it sees them. */
function readFolder(store: MemoryReplayStore, folder: string, spcOid: Oid, dbOid: Oid): void {
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, name))
    const match = /^(\d+)(?:_(vm|init))?$/.exec(name)
    if (name === 'pg_filenode.map') store.writeRelationMap({ spcOid, dbOid }, bytes)
    if (match === null) continue
    const fork = store.fork(spcOid, dbOid, Number(match[1]), match[2] === undefined ? MAIN_FORK : FORK_NAMES.indexOf(match[2]))!
    for (let at = 0; at + BLOCK_SIZE <= bytes.length; at += BLOCK_SIZE) fork.append(bytes.subarray(at, at + BLOCK_SIZE))
  }
}

/** Segment files of 32 pages. */
function readSlru(slru: SlruStore, folder: string): void {
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, name))
    for (let at = 0; at + BLOCK_SIZE <= bytes.length; at += BLOCK_SIZE) {
      slru.change(Number.parseInt(name, 16) * 32 + at / BLOCK_SIZE).set(bytes.subarray(at, at + BLOCK_SIZE))
    }
  }
}
