/** What row versions of an audited table must be, and what `ltap inspect history --out` writes of them. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect } from 'vitest'
import { exportHistory } from '../../src/jobs/inspect/exporthistory.ts'
import type { TableHistory } from '../../src/jobs/inspect/tablehistory.ts'
import type { Moment } from '../../src/history/versionlife.ts'
import { timeText } from '../../src/wal/text/time.ts'
import type { Audit, Tx, Version } from './audit.ts'

export interface Line {
  place: string
  state: string
  from: string
  to: string
  values: (string | null)[]
}

/** Transactions that begin and end the validity of a version; undefined without one. */
export function endsOf({ inserter, deleters, removedBy, since }: Version): { from: Tx | 'before' | undefined; to: Tx | undefined } {
  if (inserter !== undefined && inserter.fate !== 'committed') return { from: undefined, to: undefined }
  if (since !== undefined && since.fate !== 'committed') return { from: undefined, to: undefined }
  const deleter = deleters.find(({ tx }) => tx.fate === 'committed')?.tx
  return { from: since?.root ?? inserter?.root ?? 'before', to: deleter?.root ?? (removedBy?.fate === 'committed' ? removedBy.root : undefined) }
}

export function lineOf(place: string, version: Version): Line {
  const { inserter, deleters, removedBy, since, values } = version
  const { from, to } = endsOf(version)
  const deleter = deleters.findLast(({ tx }) => tx.fate !== 'aborted')
  const state = inserter?.fate === 'aborted' || since?.fate === 'aborted' ? 'aborted' : inserter?.fate === 'open' ? 'inserting'
    : deleter?.tx.fate === 'committed' ? deleter.how : removedBy?.fate === 'committed' ? 'removed' : deleter !== undefined ? 'deleting' : 'live'
  return { place, state, from: txText(from), to: txText(to), values }
}

function txText(tx: Tx | 'before' | undefined): string {
  return tx === undefined ? 'never' : tx === 'before' ? tx : `${tx.time}, in time`
}

export function momentText(moment: Moment | undefined, tx: Tx | 'before' | undefined): string {
  if (moment === undefined || moment === 'before') return moment ?? 'never'
  const inTime = tx !== undefined && tx !== 'before' && moment.lsn > tx.before && moment.lsn <= tx.after
  return `${moment.time === undefined ? '' : timeText(moment.time)}, ${inTime ? 'in time' : `at ${moment.lsn}`}`
}

/** What `--out` writes, read by a DuckDB of the test's own, is what was written down while the server made it. */
export async function checkExport(audit: Audit, history: TableHistory, base: string): Promise<void> {
  const out = mkdtempSync(join(tmpdir(), 'ltap-history-out-'))
  try {
    const expected = audit.versions.map(exportedLine).sort()
    expect(await exportHistory(history, base, { out: join(out, 'days'), partitionBy: 'day' })).toMatchObject({ rows: expected.length })
    const days = `read_parquet('${out}/days/*/*.parquet', hive_partitioning = true, hive_types_autocast = false)`
    expect((await exported(days, audit)).sort()).toEqual(expected)
    // A folder is the day on which its versions became valid.
    const other = `SELECT count(*)::text FROM ${days} WHERE day IS DISTINCT FROM strftime(valid_from AT TIME ZONE 'UTC', '%Y-%m-%d')`
    expect([await duckRows(other), readdirSync(join(out, 'days')).length > 1]).toEqual([[['0']], true])
    await exportHistory(history, base, { out: join(out, 'history.csv') })
    expect((await exported(`read_csv('${out}/history.csv', all_varchar = true, allow_quoted_nulls = false)`, audit)).sort()).toEqual(expected)
    // A version that is told twice, one that is lost, and one whose deletion is lost (planted).
    const plants = [`(FROM ${days} UNION ALL FROM ${days} WHERE state = 'updated')`, `(FROM ${days} WHERE state <> 'deleted')`,
      `(SELECT * REPLACE (CASE WHEN state = 'deleted' THEN NULL ELSE to_lsn END AS to_lsn) FROM ${days})`]
    for (const plant of plants) expect((await exported(plant, audit)).sort()).not.toEqual(expected)
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

function exportedLine(version: Version): string {
  const { from, to } = endsOf(version)
  return JSON.stringify([...Object.values(lineOf(`${version.file} ${version.ctid} ${version.xmin}`, version)).slice(0, 2), ...[from, to].map(txText), ...version.values])
}

/** As exportedLine: whether an LSN lies where the server was when the transaction committed is looked at here. */
async function exported(from: string, audit: Audit): Promise<string[]> {
  const versions = new Map(audit.versions.map((version) => [`${version.file} ${version.ctid} ${version.xmin}`, version]))
  const time = (column: string): string => `strftime(${column}::TIMESTAMPTZ AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f') || ' UTC'`
  const rows = await duckRows(`SELECT file || ' (' || block || ',' || "offset" || ') ' || xmin, state, from_lsn::VARCHAR, ${time('valid_from')}, from_upto::VARCHAR,
    to_lsn::VARCHAR, ${time('valid_to')}, to_upto::VARCHAR, id::VARCHAR, v, big FROM ${from}`)
  return rows.map(([place, state, fromLsn, validFrom, fromUpto, toLsn, validTo, toUpto, ...values]) => {
    const version = versions.get(place!)
    const ends = version && endsOf(version)
    const moment = (lsn: string | null, at: string | null, upto: string | null, tx: Tx | 'before' | undefined): string => (
      lsn === null ? (upto === null ? 'never' : 'before')
        : momentText({ lsn: Number(lsn), time: undefined }, tx).replace(/^/, at ?? ''))
    const big = state === 'aborted' ? version?.values[2] ?? null : values[2]!
    return JSON.stringify([place, state, moment(fromLsn!, validFrom!, fromUpto!, ends?.from), moment(toLsn!, validTo!, toUpto!, ends?.to), values[0], values[1], big])
  })
}

async function duckRows(sql: string): Promise<(string | null)[][]> {
  const instance = await DuckDBInstance.create(':memory:')
  try {
    const connection = await instance.connect()
    try {
      return (await (await connection.run(sql)).getRows()) as (string | null)[][]
    } finally {
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}
