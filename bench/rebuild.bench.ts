/** Parquet in memory → heap pages, each checked against the CRC it had: a table with its TOAST relation, beside COPY of the table. */
import { PageRebuilder } from '../src/columnar/rebuild.ts'
import { benchDataDir, benchSize, benchTables, openBenchCluster, withServer } from './data.ts'
import { parquetFiles } from './files.ts'
import { ResultHash } from './hash.ts'
import { compare } from './measure.ts'
import { openTable } from './relations.ts'
import { printResult } from './report.ts'
import { copyBinary } from './server.ts'

const WANTED = 0.45

const size = benchSize()
const dataDir = await benchDataDir(size)
const cluster = await openBenchCluster(dataDir, size)
const tables = benchTables().map((name) => openTable(cluster, name))
await withServer(dataDir, size, async (client) => {
  for (const table of tables) {
    const files = await parquetFiles(table, 'zstd')
    const hash = new ResultHash()
    rebuildFiles(files, (page) => hash.add(page))
    const ours = { name: 'rebuild', run: () => rebuildFiles(files, () => {}) }
    const comparison = await compare(ours, copyBinary(client, table.name), size)
    const wanted = table.name === 'lineitem' ? { wanted: WANTED } : {}
    printResult({
      kind: 'speed', bench: 'rebuild', table: table.name, variant: 'zstd', peerName: 'COPY BINARY', heapBytes: table.heapBytes, ...comparison, ...wanted,
      hash: hash.digest(),
    })
  }
})

function rebuildFiles(files: readonly Uint8Array[], take: (page: Uint8Array) => void): void {
  for (const file of files) new PageRebuilder(file).rebuild((_, page) => take(page))
}
