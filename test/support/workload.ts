/**
 * A cluster in every state that a data directory can be in: fixtures/sql/mvcc.sql, then what needs several sessions (multixacts,
 * waiting, speculative insertion), other databases and tablespaces, and what is left unfinished (running and prepared transactions).
 */
import { type PostgresServer } from '../../src/server/postgres.ts'
import { type Session, connect } from './oracle.ts'
import { readFixture } from './zoo.ts'

/** What {@link runWorkload} leaves unfinished; stop('fast') aborts the running transactions, kill() leaves them as they are on disk. */
export interface Unfinished {
  databases: string[]
  /** Global ids of the prepared transactions; they survive every restart. */
  prepared: string[]
  /** Xids of running transactions. */
  running: string[]
  /** Tables that prepared or running DDL locks: reading them with SQL waits until the transaction ends. */
  locked: string[]
}

/** About 3 s. Every page is on disk at the end (CHECKPOINT), with the transactions still running. */
export async function runWorkload(cluster: PostgresServer): Promise<Unfinished> {
  const sql = await connect(cluster)
  await sql.script(readFixture('mvcc.sql'))
  await copyFrozen(cluster)
  await makeMultixacts(cluster)
  await conflictSpeculatively(cluster)
  await makeTablespaces(cluster)
  await makeDatabases(cluster)
  const prepared = await prepareTransactions(cluster)
  const running = await leaveRunning(cluster)
  await sql.script('VACUUM mvcc.pruned; VACUUM (FREEZE) mvcc.multi_frozen; SELECT pg_switch_wal(); CHECKPOINT')
  return { databases: ['postgres', 'other_latin1', 'other_ascii', 'elsewhere'], prepared, running, locked: LOCKED }
}

const LOCKED = [
  'mvcc.prepared_altered', 'mvcc.prepared_retyped', 'mvcc.prepared_truncated', 'mvcc.prepared_dropped', 'mvcc.running_altered',
]

