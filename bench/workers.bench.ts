/** A table → a lake on disk, by transcodeLake: two worker threads beside one. Starting the threads is part of it. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { transcodeLake } from '../src/io/transcodelake.ts'
import type { Manifest } from '../src/lake/manifest.ts'
import { benchDataDir, benchDir, benchSize, openBenchCluster } from './data.ts'
import { ResultHash } from './hash.ts'
import { compare, type Side } from './measure.ts'
import { openTable } from './relations.ts'
import { printResult } from './report.ts'

const WANTED = 1.7

const size = benchSize()
const pgdata = await benchDataDir(size)
const lake = join(benchDir(), `workers-${process.pid}`)
const { heapBytes } = openTable(await openBenchCluster(pgdata, size), 'lineitem')
const prepare = (): void => rmSync(lake, { recursive: true, force: true })

try {
  prepare()
  const hash = new ResultHash()
  for (const { path } of (await transcode(2)).relations.flatMap(({ files }) => files)) hash.addParquet(readFileSync(join(lake, path)))
  const side = (workers: number): Side => ({ name: `${workers} workers`, run: () => transcode(workers), prepare })
  const comparison = await compare(side(2), side(1), size)
  printResult({
    kind: 'speed', bench: 'workers', table: 'lineitem', variant: '2 workers, zstd', peerName: '1 worker', heapBytes, ...comparison, wanted: WANTED,
    hash: hash.digest(),
  })
} finally {
  prepare()
}

function transcode(workers: number): Promise<Manifest> {
  const filter = { databases: ['postgres'], tables: ['bench.lineitem'] }
  return transcodeLake({ pgdata, lake, filter, workers, compression: 'zstd', profile: 'portable', onCorrupt: 'fail' })
}
