/** Heap file → Parquet on one thread, every page formed back and compared: a table with its TOAST relation, beside COPY of the table. */
import type { Compression } from '../src/columnar/planfile.ts'
import { benchDataDir, benchSize, benchTables, openBenchCluster, withServer } from './data.ts'
import { parquetFiles, transcodeTable } from './files.ts'
import { ResultHash } from './hash.ts'
import { compare } from './measure.ts'
import { openTable } from './relations.ts'
import { printResult } from './report.ts'
import { copyBinary } from './server.ts'
import type { TableName } from './tables.ts'

const WANTED = 0.35
const COMPRESSIONS: Partial<Record<TableName, Compression[]>> = { lineitem: ['snappy', 'zstd'] }

const size = benchSize()
const dataDir = await benchDataDir(size)
const cluster = await openBenchCluster(dataDir, size)
const cases = benchTables().flatMap((name) => (COMPRESSIONS[name] ?? ['zstd']).map((compression) => ({ table: openTable(cluster, name), compression })))
await withServer(dataDir, size, async (client) => {
  for (const { table, compression } of cases) {
    const hash = new ResultHash()
    for (const file of await parquetFiles(table, compression)) hash.addParquet(file)
    const ours = { name: 'transcode', run: () => transcodeTable(table, compression, () => {}) }
    const comparison = await compare(ours, copyBinary(client, table.name), size)
    const wanted = table.name === 'lineitem' ? { wanted: WANTED } : {}
    printResult({
      kind: 'speed', bench: 'transcode', table: table.name, variant: compression, peerName: 'COPY BINARY', heapBytes: table.heapBytes, ...comparison,
      ...wanted, hash: hash.digest(),
    })
  }
})