/** Starts a statement that has to wait for a lock; resolves when it does. Await `.done` for its end. */
export async function startWaiting(cluster: PostgresServer, session: Session, statement: string): Promise<{ done: Promise<void> }> {
  const pid = await session.value('SELECT pg_backend_pid()')
  const done = session.exec(statement)
  // Failing while we look at the other session must not end the process; the test that awaits `done` sees it.
  done.catch(() => {})
  const watcher = await connect(cluster)
  for (let tries = 0; ; tries++) {
    const waiting = await watcher.value(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${pid} AND wait_event_type = 'Lock'`)
    if (waiting === '1') break
    if (tries === 500) throw new Error(`does not wait for a lock: ${statement}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  await watcher.close()
  return { done }
}

async function copyFrozen(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  const lines = Array.from({ length: 300 }, (_, i) => `${i}\tfrozen from birth ${i}\n`).join('')
  await sql.exec('BEGIN; CREATE TABLE mvcc.copy_frozen (id int, v text)')
  await sql.copyIn('mvcc.copy_frozen', lines, 'WITH (FREEZE)')
  await sql.exec('COMMIT; CREATE TABLE mvcc.copied (id int, v text)')
  await sql.copyIn('mvcc.copied', lines)
  await sql.close()
}

/** Row n of a table shows the n-th way in which several transactions can share one xmax. */
async function makeMultixacts(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE mvcc.multi (id int PRIMARY KEY, a int, b text);
    CREATE TABLE mvcc.multi_frozen (id int PRIMARY KEY, a int, b text)`)
  for (const table of ['mvcc.multi', 'mvcc.multi_frozen']) {
    await sql.exec(`INSERT INTO ${table} SELECT i, i, 'row ' || i FROM generate_series(1, 40) i`)
    await shareLocks(cluster, table)
    await updateUnderLocks(cluster, table)
    await lockUpdateChain(cluster, table)
  }
}

/** Lockers only: of one strength, of different strengths, with members that aborted, with subtransactions of one transaction. */
async function shareLocks(cluster: PostgresServer, table: string): Promise<void> {
  const [a, b, c] = await transactions(cluster, 3)
  const lock = (session: Session, id: number, strength: string) => session.exec(`SELECT FROM ${table} WHERE id = ${id} FOR ${strength}`)
  for (const session of [a, b]) await lock(session, 1, 'KEY SHARE').then(() => lock(session, 2, 'SHARE'))
  await lock(a, 3, 'KEY SHARE')
  await lock(b, 3, 'SHARE')
  for (const id of [1, 2, 3]) await lock(c, id, 'KEY SHARE')
  for (const session of [a, b, c]) await lock(session, 6, 'KEY SHARE').then(() => lock(session, 7, 'SHARE'))
  await lock(a, 4, 'KEY SHARE')
  await lock(b, 4, 'NO KEY UPDATE')
  await c.exec('SAVEPOINT s')
  await lock(c, 5, 'KEY SHARE')
  await c.exec('SAVEPOINT t')
  await lock(c, 5, 'NO KEY UPDATE')
  await c.exec('ROLLBACK TO t')
  await a.exec('COMMIT')
  await b.exec('ROLLBACK')
  await c.exec('COMMIT')
  await closeAll([a, b, c])
}

/** A locker and an updater or deleter on one row version, every outcome of both. */
async function updateUnderLocks(cluster: PostgresServer, table: string): Promise<void> {
  const outcomes = [['COMMIT', 'COMMIT'], ['COMMIT', 'ROLLBACK'], ['ROLLBACK', 'COMMIT'], ['ROLLBACK', 'ROLLBACK']] as const
  for (const [i, [locker, updater]] of outcomes.entries()) {
    const [a, b] = await transactions(cluster, 2)
    await a.exec(`SELECT FROM ${table} WHERE id IN (${10 + i}, ${14 + i}) FOR KEY SHARE`)
    await b.exec(`UPDATE ${table} SET b = 'updated while locked' WHERE id = ${10 + i}`)
    await b.exec(`SELECT FROM ${table} WHERE id = ${14 + i} FOR NO KEY UPDATE`)
    await b.exec(`SAVEPOINT s; UPDATE ${table} SET a = 0 WHERE id = ${14 + i}; RELEASE s`)
    const deletion = await startWaiting(cluster, b, `DELETE FROM ${table} WHERE id = ${14 + i}`)
    await a.exec(locker)
    await deletion.done
    await b.exec(updater)
    await closeAll([a, b])
  }
  // The lockers are gone, the next writer finds their multixact.
  await (await connect(cluster)).script(`
    UPDATE ${table} SET b = 'after a multixact' WHERE id = 1;
    DELETE FROM ${table} WHERE id = 2;
    BEGIN; UPDATE ${table} SET b = 'aborted' WHERE id = 3; ROLLBACK`)
}

/** Locking an old version while its update runs locks the newer versions too. */
async function lockUpdateChain(cluster: PostgresServer, table: string): Promise<void> {
  const [a, b, c] = await transactions(cluster, 3)
  await a.exec(`UPDATE ${table} SET b = 'first' WHERE id = 20; UPDATE ${table} SET b = 'second' WHERE id = 20`)
  await b.exec(`SELECT FROM ${table} WHERE id = 20 FOR KEY SHARE`)
  await c.exec(`SELECT FROM ${table} WHERE id = 20 FOR KEY SHARE`)
  await a.exec('COMMIT')
  await b.exec('COMMIT')
  await c.exec('ROLLBACK')
  await closeAll([a, b, c])
}

/**
 * A unique index on an expression that waits for an advisory lock at its n-th call shows both halves of a speculative insertion: the
 * first call looks for a conflict, the second one enters the index, after the tuple is in the heap.
 */
async function conflictSpeculatively(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE FUNCTION mvcc.slow_key(k text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF current_setting('mvcc.wait_at', true) <> '' THEN
        PERFORM set_config('mvcc.wait_at', (current_setting('mvcc.wait_at')::int - 1)::text, false);
        IF current_setting('mvcc.wait_at') = '0' THEN PERFORM pg_advisory_lock_shared(77); END IF;
      END IF;
      RETURN k;
    END $$;
    CREATE TABLE mvcc.speculative (k text, v text);
    CREATE UNIQUE INDEX ON mvcc.speculative (mvcc.slow_key(k));
    INSERT INTO mvcc.speculative VALUES ('present', 'x');
    SELECT pg_advisory_lock(77)`)
  const loser = await connect(cluster)
  await loser.exec(`SET mvcc.wait_at = 2; SET max_parallel_workers_per_gather = 0`)
  const losing = "INSERT INTO mvcc.speculative VALUES ('raced', repeat(md5('lost'), 300)) ON CONFLICT DO NOTHING"
  const insertion = await startWaiting(cluster, loser, losing)
  const winner = await connect(cluster)
  await winner.exec("INSERT INTO mvcc.speculative VALUES ('raced', 'won')")
  await sql.exec('SELECT pg_advisory_unlock(77)')
  await insertion.done
  await closeAll([loser, winner, sql])
}

async function makeTablespaces(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  const location = await cluster.makeDir('tablespace one')
  await sql.script(`
    CREATE TABLESPACE linked LOCATION '${location}';
    SET allow_in_place_tablespaces = on;
    CREATE TABLESPACE "in place" LOCATION '';
    CREATE TABLE mvcc.in_linked (id int PRIMARY KEY, v text) TABLESPACE linked;
    INSERT INTO mvcc.in_linked SELECT i, repeat('l', i * 40) FROM generate_series(1, 100) i;
    CREATE TABLE mvcc.in_place (id int) TABLESPACE "in place";
    INSERT INTO mvcc.in_place SELECT generate_series(1, 100);
    CREATE TABLE mvcc.changed_tablespace (id int, v text);
    INSERT INTO mvcc.changed_tablespace SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 20) i;
    ALTER TABLE mvcc.changed_tablespace SET TABLESPACE linked`)
  await sql.close()
}

/** Other encodings, with bytes that are no UTF-8, and a database whose files lie in a tablespace. */
async function makeDatabases(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE DATABASE other_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
    CREATE DATABASE other_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C';
    CREATE DATABASE elsewhere TEMPLATE template0 TABLESPACE linked`)
  await sql.close()
  for (const database of ['other_latin1', 'other_ascii', 'elsewhere']) {
    const other = await connect(cluster, database)
    await other.exec("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'plain'), (2, repeat('long ', 2000)), (3, NULL)")
    if (database === 'other_latin1') await other.exec("INSERT INTO t VALUES (4, 'äöü'), (5, chr(255))")
    if (database === 'other_ascii') await other.exec("INSERT INTO t VALUES (4, E'\\xff\\xfe'), (5, E'half \\xc3')")
    await other.close()
  }
}

/** Rows and definitions of transactions that are prepared and stay so. */
async function prepareTransactions(cluster: PostgresServer): Promise<string[]> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE mvcc.prepared (id int PRIMARY KEY, a int, v text);
    INSERT INTO mvcc.prepared SELECT i, i, 'row ' || i FROM generate_series(1, 20) i;
    CREATE TABLE mvcc.prepared_altered (id int, v text); INSERT INTO mvcc.prepared_altered VALUES (1, 'before');
    CREATE TABLE mvcc.prepared_retyped (id int, v text); INSERT INTO mvcc.prepared_retyped VALUES (1, '1');
    CREATE TABLE mvcc.prepared_truncated (id int, v text); INSERT INTO mvcc.prepared_truncated VALUES (1, 'before');
    CREATE TABLE mvcc.prepared_dropped (id int, v text); INSERT INTO mvcc.prepared_dropped VALUES (1, 'before')`)
  const locker = await connect(cluster)
  await locker.exec('BEGIN; SELECT FROM mvcc.prepared WHERE id IN (8, 9) FOR KEY SHARE')
  const bodies: Record<string, string> = {
    rows: `INSERT INTO mvcc.prepared VALUES (100, 1, 'prepared');
      UPDATE mvcc.prepared SET v = 'prepared' WHERE id = 1; DELETE FROM mvcc.prepared WHERE id = 2;
      SELECT FROM mvcc.prepared WHERE id = 3 FOR UPDATE; SELECT FROM mvcc.prepared WHERE id IN (4, 5) FOR KEY SHARE;
      UPDATE mvcc.prepared SET v = 'multi' WHERE id = 8;
      SAVEPOINT s; INSERT INTO mvcc.prepared VALUES (101, 1, 'subtransaction'); UPDATE mvcc.prepared SET a = 0 WHERE id = 6; RELEASE s;
      SAVEPOINT t; INSERT INTO mvcc.prepared VALUES (102, 1, 'rolled back'); UPDATE mvcc.prepared SET a = 0 WHERE id = 7; ROLLBACK TO t;
      INSERT INTO mvcc.prepared VALUES (103, 1, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i))`,
    created: `CREATE TABLE mvcc.prepared_created (id int PRIMARY KEY, v text); INSERT INTO mvcc.prepared_created VALUES (1, 'not yet');
      CREATE TYPE mvcc.prepared_type AS ENUM ('a')`,
    altered: "ALTER TABLE mvcc.prepared_altered ADD COLUMN w int DEFAULT 7; INSERT INTO mvcc.prepared_altered VALUES (2, 'after', 8)",
    retyped: 'ALTER TABLE mvcc.prepared_retyped ALTER COLUMN v TYPE int USING v::int; INSERT INTO mvcc.prepared_retyped VALUES (2, 2)',
    truncated: "TRUNCATE mvcc.prepared_truncated; INSERT INTO mvcc.prepared_truncated VALUES (2, 'after')",
    dropped: 'DROP TABLE mvcc.prepared_dropped',
  }
  for (const [gid, body] of Object.entries(bodies)) await sql.script(`BEGIN; ${body}; PREPARE TRANSACTION '${gid}'`)
  await locker.exec('COMMIT; BEGIN; SELECT FROM mvcc.prepared WHERE id IN (5, 8, 10) FOR KEY SHARE; COMMIT')
  await sql.script(`
    BEGIN; INSERT INTO mvcc.prepared VALUES (200, 1, 'committed prepared');
    PREPARE TRANSACTION 'done'; COMMIT PREPARED 'done';
    BEGIN; INSERT INTO mvcc.prepared VALUES (201, 1, 'rolled back prepared'); DELETE FROM mvcc.prepared WHERE id = 11;
    PREPARE TRANSACTION 'undone'; ROLLBACK PREPARED 'undone'`)
  await closeAll([sql, locker])
  return Object.keys(bodies)
}

