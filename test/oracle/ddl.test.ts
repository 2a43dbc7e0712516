/** One seed of test/long/ddl.test.ts on one server: random DDL, DML, savepoints and two-phase commit. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DdlWorkload } from '../support/ddl.ts'
import { checkLake, checkVisible } from '../support/ddlcheck.ts'
import { Random } from '../support/random.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'

const SEED = 1

test('any DDL leaves a lake that holds every page and every visible row', async () => {
  const workload = new DdlWorkload(new Random(SEED))
  await withFolder((folder) => withCluster(majors().at(-1)!, { settings: { max_prepared_transactions: '20' } }, async (cluster) => {
    await workload.open(cluster, true)
    await workload.run(200)
    await cluster.stop('fast')
    await closeSessions(cluster)
    const lake = join(folder, 'lake')
    const { manifest, problems } = await checkLake(cluster, lake, { databases: ['postgres'], tables: [] })
    await cluster.start()
    problems.push(...await checkVisible(cluster, lake, manifest))
    expect(problems.slice(0, 20), `seed ${SEED}`).toEqual([])
    for (const kind of KINDS) expect([kind, workload.done.get(kind) ?? 0]).not.toEqual([kind, 0])
  }))
})

/** Kinds that any run of this length has. */
const KINDS = ['INSERT', 'UPDATE', 'ADD DEFAULT', 'DROP COLUMN', 'GHOST', 'PREPARE', 'ROLLBACK TO', 'VACUUM FULL']

test('a second lake of the same process shows what was committed since the first', async () => {
  await withFolder((folder) => withCluster(majors().at(-1)!, {}, async (cluster, sql) => {
    await sql.exec('CREATE SCHEMA ddl; CREATE TABLE ddl.t (id int); INSERT INTO ddl.t VALUES (1)')
    for (const round of ['one', 'two']) {
      const session = await connect(cluster)
      await session.exec(`UPDATE ddl.t SET id = id + 1; INSERT INTO ddl.t VALUES (${round.length})`)
      await cluster.stop('fast')
      await closeSessions(cluster)
      const lake = join(folder, round)
      const { manifest, problems } = await checkLake(cluster, lake, { databases: ['postgres'], tables: ['ddl.t'] })
      await cluster.start()
      expect([...problems, ...await checkVisible(cluster, lake, manifest)]).toEqual([])
    }
  }))
})

describe('what the random runs found or might have', () => {
  /** Runs a script in schema ddl; resolves to what the lake gets wrong. */
  function problemsOf(script: string): Promise<string[]> {
    return withFolder((folder) => withCluster(majors().at(-1)!, {}, async (cluster, sql) => {
      await sql.script(`CREATE SCHEMA ddl; SET search_path = ddl; CREATE TABLE t (); DROP TABLE t; ${script}`)
      await cluster.stop('fast')
      await closeSessions(cluster)
      const lake = join(folder, 'lake')
      const { manifest, problems } = await checkLake(cluster, lake, { databases: ['postgres'], tables: ['ddl.t'] })
      await cluster.start()
      return [...problems, ...await checkVisible(cluster, lake, manifest)]
    }))
  }

  test('a value in a TOAST relation that only a prepared transaction knows', async () => {
    expect(await problemsOf(`
      CREATE TABLE t (v varchar(10)); INSERT INTO t VALUES ('before');
      BEGIN; ALTER TABLE t ALTER v TYPE text;
      INSERT INTO t SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i; PREPARE TRANSACTION 'p'`)).toEqual([])
  })

  test('missing values of every shape', async () => {
    expect(await problemsOf(`
      CREATE TYPE pair AS (a int, b text); CREATE TABLE t (i int); INSERT INTO t VALUES (1);
      ALTER TABLE t ADD p pair DEFAULT ROW(1, repeat('x', 3000)), ADD q text[] DEFAULT ARRAY['a', NULL], ADD r name DEFAULT 'abc', ADD s "char" DEFAULT 'x',
        ADD x timetz DEFAULT '12:00+02', ADD y char(5) DEFAULT 'a', ADD z money DEFAULT 12, ADD n numeric DEFAULT 'NaN', ADD nn numeric DEFAULT 1.2345678901234,
        ADD b boolean DEFAULT true, ADD k smallint DEFAULT -2, ADD f float8 DEFAULT 'NaN', ADD u uuid DEFAULT md5('')::uuid, ADD e date DEFAULT 'infinity';
      ALTER TABLE t ALTER k TYPE smallint, DROP r; INSERT INTO t (i) VALUES (2); UPDATE t SET i = 3 WHERE i = 1; INSERT INTO t VALUES (4)`)).toEqual([])
  })
})
