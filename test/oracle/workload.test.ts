import { describe, expect, it } from 'vitest'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo, zooTables } from '../support/zoo.ts'

/** Types that no column of the zoo has: they exist only inside indexes. */
const NOT_STORABLE = ['_gtsvector', 'gtsvector', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary']

/** States a tuple or line pointer of schema mvcc must be found in, as conditions on pageinspect's heap_page_items. */
const STATES: Record<string, string> = {
  'unused line pointer': 'lp_flags = 0',
  'redirect': 'lp_flags = 2',
  'dead line pointer': 'lp_flags = 3',
  'xmin aborted': '(t_infomask & 768) = 512',
  'xmin frozen': '(t_infomask & 768) = 768',
  'xmin without hint': '(t_infomask & 768) = 0',
  'xmin of an aborted speculative insertion': "t_xmin = '0'",
  'speculative token': "t_ctid::text ~ ',65534'",
  'moved to another partition': "t_ctid = '(4294967295,65533)'",
  'stale ctid after an aborted update': "(t_infomask & 2048) <> 0 AND t_xmax = '0' AND t_ctid::text <> format('(%s,%s)', block, lp)",
  'deleted': '(t_infomask2 & 8192) <> 0 AND (t_infomask & 1024) <> 0',
  'aborted deleter': '(t_infomask2 & 8192) <> 0 AND (t_infomask & 2048) <> 0',
  'HOT updated': '(t_infomask2 & 16384) <> 0',
  'heap only': "(t_infomask2 & 32768) <> 0",
  'combo cid': '(t_infomask & 32) <> 0',
  'later command': "t_field3 > 3 AND (t_infomask & 32) = 0",
  'key share lock': '(t_infomask & 4304) = 144',
  'share lock': '(t_infomask & 4304) = 208',
  'exclusive lock': '(t_infomask & 4304) = 192',
  'multixact of lockers': '(t_infomask & 4224) = 4224',
  'multixact with an updater': '(t_infomask & 4224) = 4096',
  'external value': '(t_infomask & 4) <> 0',
  'no attributes': '(t_infomask2 & 2047) = 0',
  'fewer attributes than the table': '(t_infomask2 & 2047) < relnatts AND lp_flags = 1',
  'null bitmap of 200 bytes': 't_hoff >= 224',
  'largest tuple': 'lp_len = 8160',
}

describe.each(fewerMajors('majors of the WAL workload'))('Postgres %i', major => {
  it('loads the zoo, with a column of every built-in type', async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      await loadZoo(major, sql)
      const missing = await sql.rows(`
        SELECT typname FROM pg_type t WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
          AND (typelem = 0 OR typsubscript <> 'array_subscript_handler'::regproc
            OR typelem IN (SELECT oid FROM pg_type WHERE typtype <> 'c'))
          AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                          WHERE c.relnamespace = 'zoo'::regnamespace AND c.relkind = 'r' AND a.atttypid = t.oid)
          AND typname NOT IN ('_record', '_cstring')
        ORDER BY 1`)
      expect(missing.flat()).toEqual(NOT_STORABLE)
      for (const { name } of await zooTables(sql)) {
        if (name !== 'row_type') expect((await sql.copyOut(`zoo."${name}"`)).length, name).toBeGreaterThan(0)
      }
    })
  })

  it('runs the workload, which leaves every state on disk and survives a crash', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      const unfinished = await runWorkload(cluster)
      expect(await missingStates(sql)).toEqual([])
      await closeSessions(cluster)
      await cluster.kill()
      await cluster.start()
      const after = await connect(cluster)
      expect((await after.rows('SELECT gid FROM pg_prepared_xacts ORDER BY 1')).flat()).toEqual(unfinished.prepared.toSorted())
      for (const xid of unfinished.running) expect(await after.value(`SELECT pg_xact_status('${xid}')`)).toBe('aborted')
      for (const database of unfinished.databases) await (await connect(cluster, database)).close()
      await after.script('SET lock_timeout = 100; VACUUM mvcc.states; ANALYZE mvcc.multi')
    })
  })
})

async function missingStates(sql: Session): Promise<string[]> {
  await sql.exec('CREATE EXTENSION pageinspect')
  await sql.exec(`
    CREATE TEMP TABLE items AS SELECT c.relname, c.relnatts, block, i.* FROM pg_class c
      CROSS JOIN LATERAL generate_series(0, pg_relation_size(c.oid) / 8192 - 1) block
      CROSS JOIN LATERAL heap_page_items(get_raw_page(c.oid::regclass::text, block::int)) i
      WHERE relnamespace = 'mvcc'::regnamespace AND relkind IN ('r', 'm')
        AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock')`)
  const missing: string[] = []
  for (const [state, condition] of Object.entries(STATES)) {
    if (await sql.value(`SELECT count(*) FROM items WHERE ${condition}`) === '0') missing.push(state)
  }
  return missing
}