/** Transactions that are still running when the server goes away; their sessions stay open. */
async function leaveRunning(cluster: PostgresServer): Promise<string[]> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE mvcc.running (id int PRIMARY KEY, a int, v text);
    INSERT INTO mvcc.running SELECT i, i, 'row ' || i FROM generate_series(1, 20) i;
    CREATE TABLE mvcc.running_altered (id int, v text); INSERT INTO mvcc.running_altered VALUES (1, 'before')`)
  const [a, b, c] = await transactions(cluster, 3)
  await a.script(`
    INSERT INTO mvcc.running VALUES (100, 1, 'running'), (101, 1, repeat(md5('x'), 400));
    UPDATE mvcc.running SET v = 'running' WHERE id = 1; DELETE FROM mvcc.running WHERE id = 2;
    SELECT FROM mvcc.running WHERE id = 3 FOR UPDATE; SELECT FROM mvcc.running WHERE id IN (4, 5) FOR KEY SHARE;
    SAVEPOINT s; UPDATE mvcc.running SET v = 'running subtransaction' WHERE id = 6;
    SAVEPOINT t; UPDATE mvcc.running SET v = 'rolled back' WHERE id = 7; ROLLBACK TO t;
    CREATE TEMP TABLE temporary (id int); INSERT INTO temporary VALUES (1)`)
  await b.script(`
    SELECT FROM mvcc.running WHERE id = 4 FOR KEY SHARE; UPDATE mvcc.running SET v = 'multi' WHERE id = 5;
    INSERT INTO mvcc.running VALUES (110, 1, 'b')`)
  await c.script(`
    CREATE TABLE mvcc.running_created (id int, v text); INSERT INTO mvcc.running_created VALUES (1, 'not yet');
    ALTER TABLE mvcc.running_altered ADD COLUMN w int DEFAULT 7; INSERT INTO mvcc.running_altered VALUES (2, 'after', 8)`)
  const running = await Promise.all([a, b, c].map(session => session.value('SELECT pg_current_xact_id()')))
  running.push(await leaveSpeculative(cluster))
  await sql.close()
  return running.map(xid => xid ?? '')
}

/** One insertion that stands between its heap tuple and its index entry. */
async function leaveSpeculative(cluster: PostgresServer): Promise<string | null> {
  const gate = await connect(cluster)
  await gate.exec('SELECT pg_advisory_lock(77)')
  const inserter = await connect(cluster)
  await inserter.exec('SET mvcc.wait_at = 2; BEGIN')
  const xid = await inserter.value('SELECT pg_current_xact_id()')
  await startWaiting(cluster, inserter, "INSERT INTO mvcc.speculative VALUES ('open', 'speculative token in ctid') ON CONFLICT DO NOTHING")
  return xid
}

type Three = [Session, Session, Session]

/** Sessions, each in a transaction of its own. */
async function transactions(cluster: PostgresServer, count: number): Promise<Three> {
  const sessions = await Promise.all(Array.from({ length: count }, () => connect(cluster)))
  for (const session of sessions) await session.exec('BEGIN')
  return sessions as Three
}

async function closeAll(sessions: Session[]): Promise<void> {
  await Promise.all(sessions.map(session => session.close()))
}
