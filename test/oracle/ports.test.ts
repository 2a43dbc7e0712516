/** What is read over ports is what is read from a data directory: catalogs, TOAST values, hidden rows and tuples of a real server's files, from pages that have to be prepared. */
import { describe, expect, test } from 'vitest'
import { Cluster } from '../../src/catalog/cluster.ts'
import type { ClusterSource } from '../../src/catalog/clustersource.ts'
import { loadCluster } from '../../src/catalog/loadcluster.ts'
import type { Relation } from '../../src/catalog/relations.ts'
import { Batch } from '../../src/columnar/batch.ts'
import type { RowVisibility } from '../../src/columnar/decodepage.ts'
import { schemaContext } from '../../src/columnar/filedescriptor.ts'
import { HiddenRows } from '../../src/columnar/hiddenrows.ts'
import { PageTranscoder } from '../../src/columnar/pagetranscoder.ts'
import { relationSchema } from '../../src/columnar/schema.ts'
import { buildToastIndex, indexToast } from '../../src/columnar/toastindex.ts'
import { toastPointers } from '../../src/columnar/toastpointers.ts'
import { PreparedToastReader, ToastReader } from '../../src/columnar/toastreader.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { ByteWriter, bytesEqual } from '../../src/common/bytes.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import { openConsistentDirectory } from '../../src/io/datadir/consistentdirectory.ts'
import { DirectorySource } from '../../src/io/datadir/directorysource.ts'
import { isZeroPage } from '../../src/page/header.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../src/page/linepointer.ts'
import { MemoryPages, readPages } from '../../src/page/pagesource.ts'
import { deformTuple, newDeformedTuple } from '../../src/tuple/deform.ts'
import { formTuple } from '../../src/tuple/formtuple.ts'
import { readTupleHeader, SIZE_OF_TUPLE_HEADER, T_INFOMASK } from '../../src/tuple/header.ts'
import { HEAP_HASEXTERNAL, HEAP_HASNULL } from '../../src/tuple/infomask.ts'
import type { Snapshot } from '../../src/xact/snapshot.ts'
import { closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'
import { StrictPages } from '../support/strictpages.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

async function pagesOf(cluster: DirectoryCluster, relation: Relation): Promise<Uint8Array<ArrayBuffer>> {
  const fork = cluster.openMain(relation)
  try {
    return await readPages(fork, BlockSet.range(0, fork.blocks))
  } finally {
    fork.close()
  }
}

/** Faults of heap_form_tuple; each must show on a table of a server. */
const PLANTS: Record<string, typeof formTuple> = {
  'no padding': (attributes, ...rest) => formTuple(attributes.map((attribute) => ({ ...attribute, align: 1 })), ...rest),
  'a NULL is a datum without bytes': (attributes, datums, ...rest) => formTuple(attributes, datums.map((datum) => datum ?? new Uint8Array(0)), ...rest),
  'the last attribute is left out': (attributes, datums, ...rest) => formTuple(attributes, datums.map((datum, i) => (i === datums.length - 1 ? undefined : datum)), ...rest),
  'xmax is zero': (attributes, datums, header, out) => formTuple(attributes, datums, { ...header, xmax: 0 }, out),
  'no flag of out-of-line values': (attributes, datums, header, out) => {
    const start = out.length
    formTuple(attributes, datums, header, out)
    out.bytes[start + T_INFOMASK]! &= ~HEAP_HASEXTERNAL
  },
}

/** heap_form_tuple of what heap_deform_tuple finds, for every visible tuple. @returns how many tuples, and those that differ */
function formAgain(pages: Uint8Array, { desc, name }: Relation, snapshot: Snapshot, form = formTuple): { tuples: number; differing: string[] } {
  const attributes = desc!.attributes
  const differing: string[] = []
  let tuples = 0
  const out = new ByteWriter()
  for (let block = 0; block < pages.length / BLOCK_SIZE; block++) {
    const page = pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
    for (let offset = 1; !isZeroPage(page) && offset <= linePointerCount(page); offset++) {
      const item = linePointer(page, offset)
      if (lpFlags(item) !== LP_NORMAL) continue
      const [start, end] = [lpOff(item), lpOff(item) + lpLen(item)]
      const header = readTupleHeader(page, start)
      // Another version of the table may have another form.
      if (!snapshot.isVisible(header.xmin, header.xmax, header.infomask, header.cid)) continue
      const deformed = newDeformedTuple(attributes.length)
      const bits = header.infomask & HEAP_HASNULL ? start + SIZE_OF_TUPLE_HEADER : -1
      deformTuple(page, start, end, start + header.hoff, header.natts, bits, attributes, deformed)
      const datums = attributes.map((_, i) => (deformed.starts[i]! < 0 ? undefined : page.subarray(deformed.starts[i]!, deformed.ends[i]!)))
      out.length = 0
      form(attributes, datums, header, out)
      tuples++
      if (!bytesEqual(out.bytes.subarray(0, out.length), page.subarray(start, end))) differing.push(`${name} (${block},${offset})`)
    }
  }
  return { tuples, differing }
}

/** Hidden rows from pages and from vectors are those that transcoding finds, and another snapshot finds others. @returns how many */
function sameHiddenRows(cluster: DirectoryCluster, relation: Relation, pages: Uint8Array): number {
  const { snapshot, checksums, major } = cluster
  const { database, schema, name, oid, relkind, locator, desc } = relation
  const descriptor = { ...locator, database: null, schema, name, oid, relkind, blocks: pages.length / BLOCK_SIZE, encoding: database.encoding, desc: desc! }
  const dead: RowVisibility = { isVisible: (...tuple) => snapshot.isVisible(...tuple), isDead: () => true, nextXid: snapshot.nextXid }
  const context = schemaContext({ major, profile: 'portable', relation: descriptor, displayScales: {}, pageFlags: 0 })
  const transcoder = new PageTranscoder(relationSchema(context), { visibility: dead, checksums, onCorrupt: 'carry', generate: false })
  const options = { visibility: snapshot, checksums, onCorrupt: 'fail' } as const
  const [fromPages, fromVectors, nobody] = [new HiddenRows(options), new HiddenRows(options), new HiddenRows({ ...options, visibility: { isVisible: () => false } })]
  const source = new MemoryPages(pages)
  for (let block = 0; block < source.blocks; block++) {
    const page = source.read(block)
    transcoder.add(new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4), 0, block)
    fromPages.addPage(page, block)
    nobody.addPage(page, block)
  }
  const { vectors, rows } = transcoder.takeRowGroup()
  fromVectors.addBatch(new Batch(transcoder.schema, vectors))
  expect([fromPages.rows, fromVectors.rows, nobody.positions.length]).toEqual([rows, rows, rows])
  expect(fromPages.positions).toEqual(transcoder.hidden)
  expect(fromVectors.positions).toEqual(transcoder.hidden)
  return transcoder.hidden.length
}

