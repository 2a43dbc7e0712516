/**
 * A table → a lake on disk, by transcodeLake: two worker threads beside one, kept between jobs as a service keeps them; and two that each job
 * starts, as the command line does, beside two that are kept.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Workers } from '../src/jobs/pool.ts'
import { transcodeLake } from '../src/jobs/transcodelake.ts'
import type { Manifest } from '../src/lake/manifest.ts'
import { benchDataDir, benchDir, benchSize, openBenchCluster } from './data.ts'
import { ResultHash } from './hash.ts'
import { compare, type Comparison, type Side } from './measure.ts'
import { openTable } from './relations.ts'
import { printResult } from './report.ts'

const WANTED = 1.7

const size = benchSize()
const pgdata = await benchDataDir(size)
const lake = join(benchDir(), `workers-${process.pid}`)
const { heapBytes } = openTable(await openBenchCluster(pgdata, size), 'lineitem')
const prepare = (): void => rmSync(lake, { recursive: true, force: true })

const one = new Workers(1)
const two = new Workers(2)
try {
  prepare()
  const hash = new ResultHash()
  for (const { path } of (await transcode(two)).relations.flatMap(({ files }) => files)) hash.addParquet(readFileSync(join(lake, path)))
  const side = (name: string, workers: number | Workers): Side => ({ name, run: () => transcode(workers), prepare })
  const print = (variant: string, peerName: string, comparison: Comparison, wanted?: number): void => printResult({
    kind: 'speed', bench: 'workers', table: 'lineitem', variant, peerName, heapBytes, ...comparison, ...(wanted === undefined ? {} : { wanted }),
    hash: hash.digest(),
  })
  const kept = side('2 workers', two)
  print('2 workers, zstd', '1 worker', await compare(kept, side('1 worker', one), size), WANTED)
  print('2 workers started, zstd', '2 workers', await compare(side('2 workers started', 2), kept, size))
} finally {
  await one.close()
  await two.close()
  prepare()
}

function transcode(workers: number | Workers): Promise<Manifest> {
  const filter = { databases: ['postgres'], tables: ['bench.lineitem'] }
  return transcodeLake({ pgdata, lake, filter, workers, compression: 'zstd', profile: 'portable', onCorrupt: 'fail' })
}
