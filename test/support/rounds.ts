/** A workload in rounds for lakes that grow: it changes tables in every way, also without WAL (hint bits), and prepares transactions that end rounds later. */
import type { Session } from './oracle.ts'
import type { Random } from './random.ts'

export const SETTINGS = { max_prepared_transactions: '5', autovacuum: 'off' }

export const SETUP = `
  CREATE TABLE plain (id int, v int, t text);
  CREATE TABLE wide (id int, doc text);
  ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
  CREATE UNLOGGED TABLE fleeting (id int);
  CREATE SEQUENCE counter;
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE TABLE feelings (m mood);
  CREATE TABLE deeds (id int, t text);
  CREATE TABLE parent (id int, day int) PARTITION BY RANGE (day);
  CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
  INSERT INTO plain SELECT i, i, repeat('x', 100) FROM generate_series(1, 20000) i;
  INSERT INTO wide SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 100) i;
  INSERT INTO fleeting SELECT generate_series(1, 500); INSERT INTO feelings SELECT 'sad' FROM generate_series(1, 100); INSERT INTO deeds SELECT generate_series(1, 400);
  INSERT INTO parent SELECT i, i % 100 FROM generate_series(1, 1000) i`

/** One database: the others do not change. */
export const filter = { databases: ['postgres'], tables: [] }

/** No other statement waits for the locks on its table. */
function prepare(sql: Session, random: Random, round: number): Promise<unknown> {
  const gid = `p${round}_${random.int(1e9)}`
  return sql.script(`BEGIN; INSERT INTO deeds SELECT ${round}, 'prepared' FROM generate_series(1, 200);
    DELETE FROM deeds WHERE ctid IN (SELECT ctid FROM deeds WHERE xmax = 0 LIMIT 3 OFFSET ${random.int(300)}); PREPARE TRANSACTION '${gid}'`)
}

/** What a round may do. */
export const STEPS: readonly ((sql: Session, random: Random, round: number) => Promise<unknown>)[] = [
  (sql, random) => sql.exec(`INSERT INTO plain SELECT i, i, repeat('y', 100) FROM generate_series(1, ${1 + random.int(500)}) i`),
  (sql, random) => sql.exec(`UPDATE plain SET v = v + 1 WHERE id = ${random.int(20000)}`),
  (sql, random) => sql.exec(`DELETE FROM plain WHERE id % 97 = ${random.int(97)}`),
  (sql) => sql.script('BEGIN; UPDATE plain SET v = -1 WHERE id < 300; ROLLBACK'),
  (sql) => sql.exec('SELECT count(*) FROM plain'),
  (sql) => sql.exec('VACUUM plain'),
  (sql) => sql.exec('VACUUM (FREEZE) plain'),
  (sql) => sql.exec('VACUUM FULL wide'),
  (sql) => sql.script('TRUNCATE fleeting; INSERT INTO fleeting SELECT generate_series(1, 700)'),
  (sql) => sql.exec('DELETE FROM plain WHERE id > 15000'),
  (sql, random) => sql.exec(`INSERT INTO wide SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, ${1 + random.int(50)}) i`),
  (sql) => sql.exec("SELECT nextval('counter')"),
  (sql, _, round) => sql.script(`ALTER TABLE plain ADD COLUMN c${round} int DEFAULT ${round}; INSERT INTO plain (id) SELECT generate_series(1, 10)`),
  (sql, _, round) => sql.script(`ALTER TABLE plain ADD COLUMN d${round} text; UPDATE plain SET d${round} = 'x' WHERE id < 50`),
  (sql, _, round) => sql.script(`ALTER TABLE wide ADD COLUMN gone${round} int; ALTER TABLE wide DROP COLUMN gone${round}; ALTER TABLE wide RENAME TO wider; ALTER TABLE wider RENAME TO wide`),
  (sql, _, round) => sql.exec(`ALTER TYPE mood ADD VALUE 'm${round}'`),
  (sql, _, round) => sql.script(`CREATE TABLE "new${round}" AS SELECT generate_series(1, 300) AS i`),
  (sql, _, round) => sql.script(`DROP TABLE IF EXISTS "new${round - 1}"`),
  (sql, random) => sql.exec(`ALTER TABLE parent ALTER id TYPE ${random.pick(['bigint', 'int'])}`),
  (sql) => sql.exec('SELECT * FROM wide WHERE id = 1 FOR UPDATE'),
  (sql) => sql.exec('SELECT count(*) FROM deeds'),
  prepare,
  prepare,
]

/** No step twice: what it makes in a round is there then. */
export function fourOf<T>(steps: readonly T[], random: Random): T[] {
  const left = [...steps]
  return Array.from({ length: 4 }, () => left.splice(random.int(left.length), 1)[0]!)
}

/** Those of earlier rounds end, in one way or the other: rows of pages that nobody touches become visible, or stay hidden. */
export async function endPrepared(sql: Session, random: Random): Promise<void> {
  for (const [gid] of await sql.rows('SELECT gid FROM pg_prepared_xacts')) {
    if (random.chance(60)) await sql.exec(`${random.chance(60) ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`)
  }
}