/** A copy of a data directory's catalogs and relations in memory, whose pages have to be prepared. */
function remote(source: ClusterSource, opened: StrictPages[]): ClusterSource {
  return {
    ...source, clog: source.clog, multiOffsets: source.multiOffsets, multiMembers: source.multiMembers,
    relationMap: (spcOid, dbOid) => source.relationMap(spcOid, dbOid), exists: (locator) => source.exists(locator),
    folder: (spcOid, dbOid) => source.folder(spcOid, dbOid), databaseOids: () => source.databaseOids(), relNumbers: (spcOid, dbOid) => source.relNumbers(spcOid, dbOid),
    fork: (locator, fork) => {
      const pages = source.fork(locator, fork)
      if (pages === undefined) return undefined
      const bytes = new Uint8Array(pages.blocks * BLOCK_SIZE)
      for (let block = 0; block < pages.blocks; block++) bytes.set(pages.read(block), block * BLOCK_SIZE)
      pages.close()
      const strict = new StrictPages(bytes)
      opened.push(strict)
      return strict
    },
  }
}

async function sameCatalogs(cluster: DirectoryCluster, dataDir: string): Promise<void> {
  const opened: StrictPages[] = []
  const source = remote(new DirectorySource(openConsistentDirectory(dataDir)), opened)
  const loaded = await loadCluster(source)
  expect(loaded.databases).toEqual(cluster.databases)
  for (const oid of [0, ...cluster.databases.map((database) => database.oid)]) {
    expect(loaded.relations(oid)).toEqual(cluster.relations(oid))
    expect(loaded.unstored(oid)).toEqual(cluster.unstored(oid))
  }
  expect(opened.length).toBeGreaterThan(20)
  expect(opened.every(({ closed }) => closed)).toBe(true)
  // A planted fault: catalogs that nobody fetched are not read.
  expect(() => new Cluster(source)).toThrow(/not prepared/)
  const [postgres, template0] = ['postgres', 'template0'].map((name) => cluster.databases.find((database) => database.name === name)!.oid) as [number, number]
  const some = await loadCluster(source, {}, [postgres])
  expect(some.relations(postgres)).toEqual(cluster.relations(postgres))
  // template1 describes the shared relations.
  expect(() => some.relations(template0)).toThrow(/not prepared/)
}

