import { describe, expect, it } from 'vitest'
import { majors, withCluster } from '../support/oracle.ts'
import { loadZoo, zooTables } from '../support/zoo.ts'

/** Types that no column of the zoo has: gtsvector and the BRIN summaries exist only inside indexes. */
const NOT_STORABLE = ['gtsvector', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary']

describe.each(majors())('Postgres %i', major => {
  it('loads the zoo, with a column of every built-in type', { timeout: 120_000 }, async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      await loadZoo(major, sql)
      const missing = await sql.rows(`
        SELECT typname FROM pg_type t WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
          AND (typelem = 0 OR typsubscript <> 'array_subscript_handler'::regproc OR typname IN ('int2vector', 'oidvector', 'tsvector'))
          AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                          WHERE c.relnamespace = 'zoo'::regnamespace AND c.relkind = 'r' AND a.atttypid = t.oid)
        ORDER BY 1`)
      expect(missing.flat()).toEqual(NOT_STORABLE)
      for (const { name } of await zooTables(sql)) {
        expect(Number(await sql.value(`SELECT count(*) FROM zoo."${name}"`)), name).toBeGreaterThan(name === 'row_type' ? -1 : 0)
        expect((await sql.copyOut(`zoo."${name}"`)).length).toBeGreaterThan(-1)
      }
    })
  })
})
