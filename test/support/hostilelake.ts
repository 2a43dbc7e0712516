import type { CommitSummary, LakeSummary } from '../../src/jobs/inspect/lakesummary.ts'
import type { LayeredTable } from '../../src/jobs/inspect/layeredtable.ts'
import { S3_STANDARD } from '../../src/jobs/inspect/requestprices.ts'

/** Names of tables and columns that a page must not take for more than text. The first ones change the page's title where they run. */
export const HOSTILE_NAMES: readonly string[] = [
  '<script>document.title="run"</script>', '"><img src=x onerror=document.title="run">', "'><svg/onload=document.title='run'>", '</title></style><b>bold</b>', '&lt;&#60;&amp;',
  '\u202egnp.exe', '`${1}`', 'javascript:alert(1)',
]

const lsn = (number: number): string => `0/${(0x1900000 + number * 0x50000).toString(16).toUpperCase()}`

function state(sequence: number): CommitSummary {
  const made = sequence < 3 ? null : {
    kind: sequence === 5 ? 'merge' : 'layers', requests: { get: 12 + sequence, put: 5 + sequence }, bytesUp: 400_000 * sequence, bytesDown: 30_000 * sequence,
  }
  return { sequence, timeline: 1, lsn: lsn(sequence === 5 ? 4 : sequence), time: 1_796_056_206_000_000, made, dollars: made && 0.0001 * sequence }
}

function table(name: string, i: number): LayeredTable {
  const layerList = Array.from({ length: 8 - i }, (_, layer) => ({ lsn: lsn(layer + 1), blocks: layer + 1, files: 1, bytes: 30_000 / (layer + 1), packed: i === 7 ? 1 : 0 }))
  return {
    database: 'shop', schema: 'public', name, relkind: 'r', oid: 16_384 + i, blocks: 10 * i, layers: layerList.length, layerList, currentFiles: 1, files: layerList.length,
    bytes: 30_000 * (i + 1), rows: i === 6 ? 0 : 1000, rowsNotShown: i === 6 ? 0 : 20 * i, lanes: i === 6 ? {} : { native: 3000, text: 100 * i, raw: i, tupleLane: i },
    columns: i === 7 ? null : HOSTILE_NAMES.map((column, j) => ({ name: column, encoded: 40_000 / (j + 1), compressed: 9000 / (j + 1) })),
  }
}

/** What is said of a lake whose names are hostile ones. */
export function hostileLake(): LakeSummary {
  const states = [1, 2, 3, 4, 5, 6, 7, 8].map(state)
  return {
    url: 's3://bucket/<script>document.title="run"</script>', systemIdentifier: '7', major: 17, profile: 'portable', cas: 'if-match', branch: 'main', epoch: 1, timeline: 1,
    materialized: lsn(8), published: null, archived: null, states, branches: [], tags: [{ name: 'release', sequence: 3, timeline: 1, lsn: lsn(3), time: null }],
    leases: [], jobs: [], tables: [...HOSTILE_NAMES.map(table), { ...table('pg_class', 0), schema: 'pg_catalog', rowsNotShown: null, columns: null }], columnFilesLeft: 0,
    store: { objects: 17, bytes: 5e6, orphans: { objects: 1, bytes: 300 }, missing: ['shop/<script>document.title="run"</script>'], damaged: HOSTILE_NAMES.map((name) => `parquet.footer: ${name}`) },
    prices: S3_STANDARD, monthlyDollars: 0.0001, run: { requests: { get: 1, head: 0, put: 0, upload: 0, delete: 0, list: 1 }, bytesDown: 3, retries: 0 },
  }
}
