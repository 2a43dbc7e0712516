import type { Relation } from '../src/catalog/relations.ts'
import type { RowVisibility } from '../src/columnar/decodepage.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../src/columnar/filedescriptor.ts'
import type { ToastSource } from '../src/tuple/toastsource.ts'
import type { BlockSet } from '../src/common/blockset.ts'
import { formatLsn } from '../src/common/ids.ts'
import { BLOCK_SIZE } from '../src/common/rel.ts'
import type { DirectoryCluster } from '../src/io/cluster.ts'
import { SegmentPages } from '../src/io/datadir/segmentpages.ts'
import { type PageSource, READ_BLOCKS } from '../src/page/pagesource.ts'
import { buildToastIndex } from '../src/columnar/toastindex.ts'
import { ToastReader } from '../src/columnar/toastreader.ts'
import { type TableName } from './tables.ts'

/** A relation to read, all that a file of it needs to know beside it. Open: it may be read while a server runs that writes nothing. */
export interface BenchRelation {
  cluster: ClusterDescriptor
  descriptor: RelationDescriptor
  fork: SegmentPages
  visibility: RowVisibility
  /** Opens the table's TOAST values; part of the work, as it is part of the server's. */
  openToast: () => ToastSource | undefined
}

/** A table and its TOAST relation. */
export interface BenchTable {
  name: TableName
  main: BenchRelation
  toast: BenchRelation | undefined
  /** Bytes of both heaps together. */
  heapBytes: number
}

/** Reads catalogs and CLOG now: the cluster must be shut down. */
export function openTable(cluster: DirectoryCluster, name: TableName): BenchTable {
  const database = cluster.databases.find((candidate) => candidate.name === 'postgres')!
  const relations = cluster.relations(database.oid)
  const table = relations.find((relation) => relation.schema === 'bench' && relation.name === name)!
  const toastRelation = relations.find(({ oid }) => oid === table.toastRelId)
  const toast = toastRelation && openRelation(cluster, toastRelation, undefined)
  const main = openRelation(cluster, table, toast)
  const blocks = main.fork.blocks + (toast?.fork.blocks ?? 0)
  return { name, main, toast: toast && toast.fork.blocks > 0 ? toast : undefined, heapBytes: blocks * BLOCK_SIZE }
}

function openRelation(cluster: DirectoryCluster, relation: Relation, toast: BenchRelation | undefined): BenchRelation {
  const { database, schema, name, oid, relkind, locator, desc, toastRelId } = relation
  const { path, segments } = cluster.storage(relation)
  const fork = new SegmentPages(path, segments)
  const { snapshot } = cluster
  return {
    cluster: {
      systemIdentifier: String(cluster.systemIdentifier), major: cluster.major, checksums: cluster.checksums, lsn: formatLsn(cluster.lsn),
      profile: 'portable',
    },
    descriptor: {
      ...locator, database: database.name, schema, name, oid, relkind, blocks: fork.blocks, encoding: database.encoding,
      desc: desc ?? { attributes: [], types: [] },
    },
    fork, visibility: snapshot,
    openToast: () => (toast && toast.fork.blocks > 0 ? new ToastReader(toastRelId, toast.fork, buildToastIndex(toast.fork, snapshot)) : undefined),
  }
}

/** A page in memory: its 2048 words. */
export interface ReadPage {
  words: Int32Array
  base: number
  block: number
}

/** Reads block after block; the page and the object are reused for the next one. */
export async function* readPages(fork: PageSource, blocks: BlockSet): AsyncIterable<ReadPage> {
  const page: ReadPage = { words: new Int32Array(0), base: 0, block: 0 }
  for (const piece of blocks.pieces(READ_BLOCKS)) {
    await fork.prepare(piece)
    for (const block of piece) {
      const bytes = fork.read(block)
      page.words = new Int32Array(bytes.buffer, bytes.byteOffset, BLOCK_SIZE / 4)
      page.block = block
      yield page
    }
  }
}
