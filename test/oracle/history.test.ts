/** `ltap inspect history` and `inspect table --wal` against a table whose every change was written down while a server made it. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type HistoryRow, openHistory } from '../../src/jobs/inspect/tablehistory.ts'
import type { Moment } from '../../src/history/versionlife.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import { ltap } from '../cli/streams.ts'
import { Audit, AUDIT_TABLE, backUp, runAudit, Tx, type Version } from '../support/audit.ts'
import { checkExport, endsOf, type Line, lineOf, momentText } from '../support/auditedversions.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const SETTINGS = { track_commit_timestamp: 'on', wal_keep_size: '4GB', max_wal_size: '8GB', checkpoint_timeout: '1d', max_prepared_transactions: '5', autovacuum: 'off' }

describe.each(fewerMajors('majors of history'))(`history on Postgres %i, seed ${TEST_SEED}`, (major) => {
  test('every version, with the times the server gives', () => withAudit(major, async (audit, cluster) => {
    const actor = audit.actor(await connect(cluster))
    await runAudit(audit, actor, TEST_SEED + 1, 40)
    await locks(audit, cluster)
    await actor.rewrite('VACUUM FULL audit.rows')
    await audit.show()
    await runAudit(audit, actor, TEST_SEED + 2, 15)
    await replaced(audit, cluster)
    await runAudit(audit, actor, TEST_SEED + 3, 10)
    await openAtTheEnd(audit, cluster)
  }, checkHistory))

  test.each(amount({ quick: [major > 14], sample: [true, false], all: [true, false] }))('a base backup of a busy server, checksums %s', (checksums) => withAuditedBackup(major, checksums, async (audit, cluster, backUpNow) => {
    const actor = audit.actor(await connect(cluster))
    await runAudit(audit, actor, TEST_SEED + 4, 10)
    await backUpNow(() => runAudit(audit, actor, TEST_SEED + 5, 20))
    await runAudit(audit, actor, TEST_SEED + 6, 10)
  }))

  test('columns and files that change, catalogs that move', () => withAudit(major, changeTables, async (_, place) => {
    const history = (table: string, database = 'postgres', to?: string): Promise<string[]> => lines(place, table, database, to)
    const { added, file, ownFile } = changes
    expect(await history('changing.t', 'postgres', added)).toEqual([
      `${file[0]} (0,1) updated 1 10 d`, `${file[0]} (0,2) removed 2 20 d`, `${file[0]} (0,3) removed 3 30 d`, `${file[0]} (0,4) removed 1 11 d`,
      `${file[0]} (0,5) removed 4 40 e`,
      `${file[1]} (0,1) live 2 20 d`, `${file[1]} (0,2) live 3 30 d`, `${file[1]} (0,3) live 1 11 d`, `${file[1]} (0,4) live 4 40 e`,
    ])
    // Bytes of other types are not shown as values of these.
    const raw = Buffer.from([1, 0, 0, 0, 10, 0, 0, 0]).toString('hex')
    expect((await history('changing.t')).map((line) => line.replace(/raw .*(01000000.{8}).*/, 'raw $1'))).toEqual([
      `${file[0]} (0,1) updated raw ${raw}`, ...[2, 3].map((row) => `${file[0]} (0,${row}) removed raw`), expect.stringMatching(/^\d+ \(0,4\) removed raw 010000000b000000$/),
      `${file[0]} (0,5) removed raw`,
      ...[1, 2].map((row) => `${file[1]} (0,${row}) removed raw`), expect.stringMatching(/^\d+ \(0,3\) removed raw 010000000b000000$/), `${file[1]} (0,4) removed raw`,
      ...[['(0,1)', '2 n20 d'], ['(0,2)', '3 n30 d'], ['(0,3)', '1 n11 d'], ['(0,4)', '4 n40 e']].map(([ctid, values]) => `${file[2]} ${ctid} removed ${values}`),
      ...[['(0,1)', '2 n20 d'], ['(0,2)', '3 n30 d'], ['(0,3)', '1 n11 d'], ['(0,4)', '4 n40 e']].map(([ctid, values]) => `${file[3]} ${ctid} live ${values}`),
    ].map((line) => (typeof line === 'string' && line.endsWith('raw') ? expect.stringMatching(new RegExp(`^${line.replace(/[()]/g, '\\$&')} \\S+$`)) as unknown : line)))
    expect(await history('changing.own')).toEqual([`${ownFile} (0,1) removed 1`, `${ownFile} (0,1) live 2`])
    const made = await openHistory({ source: place.base, wal: place.wal, table: 'changing.made', database: 'copied' })
    const [first, second, third] = [...made.rows()]
    made.close()
    expect([first, second, third].map((row) => `(${row!.block},${row!.offset}) ${row!.state} ${row!.values.join()}`)).toEqual(['(0,1) deleted 1', '(0,2) removed 2', '(0,1) live 2'])
    // Not from when they were written in another database.
    const [before, after] = changes.copied.map((text) => walPosition(parseLsn(text)!))
    for (const row of [first, second]) {
      expect(lsnOf(row!.from)).toBeGreaterThan(before!)
      expect(lsnOf(row!.from)).toBeLessThan(after!)
    }
    expect(third!.from).toEqual(second!.to)
  }))
})

