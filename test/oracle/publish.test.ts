/**
 * What ltap publishes is what a server shows: each table after each round of a workload, read as the specification of Iceberg says, by a reader that shares
 * no code with ltap; each snapshot that is still listed shows what it showed before, after merges and a gc.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { endPrepared, filter, fourOf, SETTINGS, SETUP, STEPS } from '../support/rounds.ts'
import { amount, drawn } from '../support/scope.ts'

const ROUNDS = amount({ quick: 4, sample: 8, all: 20 })

/** A tree whose leaves have their columns in another order, and columns that were dropped. */
const TREE = `CREATE TABLE tree (k int, city text, note text) PARTITION BY RANGE (k);
  CREATE TABLE tree_1 (gone int, note text, k int, city text); ALTER TABLE tree_1 DROP COLUMN gone; ALTER TABLE tree ATTACH PARTITION tree_1 FOR VALUES FROM (0) TO (100);
  CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (100) TO (200) PARTITION BY LIST (city);
  CREATE TABLE tree_2a PARTITION OF tree_2 FOR VALUES IN ('a', 'b'); CREATE TABLE tree_2x PARTITION OF tree_2 DEFAULT;
  INSERT INTO tree SELECT i, substr('abc', i % 3 + 1, 1), 'n' || i FROM generate_series(0, 199) i;
  CREATE TABLE "Tree" (id int, "Id" text); INSERT INTO "Tree" VALUES (1, 'colliding')`
const TREE_STEPS = [
  "UPDATE tree SET note = 'moved', k = 199 - k WHERE k % 10 = 3; DELETE FROM tree WHERE k % 17 = 1",
  'ALTER TABLE tree RENAME note TO remark; ALTER TABLE tree ADD COLUMN more int DEFAULT 5',
  'ALTER TABLE tree DETACH PARTITION tree_1', "ALTER TABLE tree DROP COLUMN more; INSERT INTO tree VALUES (150, 'z', 'late')",
  'ALTER TABLE tree ATTACH PARTITION tree_1 FOR VALUES FROM (0) TO (100)',
]

/** Tables of the schema public: their rows, as the server shows them. */
async function serverTables(sql: Session): Promise<Map<string, string[]>> {
  const tables = new Map<string, string[]>()
  const named = await sql.rows(`SELECT quote_ident(relname), relname, (SELECT string_agg(quote_ident(attname) || '::text', ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`)
  for (const [ident, name, columns] of named as [string, string, string][]) {
    const rows = await sql.rows(`SELECT ${columns} FROM ${ident}`)
    tables.set(name, rows.map((row) => JSON.stringify(row)).sort())
  }
  return tables
}

describe.each(drawn(majors(), 1, 'majors of published lakes'))('tables of Postgres %i as Iceberg shows them', (major) => {
  test(`over ${ROUNDS} rounds, then merges and a gc`, () => withCluster(major, { settings: SETTINGS }, async (server, first) => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-publish-'))
    const lake = join(folder, 'lake')
    const random = new Random(TEST_SEED)
    const shown = new Map<number, string[]>()
    try {
      await first.script(SETUP)
      await first.script(TREE)
      for (let round = 0; round < ROUNDS; round++) {
        const sql = round === 0 ? first : (await server.start(), await connect(server))
        if (round > 0) {
          await endPrepared(sql, random)
          for (const step of fourOf(STEPS, random)) await step(sql, random, round)
          await sql.script(TREE_STEPS[(round - 1) % TREE_STEPS.length]!)
        }
        const expected = await serverTables(sql)
        await closeSessions(server)
        await server.stop('fast')
        const { published, publishProblem } = await materializeLake({ pgdata: server.dataDir, store: await openObjectStore(lake), workers: 0, filter })
        expect({ problem: publishProblem, left: published.left }).toEqual({ problem: null, left: [] })
        await check(lake, expected, `round ${round}`, shown)
        // A row that is hidden and should not be (planted).
        const planted = new Map(expected).set('deeds', [...expected.get('deeds')!, '["0","one more"]'].sort())
        if (round === 1) await expect(check(lake, planted, 'planted', new Map())).rejects.toThrow('planted: public.deeds')
      }
      expect((await mergeLake({ lake, all: true, workers: 0 })).publishProblem).toBeNull()
      await checkSnapshots(lake, shown)
      await collectLake({ lake, keep: '0s' })
      await checkSnapshots(lake, shown)
      expect((await verifyLake({ lake, workers: 0 })).differences).toEqual([])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }))
})

async function check(lake: string, expected: ReadonlyMap<string, string[]>, round: string, shown: Map<number, string[]>): Promise<void> {
  const folders = publishedFolders(lake)
  const names = [...expected.keys()].map((name) => `public.${name === 'Tree' ? 'Tree_' : name}`)
  expect([...folders.keys()].map((name) => name.replace(/^(public\.Tree_)\d+$/, '$1')).sort(), round).toEqual(names.sort())
  for (const [name, table] of folders) {
    const metadata = icebergMetadata(table)
    const rows = await icebergRows(metadata)
    shown.set(metadata['current-snapshot-id'], rows)
    const plain = name.slice('public.'.length).replace(/^Tree_\d+$/, 'Tree')
    // A long list of differences helps nobody.
    if (JSON.stringify(rows) !== JSON.stringify(expected.get(plain))) expect(rows.slice(0, 20), `${round}: ${name}`).toEqual(expected.get(plain)!.slice(0, 20))
    expect(rows.length, `${round}: ${name}`).toBe(expected.get(plain)!.length)
  }
}

/** What was published before, and is still listed, is what it was. */
async function checkSnapshots(lake: string, shown: ReadonlyMap<number, string[]>): Promise<void> {
  let listed = 0
  for (const [name, table] of publishedFolders(lake)) {
    const metadata = icebergMetadata(table)
    for (const { 'snapshot-id': id } of metadata.snapshots) {
      const before = shown.get(id)
      // The snapshot of a merge shows what the one before it shows.
      const expected = before ?? shown.get(metadata.snapshots.at(-2)!['snapshot-id'])
      expect(await icebergRows(metadata, id), `${name}: snapshot ${id}`).toEqual(expected)
      if (before) listed++
    }
  }
  expect(listed).toBeGreaterThan(5)
}