describe.each(fewerMajors('majors of ports'))('Postgres %i', (major) => {
  test('catalogs, TOAST values, hidden rows and tuples, over ports', () => withCluster(major, {}, async (server, sql) => {
    await loadZoo(major, sql)
    await sql.script(`
      CREATE TABLE large (id int, v text, w bytea); ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
      INSERT INTO large SELECT i, repeat(md5(i::text), 1 + i * 7), decode(repeat(md5(i::text), 200), 'hex') FROM generate_series(1, 300) i;
      UPDATE large SET v = v || 'x' WHERE id % 3 = 0; DELETE FROM large WHERE id % 7 = 0; VACUUM large;
      UPDATE large SET v = v || 'y' WHERE id % 5 = 0; CHECKPOINT`)
    await runWorkload(server)
    await closeSessions(server)
    await server.stop('fast')
    const cluster = openCluster(server.dataDir)
    await sameCatalogs(cluster, server.dataDir)
    const relations = [...cluster.allRelations()].filter(({ visible }) => visible)
    let [values, tuples, hidden] = [0, 0, 0]
    const missed = new Set(Object.keys(PLANTS))
    for (const relation of relations) {
      if (!relation.desc) continue
      const pages = await pagesOf(cluster, relation)
      const again = formAgain(pages, relation, cluster.snapshot)
      expect(again.differing).toEqual([])
      tuples += again.tuples
      for (const name of missed) if (formAgain(pages, relation, cluster.snapshot, PLANTS[name]).differing.length > 0) missed.delete(name)
      if (relation.database.name === 'postgres') hidden += sameHiddenRows(cluster, relation, pages)
      const toast = relations.find(({ oid, database }) => oid === relation.toastRelId && database.oid === relation.database.oid)
      if (toast === undefined) continue
      const toastPages = await pagesOf(cluster, toast)
      const strict = new StrictPages(toastPages)
      const memory = new MemoryPages(toastPages)
      const fork = cluster.openMain(toast)
      const index = await indexToast(strict, cluster.snapshot)
      expect(index).toEqual(buildToastIndex(memory, cluster.snapshot))
      expect(index).toEqual(buildToastIndex(fork, cluster.snapshot))
      const [fromFiles, prepared] = [new ToastReader(toast.oid, fork, index), new PreparedToastReader(toast.oid, strict, index)]
      for (let block = 0; block < pages.length / BLOCK_SIZE; block++) {
        const pointers = toastPointers(pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), relation.desc.attributes)
        await prepared.prepare(pointers)
        for (const pointer of pointers) {
          const value = fromFiles.fetch(pointer)
          expect(bytesEqual(prepared.fetch(pointer) ?? new Uint8Array(1), value ?? new Uint8Array(1))).toBe(true)
          if (value) values++
        }
      }
      fork.close()
      strict.close()
    }
    expect([...missed]).toEqual([])
    expect(values).toBeGreaterThan(500)
    expect(tuples).toBeGreaterThan(20_000)
    expect(hidden).toBeGreaterThan(500)
    console.info(`Postgres ${major}: ${values} TOAST values, ${tuples} tuples`)
  }))
})