const changes = { added: '', file: [] as string[], ownFile: '', copied: [] as string[] }

/** DDL while the catalogs get new files too. */
async function changeTables(_: Audit, cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  const file = async (table: string): Promise<string> => (await sql.value(`SELECT pg_relation_filenode('changing.${table}')`))!
  changes.file = []
  await sql.script(`
    CREATE SCHEMA changing; CREATE TABLE changing.t (id int, n int); INSERT INTO changing.t VALUES (1, 10), (2, 20), (3, 30);
    UPDATE changing.t SET n = 11 WHERE id = 1; ALTER TABLE changing.t ADD COLUMN extra text DEFAULT 'd'; INSERT INTO changing.t VALUES (4, 40, 'e')`)
  changes.file.push(await file('t'))
  await sql.script('VACUUM FULL changing.t; VACUUM FULL pg_class; VACUUM FULL pg_attribute; VACUUM pg_class; VACUUM pg_attribute')
  changes.file.push(await file('t'))
  changes.added = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
  await sql.script("ALTER TABLE changing.t ALTER COLUMN n TYPE text USING 'n' || n; VACUUM pg_attribute; VACUUM FULL pg_attribute")
  changes.file.push(await file('t'))
  const space = await cluster.makeDir('space')
  await sql.script(`CREATE TABLESPACE space LOCATION '${space}'; ALTER TABLE changing.t SET TABLESPACE space; VACUUM pg_class; VACUUM FULL pg_class`)
  changes.file.push(await file('t'))
  await sql.exec('BEGIN; CREATE TABLE changing.own (id int); INSERT INTO changing.own VALUES (1); TRUNCATE changing.own; INSERT INTO changing.own VALUES (2); COMMIT')
  changes.ownFile = await file('own')
  await sql.exec('CREATE DATABASE model')
  const model = await connect(cluster, 'model')
  await model.script('CREATE SCHEMA changing; CREATE TABLE changing.made (id int); INSERT INTO changing.made VALUES (1), (2)')
  await model.close()
  changes.copied[0] = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
  await sql.exec('CREATE DATABASE copied TEMPLATE model')
  changes.copied[1] = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
  const other = await connect(cluster, 'copied')
  await other.script('DELETE FROM changing.made WHERE id = 1')
  await other.script('VACUUM changing.made; VACUUM FULL pg_class; VACUUM FULL changing.made')
}

/** A table's history as short lines. */
async function lines({ base, wal }: Place, table: string, database: string, to: string | undefined): Promise<string[]> {
  const target = to === undefined ? {} : { target: { lsn: walPosition(parseLsn(to)!) } }
  const history = await openHistory({ source: base, wal, table, database, ...target })
  try {
    return [...history.rows()].map(({ file, block, offset, state, values, problem, raw }) =>
      `${file} (${block},${offset}) ${state} ${problem === undefined ? values.join(' ') : `raw ${raw}`}`)
  } finally {
    history.close()
  }
}

