/**
 * WAL of TPC-B transactions, as pgbench runs them, and the data directory they began with: made once per size and major, kept beside the tables.
 *
 *     $LTAP_BENCH_DIR/
 *       tpcb-17-smoke-v1.json           names the folder and says what is in it; written last, so it is whole
 *       tpcb-XXXXXX/base                the data directory, cleanly shut down before the first transaction
 *       tpcb-XXXXXX/wal                 pg_wal after the last one; its server was killed
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PgMajor } from '../src/common/pgversion.ts'
import { PostgresServer } from '../src/server/postgres.ts'
import { copyDataDir } from '../src/server/postgresdatadir.ts'
import { benchDir } from './data.ts'
import { withClient } from './server.ts'
import type { BenchSize } from './tables.ts'

const VERSION = 1
const CLIENTS = 4

/** pgbench's -s, and how many transactions there are. */
const SCALE: Record<BenchSize, { branches: number; transactions: number }> = {
  smoke: { branches: 2, transactions: 60_000 },
  full: { branches: 10, transactions: 400_000 },
}

export const TPCB_SETTINGS = {
  shared_buffers: '512MB', autovacuum: 'off', fsync: 'off', synchronous_commit: 'off', max_wal_size: '16GB', wal_keep_size: '16GB',
  checkpoint_timeout: '1d', jit: 'off',
}

export interface TpcbWal {
  base: string
  wal: string
  transactions: number
}

export async function tpcbWal(size: BenchSize, major: PgMajor): Promise<TpcbWal> {
  const marker = join(benchDir(), `tpcb-${major}-${size}-v${VERSION}.json`)
  if (existsSync(marker)) {
    const made = JSON.parse(readFileSync(marker, 'utf8')) as TpcbWal
    if (existsSync(join(made.base, 'PG_VERSION'))) return made
  }
  const { branches, transactions } = SCALE[size]
  process.stderr.write(`making the WAL of ${transactions} TPC-B transactions in ${benchDir()}\n`)
  mkdirSync(benchDir(), { recursive: true })
  const folder = mkdtempSync(join(benchDir(), 'tpcb-'))
  const made = { base: join(folder, 'base'), wal: join(folder, 'wal'), transactions }
  const server = await PostgresServer.create({ major, parentDir: benchDir(), settings: TPCB_SETTINGS })
  try {
    await server.start()
    await withClient(server, (client) => client.query(tables(branches)))
    await withClient(server, (client) => client.query('VACUUM'))
    await server.stop()
    await copyDataDir(server.dataDir, made.base)
    await server.start()
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => withClient(server, async (sql) => {
      await sql.query(`SELECT setseed(${(client + 1) / 10})`)
      await sql.query(`CALL tpcb(${transactions / CLIENTS}, ${branches})`)
    })))
    await withClient(server, (client) => client.query('SELECT pg_switch_wal()'))
    await server.kill()
    cpSync(join(server.dataDir, 'pg_wal'), made.wal, { recursive: true })
  } finally {
    await server.remove()
  }
  writeFileSync(`${marker}.new`, JSON.stringify(made))
  renameSync(`${marker}.new`, marker)
  return made
}

/** pgbench's tables, filled, and its transaction as a procedure that commits each one. */
function tables(branches: number): string {
  return `
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    INSERT INTO pgbench_branches SELECT b, 0, '' FROM generate_series(1, ${branches}) b;
    INSERT INTO pgbench_tellers SELECT t, (t - 1) / 10 + 1, 0, '' FROM generate_series(1, ${branches * 10}) t;
    INSERT INTO pgbench_accounts SELECT a, (a - 1) / 100000 + 1, 0, '' FROM generate_series(1, ${branches * 100_000}) a;
    CREATE PROCEDURE tpcb(transactions int, branches int) LANGUAGE plpgsql AS $$
    DECLARE aid_ int; bid_ int; tid_ int; delta_ int;
    BEGIN
      FOR i IN 1..transactions LOOP
        aid_ := 1 + floor(random() * branches * 100000); bid_ := 1 + floor(random() * branches);
        tid_ := 1 + floor(random() * branches * 10); delta_ := floor(random() * 10001) - 5000;
        UPDATE pgbench_accounts SET abalance = abalance + delta_ WHERE aid = aid_;
        PERFORM abalance FROM pgbench_accounts WHERE aid = aid_;
        UPDATE pgbench_tellers SET tbalance = tbalance + delta_ WHERE tid = tid_;
        UPDATE pgbench_branches SET bbalance = bbalance + delta_ WHERE bid = bid_;
        INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (tid_, bid_, aid_, delta_, clock_timestamp());
        COMMIT;
      END LOOP;
    END $$;`
}
