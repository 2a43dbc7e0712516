import { BLOCK_SIZE } from '../../common/rel.ts'
import type { LakeRelation, Manifest } from '../../lake/manifest.ts'
import { megabytes, thousands } from '../count.ts'
import type { StepTime } from './narrator.ts'
import { alignedLines } from './paint.ts'
import { DATABASE } from './shop.ts'

/** What one table, or the whole cluster, came to. */
export interface Size {
  name: string
  /** Rows a reader sees, and all row versions in the heap. */
  rows: number
  hidden: number
  heapBytes: number
  parquetBytes: number
}

/** The shop's tables, everything else in one line, and the whole cluster. */
export function sizesOf(manifest: Manifest): Size[] {
  const isShop = ({ database, schema, relkind }: LakeRelation): boolean => database === DATABASE && schema === 'public' && relkind === 'r'
  const tables = manifest.relations.filter(isShop).map((relation) => sizeOf(relation.name, [relation]))
  const rest = sizeOf('catalogs, TOAST', manifest.relations.filter((relation) => !isShop(relation)))
  return [...tables.sort((a, b) => b.heapBytes - a.heapBytes), rest, sizeOf('whole cluster', manifest.relations)]
}

function sizeOf(name: string, relations: readonly LakeRelation[]): Size {
  const size: Size = { name, rows: 0, hidden: 0, heapBytes: 0, parquetBytes: 0 }
  for (const { forks, files } of relations) {
    size.heapBytes += (forks.main ?? 0) * BLOCK_SIZE
    for (const { rows, bytes, hidden } of files) {
      size.hidden += hidden?.rows ?? 0
      size.rows += rows - (hidden?.rows ?? 0)
      size.parquetBytes += bytes
    }
  }
  return size
}

export function sizeLines(sizes: readonly Size[]): string[] {
  return alignedLines([
    ['', 'rows', 'hidden', 'heap', 'Parquet', 'ratio'],
    ...sizes.map(({ name, rows, hidden, heapBytes, parquetBytes }) => {
      const ratio = heapBytes / Math.max(1, parquetBytes)
      return [name, thousands(rows), thousands(hidden), megabytes(heapBytes), megabytes(parquetBytes), `${ratio.toFixed(1)} x`]
    }),
  ])
}

export function timeLines(times: readonly StepTime[]): string[] {
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0)
  return alignedLines([
    ['', 'seconds', 'heap MB/s'],
    ...times.map(({ step, seconds, bytes }) => {
      return [step, seconds.toFixed(1), bytes === undefined ? '' : String(Math.round(bytes / 1e6 / seconds))]
    }),
    ['all', total.toFixed(1), ''],
  ])
}