/** Multixacts that lock and update. */
async function locks(audit: Audit, cluster: PostgresServer): Promise<void> {
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
async function replaced(audit: Audit, cluster: PostgresServer): Promise<void> {
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

async function openAtTheEnd(audit: Audit, cluster: PostgresServer): Promise<void> {
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
  major: number, run: (audit: Audit, cluster: PostgresServer) => Promise<void>, check: (audit: Audit, place: Place) => Promise<void>,
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

async function withAuditedBackup(
  major: number, checksums: boolean, run: (audit: Audit, cluster: PostgresServer, backUpNow: (busy: () => Promise<void>) => Promise<void>) => Promise<void>,
): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), `ltap-audit-${major}-`))
  const initdbArgs = checksums ? ['--data-checksums'] : major >= 18 ? ['--no-data-checksums'] : []
  try {
    await withCluster(major, { settings: SETTINGS, initdbArgs }, async (cluster, sql) => {
      await sql.script(AUDIT_TABLE)
      const place = { base: join(work, 'base'), wal: join(work, 'wal') }
      const audit = await Audit.begin(cluster)
      let range = { start: 0, consistentAt: 0 }
      await run(audit, cluster, async (busy) => {
        range = await backUp(cluster, place.base, busy)
      })
      await cluster.kill()
      await closeSessions(cluster)
      cpSync(join(cluster.dataDir, 'pg_wal'), place.wal, { recursive: true })
      await checkBackup(audit, place, range)
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The history has every version that lived when the pages became consistent, or later; some of those that were gone by then; and no other. */
async function checkBackup(audit: Audit, { base, wal }: Place, { start, consistentAt }: { start: number; consistentAt: number }): Promise<void> {
  const history = await openHistory({ source: base, wal, table: 'audit.rows', database: 'postgres' })
  const rows = [...history.rows()].filter(({ problem }) => problem === undefined)
  history.close()
  const found = new Map(rows.map((row) => [placeOf(row), row]))
  const expected = new Map(audit.versions.map((version) => [`${version.file} ${version.ctid} ${version.xmin}`, version]))
  expect([...found.keys()].filter((place) => !expected.has(place))).toEqual([])
  let before = 0
  for (const [place, version] of expected) {
    const { from, to } = endsOf(version)
    const failed = [version.inserter, version.since].find((tx) => tx?.fate === 'aborted')
    const gone = to instanceof Tx ? to.after : failed === undefined ? Infinity : Math.max(failed.after, failed.root.after)
    const row = found.get(place)
    if (row === undefined) {
      expect(gone, place).toBeLessThan(consistentAt)
      continue
    }
    if (gone < consistentAt) before++
    const line = lineOf(place, version)
    if (isBefore(from, start)) line.from = 'before'
    if (isBefore(to, start)) line.to = 'before'
    if (line.to === 'before') line.from = 'before'
    const values = row.values.map((value) => value ?? null)
    if (row.dangling.length > 0) values[2] = version.values[2]!
    if (gone > consistentAt && row.state !== 'aborted') expect(row.dangling).toEqual([])
    expect({ place, state: row.state, from: momentText(row.from, from), to: momentText(row.to, to), values }).toEqual(line)
  }
  expect(before).toBeGreaterThan(0)
  for (const { lsn, rows: shown } of audit.shown) {
    const at = walPosition(parseLsn(lsn)!)
    if (at > consistentAt) expect(validAt(rows, at)).toEqual(shown)
  }
}

function isBefore(tx: Tx | 'before' | undefined, start: number): boolean {
  return tx instanceof Tx && tx.before < start && tx.after <= start
}

function placeOf({ file, block, offset, xmin }: HistoryRow): string {
  return `${file} (${block},${offset}) ${xmin}`
}

async function checkHistory(audit: Audit, { base, wal }: Place): Promise<void> {
  const history = await openHistory({ source: base, wal, table: 'audit.rows', database: 'postgres' })
  const rows = [...history.rows()]
  await checkExport(audit, history, base)
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
  damageFirstPage(base, audit.versions[0]!.file)
  await expect(openHistory({ source: base, wal, table: 'audit.rows', database: 'postgres' })).rejects.toThrow('history.page')
}

function lsnOf(moment: Moment | undefined): number {
  return moment === undefined || moment === 'before' ? 0 : moment.lsn
}

/** So that its checksum tells. */
function damageFirstPage(base: string, file: number): void {
  const path = readdirSync(join(base, 'base')).map((database) => join(base, 'base', database, String(file))).find((name) => existsSync(name))!
  const bytes = readFileSync(path)
  bytes[5000]! ^= 1
  writeFileSync(path, bytes)
}

/** The rows that were valid at a position, by their own account. */
function validAt(rows: readonly HistoryRow[], lsn: number): (string | null)[][] {
  return rows.filter(({ from, to }) => from !== undefined && lsnOf(from) <= lsn && (to === undefined || lsnOf(to) > lsn))
    .map(({ block, offset, values }) => [`(${block},${offset})`, ...values.map((value) => value ?? null)])
}

function compareVersions(rows: readonly HistoryRow[], versions: readonly Version[]): void {
  const expected = new Map<string, { line: Line; version: Version }>()
  for (const version of versions) {
    const place = `${version.file} ${version.ctid} ${version.xmin}`
    expect(expected.has(place), place).toBe(false)
    expected.set(place, { line: lineOf(place, version), version })
  }
  const found = rows.map((row): Line => {
    const place = placeOf(row)
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
