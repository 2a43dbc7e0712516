/** The parts of the WAL workload that need several sessions, other databases, tablespaces, another server setting or a crash. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import { type PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, type Session } from './oracle.ts'

const WAL_PAGE = 8192
const WAL_SEGMENT = 16 << 20

/** COPY in every form: onto new pages, onto pages that have rows, frozen, in several batches. */
export async function copies(sql: Session): Promise<void> {
  const lines = (first: number, count: number, width: number) =>
    Array.from({ length: count }, (_, i) => `${first + i}\t${String.fromCharCode(97 + i % 26).repeat(1 + i * 7 % width)}\n`).join('')
  await sql.exec('CREATE TABLE copied (id int, v text); CREATE INDEX ON copied (id)')
  await sql.copyIn('copied', lines(1, 30, 20))
  await sql.copyIn('copied', lines(100, 3000, 200))
  await sql.exec('DELETE FROM copied WHERE id % 3 = 0')
  await sql.exec('VACUUM copied')
  await sql.copyIn('copied', lines(10000, 500, 900))
  await sql.exec('BEGIN; CREATE TABLE copied_frozen (id int, v text)')
  await sql.copyIn('copied_frozen', lines(1, 700, 100), 'WITH (FREEZE)')
  await sql.exec('COMMIT')
  await sql.exec('BEGIN; TRUNCATE copied_frozen')
  await sql.copyIn('copied_frozen', lines(1, 300, 3000), 'WITH (FREEZE)')
  await sql.exec('COMMIT; UPDATE copied_frozen SET v = 1 WHERE id % 50 = 0')
  await sql.exec('BEGIN')
  await sql.copyIn('copied', lines(50000, 100, 30))
  await sql.exec('ROLLBACK')
}

/** More multixacts than fit on one page of pg_multixact, members of every kind, freezing, and the end of all old ones. */
export async function multixacts(cluster: PostgresServer): Promise<void> {
  const [sql, a, b] = [await connect(cluster, 'wal'), await connect(cluster, 'wal'), await connect(cluster, 'wal')]
  await a.exec('BEGIN; SELECT FROM shared_rows FOR KEY SHARE')
  await b.exec('BEGIN; CALL many_multixacts(1, 2200)')
  await a.exec('SELECT FROM shared_rows WHERE id <= 20 FOR SHARE; SAVEPOINT s; SELECT FROM shared_rows WHERE id > 80 FOR NO KEY UPDATE; ROLLBACK TO s')
  await b.exec('UPDATE shared_rows SET a = -a WHERE id BETWEEN 30 AND 60; SAVEPOINT t; UPDATE shared_rows SET a = 0 WHERE id BETWEEN 55 AND 70; ROLLBACK TO t')
  await sql.exec('VACUUM shared_rows')
  await b.exec('COMMIT')
  await sql.exec('VACUUM (FREEZE) shared_rows')
  await sql.exec('UPDATE shared_rows SET a = a + 1 WHERE id > 20 AND id % 10 = 0')
  await a.exec('COMMIT; BEGIN; SELECT FROM shared_rows WHERE id < 10 FOR UPDATE')
  await b.exec('BEGIN; SELECT FROM shared_rows WHERE id > 10 FOR KEY SHARE; DELETE FROM shared_rows WHERE id = 99')
  await Promise.all([a.exec('ROLLBACK'), b.exec('COMMIT')])
  await Promise.all([sql.close(), a.close(), b.close()])
  await (await connect(cluster)).exec('ALTER DATABASE template0 ALLOW_CONNECTIONS true')
  for (const database of ['template0', 'template1', 'template_of_others', 'wal', 'postgres']) {
    const session = await connect(cluster, database)
    await session.exec('VACUUM (FREEZE)')
    await session.close()
  }
  await (await connect(cluster)).exec('ALTER DATABASE template0 ALLOW_CONNECTIONS false')
}

