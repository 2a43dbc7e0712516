/**
 * A workload that makes a server write every kind of record that matters to heap pages: what one session can do (walworkloadsql.ts), what
 * needs several of them, other databases, tablespaces, a crash, a changed setting. Runs on 14 to 18.
 */
import { type PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect } from './oracle.ts'
import { concurrently, copies, crash, databases, multixacts, settings, tablespaceRelations } from './walworkloadsessions.ts'
import * as scripts from './walworkloadsql.ts'
import { runWorkload } from './workload.ts'

export interface WalWorkloadOptions {
  /** Repeats what is random or concurrent so many times; 1 takes about 6 s. */
  rounds?: number
  seed?: number
  /** Whether wal_level is logical: a slot exists, catalogs are rewritten under it. */
  logical?: boolean
  /** In the middle, the server becomes a standby and is promoted: the WAL goes on on another timeline. */
  promotes?: boolean
  /** How many transaction ids to use up: 32,768 make a page of pg_xact, a million a segment, which is then removed. */
  xids?: number
  /** The server's setting: it is changed for a while, and back. */
  fullPageWrites?: boolean
}

/** Made before the base copy is taken: relations that redo finds. */
export async function prepareWalWorkload(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  await sql.exec('CREATE DATABASE wal')
  const wal = await connect(cluster, 'wal')
  await wal.script(scripts.PREPARE)
  await sql.exec('CREATE DATABASE template_of_others')
  const other = await connect(cluster, 'template_of_others')
  await other.script(`CREATE TABLE inherited (id int PRIMARY KEY, v text);
    INSERT INTO inherited SELECT i, repeat(md5(i::text), i) FROM generate_series(1, 100) i;
    CREATE SEQUENCE numbers; SELECT nextval('numbers'); CREATE UNLOGGED TABLE forgotten (id int); INSERT INTO forgotten VALUES (1)`)
  await closeSessions(cluster)
}

/** @returns the folders of the tablespaces that it made; a recovery of the same WAL uses the same folders, and wants them empty */
export async function runWalWorkload(cluster: PostgresServer, options: WalWorkloadOptions = {}): Promise<{ tablespaces: string[] }> {
  const { rounds = 1, seed = 1, logical = false, fullPageWrites = true } = options
  const sql = await connect(cluster, 'wal')
  await sql.script(scripts.PROCEDURES)
  await sql.script(`${scripts.CLEAR_VISIBLE}; VACUUM (FREEZE) seen; ${scripts.CLEAR_VISIBLE}`)
  await sql.script(scripts.PRUNE_AND_VACUUM)
  await sql.script(scripts.TOAST)
  await sql.script(scripts.SEQUENCES)
  if (cluster.major >= 15) await sql.script(scripts.UNLOGGED_SEQUENCES)
  await sql.script(scripts.INDEXES)
  await copies(sql)
  await sql.exec(`CALL many_xids(${options.xids ?? 33000})`)
  await multixacts(cluster)
  // Not before: it holds back what can be frozen in catalogs, and so the end of old transactions.
  if (logical) await sql.exec("SELECT pg_create_logical_replication_slot('logical', 'pgoutput')")
  for (let round = 0; round < rounds; round++) await concurrently(cluster, seed + round)
  await sql.script(scripts.DDL)
  await sql.script(scripts.TWO_PHASE)
  await sql.script(scripts.MARKS)
  const tablespaces = await tablespaceRelations(cluster)
  await databases(cluster)
  await settings(cluster, fullPageWrites)
  await crash(cluster, options.promotes)
  await runWorkload(cluster)
  const after = await connect(cluster, 'wal')
  await after.script(`${scripts.CLEAR_VISIBLE}; VACUUM (FREEZE); SELECT count(*) FROM churned; INSERT INTO history VALUES (1, 1, 1, 1, now(), 'the last one')`)
  const folders = await after.rows("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%'")
  return { tablespaces: [...new Set([...tablespaces, ...folders.map(([folder]) => folder ?? '')])] }
}
