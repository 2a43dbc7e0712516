/** `ltap inspect history` and `inspect table --wal` against a table whose every change was written down while a server made it. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type HistoryRow, openHistory } from '../../src/io/inspect/history.ts'
import type { Moment } from '../../src/io/inspect/historyrow.ts'
import type { PostgresCluster } from '../../src/io/postgres.ts'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import { timeText } from '../../src/wal/text/time.ts'
import { ltap } from '../cli/streams.ts'
import { Audit, AUDIT_TABLE, runAudit, type Tx, type Version } from '../support/audit.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'

const SETTINGS = { track_commit_timestamp: 'on', wal_keep_size: '4GB', max_wal_size: '8GB', checkpoint_timeout: '1d', max_prepared_transactions: '5', autovacuum: 'off' }

describe.each(majors())('history on Postgres %i', (major) => {
  test('every version, with the times the server gives', () => withAudit(major, async (audit, cluster) => {
    const actor = audit.actor(await connect(cluster))
    await runAudit(audit, actor, 100 + major, 40)
    await locks(audit, cluster)
    await actor.rewrite('VACUUM FULL audit.rows')
    await audit.show()
    await runAudit(audit, actor, 200 + major, 15)
    await replaced(audit, cluster)
    await runAudit(audit, actor, 300 + major, 10)
    await openAtTheEnd(audit, cluster)
  }, checkHistory), 120_000)
})

/** Multixacts that lock and update. */
async function locks(audit: Audit, cluster: PostgresCluster): Promise<void> {
  const [one, two] = [audit.actor(await connect(cluster)), audit.actor(await connect(cluster))]
  await one.begin()
  await one.insert("VALUES (7001, 'locked', NULL), (7002, 'locked', NULL)")
  await one.commit()
  await one.begin()
  await one.sql.exec('SELECT FROM audit.rows WHERE id IN (7001, 7002) FOR KEY SHARE')
  await two.begin()
  await two.update("v = 'by a member'", 'id = 7001')
  await two.commit()
  await two.begin()
  await two.update("v = 'by a failing member'", 'id = 7002')
  await two.rollback()
  await one.update("v = 'again'", 'id = 7001')
  await one.commit()
  await one.sql.exec('VACUUM audit.rows')
  await audit.show()
}

/** TRUNCATE and rewrites that fail, then ones that commit. */
async function replaced(audit: Audit, cluster: PostgresCluster): Promise<void> {
  const actor = audit.actor(await connect(cluster))
  await actor.begin()
  await actor.replace('TRUNCATE audit.rows')
  await actor.insert("VALUES (8001, 'into a file that goes', NULL)")
  await actor.rollback()
  await actor.begin()
  await actor.savepoint()
  await actor.replace('TRUNCATE audit.rows')
  await actor.insert("VALUES (8002, 'into a file that goes', NULL)")
  await actor.rollbackTo()
  await actor.insert("VALUES (8003, 'stays', NULL)")
  await actor.commit()
  await audit.show()
  await actor.begin()
  await actor.replace('TRUNCATE audit.rows')
  await actor.insert("SELECT i, 'after', NULL FROM generate_series(9000, 9100) i")
  await actor.commit()
  await audit.show()
}

async function openAtTheEnd(audit: Audit, cluster: PostgresCluster): Promise<void> {
  const [open, prepared, last] = [audit.actor(await connect(cluster)), audit.actor(await connect(cluster)), audit.actor(await connect(cluster))]
  await open.begin()
  await open.insert("VALUES (9901, 'never ends', NULL)")
  await open.delete('id = 9001')
  await prepared.begin()
  await prepared.insert("VALUES (9902, 'prepared and committed', NULL)")
  const commit = await prepared.prepare('one')
  await prepared.begin()
  await prepared.update("v = 'prepared'", 'id = 9002')
  await prepared.prepare('two')
  await commit()
  await last.begin()
  await last.update("v = 'last'", 'id = 9003')
  await last.commit()
  await audit.show()
}

interface Place {
  base: string
  wal: string
}