/** Sessions in each other's way, with VACUUM among them; what they do is seeded, in which order is not. */
export async function concurrently(cluster: PostgresServer, seed: number, checkpoint = true): Promise<void> {
  const sessions = await Promise.all(Array.from({ length: 6 }, () => connect(cluster, 'wal')))
  const [vacuum, ...workers] = sessions as [Session, ...Session[]]
  const calls = workers.map((session, i) => session.exec(`CALL ${i < 2 ? 'tpcb' : 'churn'}(500, ${Math.sin(seed * 10 + i)})`))
  let running = true
  const done = Promise.all(calls).finally(() => { running = false })
  for (let i = 0; running && i < 1000; i++) {
    const table = ['churned', 'branches', 'tellers', 'accounts', 'history'][i % 5]
    await vacuum.exec(i % 3 === 2 ? `SELECT count(*) FROM ${table}` : `VACUUM ${i % 7 === 0 ? '(FREEZE) ' : ''}${table}`)
    if (i === 4 && checkpoint) await vacuum.exec('CHECKPOINT')
  }
  await done
  await Promise.all(sessions.map(session => session.close()))
}

/** @returns the folders of the tablespaces, the dropped one's too: a recovery of this WAL needs them, empty */
export async function tablespaceRelations(cluster: PostgresServer): Promise<string[]> {
  const folders = [await cluster.makeDir('tablespace kept'), await cluster.makeDir('tablespace dropped')]
  const sql = await connect(cluster, 'wal')
  await sql.script(`
    CREATE TABLESPACE kept LOCATION '${folders[0]}'; CREATE TABLESPACE dropped LOCATION '${folders[1]}';
    CREATE TABLE in_kept (id int PRIMARY KEY, v text) TABLESPACE kept; INSERT INTO in_kept SELECT i, repeat('k', i) FROM generate_series(1, 300) i;
    CREATE TABLE in_dropped (id int PRIMARY KEY, v text) TABLESPACE dropped; INSERT INTO in_dropped SELECT i, 'd' FROM generate_series(1, 300) i;
    DELETE FROM in_dropped WHERE id % 7 = 0; VACUUM in_dropped;
    ALTER TABLE in_dropped SET TABLESPACE pg_default; ALTER INDEX in_dropped_pkey SET TABLESPACE kept;
    DROP TABLESPACE dropped; UPDATE in_dropped SET v = 'moved' WHERE id % 5 = 0;
    BEGIN; ALTER TABLE in_kept SET TABLESPACE pg_default; ROLLBACK; UPDATE in_kept SET v = 'updated' WHERE id % 6 = 0;
    CREATE DATABASE moving TABLESPACE kept; ALTER DATABASE moving SET TABLESPACE pg_default`)
  await (await connect(cluster, 'template_of_others')).exec('CREATE INDEX ON inherited (id) TABLESPACE kept')
  await sql.close()
  return folders
}

/** Databases made both ways, changed, dropped; a template with rows of its own. */
export async function databases(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  const strategies = cluster.major >= 15 ? ['STRATEGY wal_log', 'STRATEGY file_copy'] : ['']
  await (await connect(cluster, 'template_of_others')).script(`UPDATE inherited SET v = 'changed' WHERE id % 4 = 0; SELECT nextval('numbers')`)
  await closeOthers(sql)
  for (const [i, strategy] of strategies.entries()) {
    await sql.script(`CREATE DATABASE made_${i} TEMPLATE template_of_others ${strategy}; CREATE DATABASE dropped_${i} TEMPLATE template_of_others ${strategy}`)
    for (const name of [`made_${i}`, `dropped_${i}`]) {
      const other = await connect(cluster, name)
      await other.script(`UPDATE inherited SET v = v || 'in ' || current_database() WHERE id % 3 = 0; DELETE FROM inherited WHERE id % 7 = 0; VACUUM inherited;
        SELECT nextval('numbers') FROM generate_series(1, 40); CREATE TABLE own (id int); INSERT INTO own SELECT generate_series(1, 100); VACUUM FULL pg_class`)
      await other.close()
    }
    await sql.exec(`DROP DATABASE dropped_${i}`)
  }
  await sql.close()
}

/** A template may have no sessions; those that were closed need a moment. */
async function closeOthers(sql: Session): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    await sql.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'template_of_others'")
    if (await sql.value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'template_of_others'") === '0') return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error('sessions on the template stay')
}

