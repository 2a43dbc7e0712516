/**
 * Heap file → columns in memory: header and line pointer checks, generated decoder, visibility; no proof, no Parquet. The columns of a
 * row group are dropped when it is full.
 */
import { Batch } from '../src/columnar/batch.ts'
import { PageDecoder } from '../src/columnar/decodepage.ts'
import { TupleDecoder } from '../src/columnar/decodetuple.ts'
import { TupleFormer } from '../src/columnar/formtuple.ts'
import { generateDecoder } from '../src/columnar/generatedecoder.ts'
import { BLOCK_SIZE } from '../src/common/rel.ts'
import { pageBuffer } from '../src/page/canonical.ts'
import { checkPageHeader } from '../src/page/header.ts'
import { checkLinePointers } from '../src/page/linepointer.ts'
import { benchDataDir, benchSize, benchTables, openBenchCluster, withServer } from './data.ts'
import { planFile } from '../src/columnar/planfile.ts'
import { BlockSet } from '../src/common/blockset.ts'
import { ResultHash } from './hash.ts'
import { compare } from './measure.ts'
import { type BenchRelation, openTable, readPages } from './relations.ts'
import { printResult } from './report.ts'
import { copyBinary } from './server.ts'

const ROW_GROUP_ROWS = 100_000
const WANTED = { lineitem: 3 }

const size = benchSize()
const dataDir = await benchDataDir(size)
const cluster = await openBenchCluster(dataDir, size)
const tables = benchTables().map((name) => openTable(cluster, name))
await withServer(dataDir, size, async (client) => {
  for (const { name, main, heapBytes } of tables) {
    const hash = new ResultHash()
    await decodeRelation(main, (batch) => batch.seal().forEach((vector) => hash.addVector(vector)))
    const ours = { name: 'decode', run: () => decodeRelation(main, () => {}) }
    const comparison = await compare(ours, copyBinary(client, name), size)
    const wanted = name === 'lineitem' ? { wanted: WANTED.lineitem } : {}
    printResult({
      kind: 'speed', bench: 'decode', table: name, variant: 'to columns', peerName: 'COPY BINARY', heapBytes, ...comparison, ...wanted, hash: hash.digest(),
    })
  }
})

async function decodeRelation(relation: BenchRelation, take: (batch: Batch) => void): Promise<void> {
  const { fork, visibility } = relation
  const blocks = BlockSet.range(0, fork.blocks)
  const { schema } = await planFile(relation.cluster, relation.descriptor, blocks, 'none', fork)
  const batch = new Batch(schema)
  const tuples = new TupleDecoder(batch, new TupleFormer(batch), relation.openToast(), false)
  const decoder = new PageDecoder(batch, tuples, visibility, () => {}, generateDecoder(schema, batch, tuples))
  for await (const { words, base, block } of readPages(fork, blocks)) {
    const bytes = new Uint8Array(words.buffer, words.byteOffset + base * 4, BLOCK_SIZE)
    checkPageHeader(bytes)
    checkLinePointers(bytes)
    const page = pageBuffer(bytes)
    const first = batch.rows
    if (!decoder.decode(page, block, false)) {
      batch.truncate(first)
      decoder.decode(page, block, true)
    }
    if (batch.rows < ROW_GROUP_ROWS) continue
    take(batch)
    batch.truncate(0)
  }
  take(batch)
}
