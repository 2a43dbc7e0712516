/** Blocks that a page store says changed, held against a real server: each page that its recovery changed between two LSNs is among them. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { openPageStore } from '../../src/io/pagestore/openstore.ts'
import { type MemoryReplayStore, relationKey } from '../../src/replay/memoryreplaystore.ts'
import { withFolder } from '../support/lakes.ts'
import { loadDataDir } from '../support/memorystore.ts'
import { connect, majors } from '../support/oracle.ts'
import { withRecovery } from '../support/recovery.ts'
import { replayCase } from '../support/replayed.ts'

const VARIANT = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' } as const
/** pd_checksum (bufpage.h): a server sets it when it writes the page, whoever changed it. */
const [PD_CHECKSUM, BEHIND_CHECKSUM] = [8, 10]

const BEFORE = `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
  CREATE TABLE cut (id int); INSERT INTO cut SELECT generate_series(1, 5000); CREATE TABLE gone (id int); INSERT INTO gone VALUES (1)`
const AFTER = `UPDATE t SET v = v || 'x' WHERE id % 50 = 0; DELETE FROM t WHERE id BETWEEN 3000 AND 4000; VACUUM t; DROP TABLE gone;
  DELETE FROM cut WHERE id > 100; VACUUM cut; CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); INSERT INTO unlogged VALUES (1);
  CREATE TABLE later AS SELECT i, md5(i::text) FROM generate_series(1, 3000) i; CREATE INDEX ON later (i); TRUNCATE cut; INSERT INTO cut VALUES (7);
  ALTER TABLE t ADD COLUMN more text; UPDATE t SET more = repeat('y', id % 50) WHERE id % 900 = 0`

type Blocks = Map<string, number[]>

/**
 * By relation and fork: blocks of `after` that `before` does not have, or has with other bytes.
 * @param kinds relkind by relation: pages of indexes are not kept
 */
function differing(before: MemoryReplayStore, after: MemoryReplayStore, kinds: ReadonlyMap<string, string>): Blocks {
  const found: Blocks = new Map()
  for (const [key, { forks }] of after.relations) {
    if (kinds.get(key)?.startsWith('i') === true) continue
    for (const [fork, now] of forks.entries()) {
      const then = before.relations.get(key)?.forks[fork]
      const blocks = now?.pages.flatMap(({ bytes }, block) => isEqual(bytes, then?.page(block)?.bytes) ? [] : [block]) ?? []
      if (blocks.length > 0) found.set(`${key}/${fork}`, blocks)
    }
  }
  return found
}

function isEqual(page: Uint8Array, other: Uint8Array | undefined): boolean {
  if (other === undefined) return false
  const same = (from: number, to: number): boolean => Buffer.compare(page.subarray(from, to), other.subarray(from, to)) === 0
  return same(0, PD_CHECKSUM) && same(BEHIND_CHECKSUM, page.length)
}

/** Blocks that differ and that the store does not name. */
function missed(differences: Blocks, changes: ReadonlyMap<string, BlockSet>): string[] {
  return [...differences].flatMap(([key, blocks]) => blocks.filter((block) => changes.get(key)?.has(block) !== true).map((block) => `${key} block ${block}`))
}

test.each(majors().slice(-1))('what a server of Postgres %i changed', (major) => withRecovery(major, VARIANT, {
  prepare: async (cluster) => (await connect(cluster)).script(BEFORE),
  run: async (cluster) => {
    const sql = await connect(cluster)
    await sql.script(AFTER)
    await sql.exec('CREATE DATABASE copied')
    return { tablespaces: [] }
  },
}, (found) => withFolder(async (folder) => {
  const out = join(folder, 'out')
  // Several flushes, the mark is the first one.
  for (const share of [0, 0.3, 0.6, 1]) await replayCase(found, out, { target: { lsn: found.start + Math.floor((found.end - found.start) * share) } })
  const store = openPageStore(out)
  const { forks, from, to } = store.changedSince(found.start)
  store.close()
  expect([from, to]).toEqual([found.start, found.end])
  const changes = new Map(forks.map((change) => [`${relationKey(change)}/${change.fork}`, change.changed]))
  const differences = differing(loadDataDir(found.base), loadDataDir(found.recovered), found.kinds)
  const counted = [...differences.values()].reduce((sum, { length }) => sum + length, 0)
  expect(counted).toBeGreaterThan(200)
  expect(missed(differences, changes)).toEqual([])

  // A planted fault: one block is left out.
  const [key, [block]] = [...differences].at(-1) as [string, [number]]
  changes.set(key, changes.get(key)!.subtract(BlockSet.range(block, 1)))
  expect(missed(differences, changes)).toEqual([`${key} block ${block}`])
  console.log(`${counted} blocks differ, ${forks.reduce((sum, { changed }) => sum + changed.size, 0)} are called changed`)
})))