/** full_page_writes the other way round for a while; an online backup, which forces full pages. */
export async function settings(cluster: PostgresServer, fullPageWrites: boolean): Promise<void> {
  const sql = await connect(cluster, 'wal')
  const change = 'UPDATE accounts SET abalance = abalance + 1 WHERE aid % 20 = 0; INSERT INTO history SELECT 1, 1, i, 0, now() FROM generate_series(1, 50) i'
  await setFullPageWrites(sql, !fullPageWrites)
  await sql.script(`CHECKPOINT; ${change}; UPDATE seen SET a = a + 1 WHERE id % 30 = 0`)
  await setFullPageWrites(sql, fullPageWrites)
  const [start, stop] = cluster.major === 14
    ? ["pg_start_backup('wal', true, false)", 'pg_stop_backup(false, false)']
    : ["pg_backup_start('wal', true)", 'pg_backup_stop(false)']
  await sql.script(`${change}; SELECT ${start}; ${change}; SELECT ${stop}; CHECKPOINT; ${change}`)
  await sql.close()
}

async function setFullPageWrites(sql: Session, on: boolean): Promise<void> {
  await sql.exec(`ALTER SYSTEM SET full_page_writes = ${on}`)
  await sql.exec('SELECT pg_reload_conf()')
  for (let tries = 0; (await sql.value('SHOW full_page_writes') === 'on') !== on; tries++) {
    if (tries === 500) throw new Error('full_page_writes does not change')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  await sql.exec('CHECKPOINT')
}

/** SIGKILL with transactions open, then a start with another value of a setting that the WAL tells; as a standby that is promoted, if asked for. */
export async function crash(cluster: PostgresServer, promotes = false): Promise<void> {
  const [sql, open] = [await connect(cluster, 'wal'), await connect(cluster, 'wal')]
  await open.exec(`BEGIN; UPDATE accounts SET abalance = 1 WHERE aid BETWEEN 500 AND 600; DELETE FROM tellers WHERE tid > 40;
    CREATE TABLE lost (id int, v text);
    INSERT INTO lost SELECT i, repeat('x', 3000) FROM generate_series(1, 50) i`)
  await sql.exec("CHECKPOINT; INSERT INTO history SELECT 2, 2, i, 0, now(), 'before the crash' FROM generate_series(1, 300) i")
  const end = await sql.value("SELECT pg_logical_emit_message(false, 'wal', repeat('torn', 8000))")
  await sql.exec('SELECT pg_switch_wal()')
  await cluster.kill()
  await closeSessions(cluster)
  tearWal(cluster, walPosition(parseLsn(end ?? '') ?? 0n))
  if (promotes) await startPromoted(cluster)
  else await cluster.start({ max_worker_processes: '9' })
  const after = await connect(cluster, 'wal')
  await after.script(`UPDATE accounts SET abalance = 2 WHERE aid BETWEEN 550 AND 650; SELECT count(*) FROM accounts;
    INSERT INTO unlogged (v) VALUES ('after the crash');
    VACUUM accounts; UPDATE tellers SET tbalance = 0 WHERE tid > 30`)
  await after.close()
}

/** As if the last pages of a long record that ends at `end`, and all behind them, had not reached the disk: an overwritten continuation record. */
function tearWal(cluster: PostgresServer, end: WalPosition): void {
  const dir = join(cluster.dataDir, 'pg_wal')
  const torn = end - WAL_PAGE - end % WAL_PAGE
  const segment = torn - torn % WAL_SEGMENT
  const number = (position: number) => position.toString(16).toUpperCase().padStart(8, '0')
  const name = `00000001${number(Math.floor(segment / 0x100000000))}${number(segment % 0x100000000 / WAL_SEGMENT)}`
  for (const file of readdirSync(dir).filter((found) => /^[0-9A-F]{24}$/.test(found) && found >= name)) {
    const bytes = readFileSync(join(dir, file))
    writeFileSync(join(dir, file), bytes.fill(0, file === name ? torn - segment : 0))
  }
}

/** The server goes on, on a new timeline. */
async function startPromoted(cluster: PostgresServer): Promise<void> {
  writeFileSync(join(cluster.dataDir, 'standby.signal'), '', { mode: 0o666 })
  let starting = true
  const started = cluster.start({ max_worker_processes: '9', hot_standby: 'off' }).finally(() => { starting = false })
  while (starting) {
    await new Promise(resolve => setTimeout(resolve, 50))
    // What pg_ctl promote does: before the server handles signals it would die of this one.
    if (!/consistent recovery state reached|entering standby mode/.test(readFileSync(cluster.logFile, 'utf8').slice(-2000))) continue
    writeFileSync(join(cluster.dataDir, 'promote'), '')
    if (starting && cluster.pid !== undefined) process.kill(cluster.pid, 'SIGUSR1')
  }
  await started
}
