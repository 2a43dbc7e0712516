import { BLOCK_SIZE } from '../../common/rel.ts'
import type { LayeredTable } from '../../jobs/inspect/layeredtable.ts'
import type { MaterializeReport } from '../../jobs/materialize/materializelake.ts'
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

/** The shop's tables, everything else in one line, and the whole cluster, which is what was written into a new lake. */
export function sizesOf(tables: readonly LayeredTable[], { rows, hiddenRows: hidden, heapBytes, bytes: parquetBytes }: MaterializeReport): Size[] {
  const isShop = ({ database, schema, relkind }: LayeredTable): boolean => database === DATABASE && schema === 'public' && relkind === 'r'
  const shop = tables.filter(isShop).map(sizeOf).sort((a, b) => b.heapBytes - a.heapBytes)
  const whole = { name: 'whole cluster', rows: rows - hidden, hidden, heapBytes, parquetBytes }
  const rest = { ...whole, name: 'catalogs, TOAST' }
  for (const size of shop) for (const key of ['rows', 'hidden', 'heapBytes', 'parquetBytes'] as const) rest[key] -= size[key]
  return [...shop, rest, whole]
}

function sizeOf({ name, blocks, bytes, rows, rowsNotShown }: LayeredTable): Size {
  const hidden = rowsNotShown ?? 0
  return { name, rows: rows - hidden, hidden, heapBytes: blocks * BLOCK_SIZE, parquetBytes: bytes }
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
