/** Bytes of the lake beside bytes of the heap, and what the physical columns add. No time is measured. */
import { parquetMetadata } from 'hyparquet'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_SIZE } from '../src/common/rel.ts'
import { transcodeLake } from '../src/jobs/transcodelake.ts'
import type { Compression } from '../src/columnar/planfile.ts'
import type { LakeRelation } from '../src/lake/manifest.ts'
import { benchDataDir, benchDir, benchSize, openBenchCluster } from './data.ts'
import { ResultHash } from './hash.ts'
import { printResult } from './report.ts'
import { TABLE_NAMES } from './tables.ts'

const WANTED = 0.012
const PHYSICAL = ['_ltap', '_overflow']

const size = benchSize()
const pgdata = await benchDataDir(size)
await openBenchCluster(pgdata, size)
const lake = join(benchDir(), `sizes-${process.pid}`)
for (const compression of ['snappy', 'zstd'] as const) {
  try {
    const filter = { databases: ['postgres'], tables: TABLE_NAMES.map((name) => `bench.${name}`) }
    const { relations } = await transcodeLake({ pgdata, lake, filter, workers: 0, compression, profile: 'portable', onCorrupt: 'fail' })
    for (const relation of relations.filter(({ forks }) => (forks.main ?? 0) > 0)) measure(relation, compression)
  } finally {
    rmSync(lake, { recursive: true, force: true })
  }
}

function measure(relation: LakeRelation, compression: Compression): void {
  const { name, relkind, files, forks } = relation
  const hash = new ResultHash()
  let fileBytes = 0
  let physicalBytes = 0
  let rows = 0
  for (const { path, hidden, rows: fileRows } of files) {
    const bytes = readFileSync(join(lake, path))
    hash.addParquet(bytes)
    physicalBytes += physicalChunkBytes(bytes)
    fileBytes += bytes.length + (hidden ? readFileSync(join(lake, hidden.path)).length : 0)
    rows += fileRows
  }
  const wanted = name === 'lineitem' && compression === 'zstd' ? { wanted: WANTED } : {}
  printResult({
    kind: 'size', bench: 'sizes', table: relkind === 't' ? 'TOAST of documents' : name, variant: compression, heapBytes: forks.main! * BLOCK_SIZE,
    fileBytes, rows, physicalBytes, physicalShare: physicalBytes / fileBytes, ...wanted, hash: hash.digest(),
  })
}

/** Compressed bytes of the column chunks below `_ltap` and `_overflow`, from the footer. */
function physicalChunkBytes(file: Buffer): number {
  const { row_groups: rowGroups } = parquetMetadata(new Uint8Array(file).buffer)
  const chunks = rowGroups.flatMap(({ columns }) => columns).map(({ meta_data: chunk }) => chunk!)
  return chunks.filter(({ path_in_schema: [column] }) => PHYSICAL.includes(column!)).reduce((sum, chunk) => sum + Number(chunk.total_compressed_size), 0)
}