async function withAudit(
  major: number, run: (audit: Audit, cluster: PostgresCluster) => Promise<void>, check: (audit: Audit, place: Place) => Promise<void>,
): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), `ltap-audit-${major}-`))
  try {
    await withCluster(major, { settings: SETTINGS, initdbArgs: ['--data-checksums'] }, async (cluster, sql) => {
      await sql.script(AUDIT_TABLE)
      await closeSessions(cluster)
      await cluster.stop()
      const place = { base: join(work, 'base'), wal: join(work, 'wal') }
      await cluster.copyDataDir(place.base)
      await cluster.start()
      const audit = await Audit.begin(cluster)
      await run(audit, cluster)
      await cluster.kill()
      await closeSessions(cluster)
      cpSync(join(cluster.dataDir, 'pg_wal'), place.wal, { recursive: true })
      await check(audit, place)
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function checkHistory(audit: Audit, { base, wal }: Place): Promise<void> {
  const history = await openHistory({ source: base, wal, table: 'audit.rows', database: 'postgres' })
  const rows = [...history.rows()]
  history.close()
  expect(history.columns).toEqual(['id', 'v', 'big'])
  expect(rows.filter(({ problem }) => problem !== undefined)).toEqual([])
  compareVersions(rows, audit.versions)
  for (const { lsn, rows: shown } of audit.shown) expect(validAt(rows, walPosition(parseLsn(lsn)!))).toEqual(shown)
  for (const { lsn, rows: shown } of [audit.shown[0]!, audit.shown.at(-2)!, audit.shown.at(-1)!]) {
    const ran = await ltap(['inspect', 'table', base, 'audit.rows', '--database', 'postgres', '--wal', wal, '--to', lsn, '--json'])
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
    const table = JSON.parse(ran.stdout) as { ctid: string; columns: Record<string, string | null> }[]
    expect(table.map(({ ctid, columns }) => [ctid, ...Object.values(columns)])).toEqual(shown)
  }
}

/** The rows that were valid at a position, by their own account. */
function validAt(rows: readonly HistoryRow[], lsn: number): (string | null)[][] {
  const at = (moment: Moment): number => (moment === 'before' ? 0 : moment.lsn)
  return rows.filter(({ from, to }) => from !== undefined && at(from) <= lsn && (to === undefined || at(to) > lsn))
    .map(({ block, offset, values }) => [`(${block},${offset})`, ...values.map((value) => value ?? null)])
}

interface Line {
  place: string
  state: string
  from: string
  to: string
  values: (string | null)[]
}

function compareVersions(rows: readonly HistoryRow[], versions: readonly Version[]): void {
  const expected = new Map<string, { line: Line; version: Version }>()
  for (const version of versions) {
    const place = `${version.file} ${version.ctid} ${version.xmin}`
    expect(expected.has(place), place).toBe(false)
    expected.set(place, { line: lineOf(place, version), version })
  }
  const found = rows.map((row): Line => {
    const place = `${row.file} (${row.block},${row.offset}) ${row.xmin}`
    const version = expected.get(place)?.version
    const values = row.values.map((value, i) => (row.dangling.includes(['id', 'v', 'big'][i]!) && row.state === 'aborted' ? version?.values[i] ?? null : value ?? null))
    const ends = version && endsOf(version)
    return { place, state: row.state, from: momentText(row.from, ends?.from), to: momentText(row.to, ends?.to), values }
  })
  const byPlace = (a: Line, b: Line): number => (a.place < b.place ? -1 : 1)
  expect(found.sort(byPlace)).toEqual([...expected.values()].map(({ line }) => line).sort(byPlace))
  const states = new Set(found.map(({ state }) => state))
  for (const state of ['live', 'updated', 'deleted', 'aborted', 'removed', 'inserting', 'deleting']) expect(states, state).toContain(state)
}

/** Transactions that begin and end the validity of a version; undefined if there is none. */
function endsOf({ inserter, deleters, removedBy, since }: Version): { from: Tx | 'before' | undefined; to: Tx | undefined } {
  if (inserter !== undefined && inserter.fate !== 'committed') return { from: undefined, to: undefined }
  if (since !== undefined && since.fate !== 'committed') return { from: undefined, to: undefined }
  const deleter = deleters.find(({ tx }) => tx.fate === 'committed')?.tx
  return { from: since?.root ?? inserter?.root ?? 'before', to: deleter?.root ?? (removedBy?.fate === 'committed' ? removedBy.root : undefined) }
}

function lineOf(place: string, version: Version): Line {
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

function momentText(moment: Moment | undefined, tx: Tx | 'before' | undefined): string {
  if (moment === undefined || moment === 'before') return moment ?? 'never'
  const inTime = tx !== undefined && tx !== 'before' && moment.lsn > tx.before && moment.lsn <= tx.after
  return `${moment.time === undefined ? '' : timeText(moment.time)}, ${inTime ? 'in time' : `at ${moment.lsn}`}`
}
