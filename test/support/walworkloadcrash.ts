/** What a server does before it is killed: from one checkpoint on, with relations that are changed first and cut or removed later. */
import { type PostgresServer } from '../../src/server/postgres.ts'
import { connect } from './oracle.ts'
import { prepareWalWorkload } from './walworkload.ts'
import { concurrently, copies } from './walworkloadsessions.ts'
import * as scripts from './walworkloadsql.ts'

/** Settings under which the base copy is as far from the redo point as can be: pages leave the buffers early, no image repairs them. */
export const EAGER_SETTINGS = { shared_buffers: '2MB', bgwriter_delay: '10ms', bgwriter_lru_maxpages: '1000' }

export async function prepareCrash(cluster: PostgresServer): Promise<void> {
  await prepareWalWorkload(cluster)
  const sql = await connect(cluster, 'wal')
  await sql.script(scripts.PROCEDURES)
  await copies(sql)
  await sql.script(`CREATE TABLE vanishing (id int PRIMARY KEY, v text);
    INSERT INTO vanishing SELECT i, repeat('v', 500) FROM generate_series(1, 2000) i; CHECKPOINT`)
}

/** Ends with transactions open. */
export async function runUntilCrash(cluster: PostgresServer, seed = 1): Promise<{ tablespaces: string[] }> {
  const sql = await connect(cluster, 'wal')
  const withoutCheckpoints = (script: string) => script.replaceAll(/\bCHECKPOINT;/g, '')
  await sql.script(withoutCheckpoints(`
    ${scripts.CLEAR_VISIBLE}; VACUUM (FREEZE) seen; ${scripts.CLEAR_VISIBLE}; ${scripts.PRUNE_AND_VACUUM}; ${scripts.TOAST}; ${scripts.SEQUENCES}`))
  await concurrently(cluster, seed, false)
  await sql.script(withoutCheckpoints(scripts.DDL))
  await sql.script(withoutCheckpoints(scripts.TWO_PHASE))
  // Blocks and files that records before this change, and that the base copy no longer has.
  await sql.script(`
    UPDATE vanishing SET v = v || 'x' WHERE id % 3 = 0; DELETE FROM vanishing WHERE id > 100; VACUUM vanishing; UPDATE vanishing SET v = 'y';
    UPDATE copied SET v = 'changed' WHERE id % 3 = 1; DELETE FROM copied WHERE id % 5 = 0; DROP TABLE copied;
    UPDATE copied_frozen SET v = 'changed' WHERE id % 3 = 1; TRUNCATE copied_frozen; INSERT INTO copied_frozen VALUES (1, 'after');
    UPDATE tail SET v = 'changed'; DELETE FROM tail WHERE id > 5; VACUUM tail; SELECT setval('counted', 99)`)
  const open = await connect(cluster, 'wal')
  await open.exec(`BEGIN; UPDATE accounts SET abalance = 1 WHERE aid < 300; CREATE TABLE lost (id int, v text);
    INSERT INTO lost SELECT i, repeat('l', 900) FROM generate_series(1, 90) i`)
  await sql.exec("INSERT INTO history SELECT 3, 3, i, 0, now(), 'last' FROM generate_series(1, 100) i")
  return { tablespaces: [] }
}
