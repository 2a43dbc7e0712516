/** A server sets hint bits without WAL: pages change under an equal pd_lsn, and the lake must see it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newColumnFields } from '../../src/columnar/schema.ts'
import { transcodeFile } from '../../src/columnar/transcode.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { type BlockIndex, parseBlockIndex } from '../../src/lake/blockindex.ts'
import { ChangedBlocks } from '../../src/lake/changedblocks.ts'
import { storedBlocks } from '../../src/lake/layer.ts'
import { MemoryPages } from '../../src/page/pagesource.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'

const ON_CORRUPT = { checksums: false, onCorrupt: 'fail' } as const

async function pagesOf(cluster: PostgresServer, path: string): Promise<Uint8Array> {
  await closeSessions(cluster)
  await cluster.stop()
  const pages = new Uint8Array(readFileSync(join(cluster.dataDir, path)))
  await cluster.start()
  return pages
}

/** What stands beside a layer file of these pages. */
async function indexOf(pages: Uint8Array): Promise<BlockIndex> {
  const type = { oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base' as const, len: 4, align: 4, storage: 'p', delimiter: ',' }
  const int4 = (attnum: number): object => ({ attnum, name: `c${attnum}`, type: { oid: 23, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false })
  const desc = { attributes: [int4(1), int4(2)], types: [type] } as never
  const relation = relationOf(desc, pages.length / 8192)
  const fields = newColumnFields({ major: 17, profile: 'portable', encoding: 6, desc, displayScales: {}, pageFlags: 0 })
  const transactions = { xminStatus: () => 'committed', xmaxStatus: () => 'none', deleter: () => 0, nextXid: { low: 0xffffffff, epoch: 0 } }
  const blocks = BlockSet.range(0, pages.length / 8192)
  const found = await transcodeFile({ ...relation, fields }, new MemoryPages(pages), blocks, transcodeOptions({ transactions }), () => {})
  if ('wanted' in found) throw new Error('an overflow child is wanted')
  return parseBlockIndex(storedBlocks(blocks, found.summary!).index)
}

function changed(index: BlockIndex, pages: Uint8Array, current: BlockSet = index.blocks): number[] {
  const finder = new ChangedBlocks([{ index, current }], ON_CORRUPT)
  for (let block = 0; block < pages.length / 8192; block++) finder.addPage(pages.subarray(block * 8192, (block + 1) * 8192), block)
  return [...finder.finish()]
}

/** A second way: canonical or not, what differs outside pd_checksum and the hole. Pages of this test have neither holes with garbage nor checksums. */
function differing(before: Uint8Array, after: Uint8Array): { blocks: number[]; sameLsn: number[] } {
  const blocks = Array.from({ length: after.length / 8192 }, (_, block) => block).filter((block) => {
    return Buffer.compare(before.subarray(block * 8192, (block + 1) * 8192), after.subarray(block * 8192, (block + 1) * 8192)) !== 0
  })
  const lsn = (pages: Uint8Array, block: number): string => Buffer.from(pages.subarray(block * 8192, block * 8192 + 8)).toString('hex')
  return { blocks, sameLsn: blocks.filter((block) => block * 8192 < before.length && lsn(before, block) === lsn(after, block)) }
}

describe.each(drawn(majors(), 1, 'majors of changed blocks'))('changed blocks on Postgres %i', (major) => {
  const initdbArgs = major >= 18 ? ['--no-data-checksums'] : []

  test('are those whose bytes changed, hint bits and unlogged tables too', () => withCluster(major, { initdbArgs, settings: { autovacuum: 'off' } }, async (cluster, sql) => {
    await sql.script('CREATE TABLE t (a int, b int); CREATE UNLOGGED TABLE u (a int, b int)')
    await sql.exec('INSERT INTO t SELECT i, i FROM generate_series(1, 3000) i')
    await sql.exec('INSERT INTO u SELECT i, i FROM generate_series(1, 3000) i')
    const [table, unlogged] = [await sql.value("SELECT pg_relation_filepath('t')"), await sql.value("SELECT pg_relation_filepath('u')")] as [string, string]
    const before = [await pagesOf(cluster, table), await pagesOf(cluster, unlogged)] as const
    const indexes = [await indexOf(before[0]), await indexOf(before[1])] as const
    expect(changed(indexes[0], before[0])).toEqual([])

    // A reader of some pages sets hint bits there; one row is updated; an unlogged table changes without any LSN.
    const reader = await connect(cluster)
    await reader.exec("SET enable_seqscan = off; SELECT count(*) FROM t WHERE ctid >= '(3,0)' AND ctid < '(6,0)'")
    await reader.exec("UPDATE t SET b = 0 WHERE ctid = '(9,5)'")
    await reader.exec("UPDATE u SET b = 0 WHERE ctid = '(2,7)'")
    const after = [await pagesOf(cluster, table), await pagesOf(cluster, unlogged)] as const
    for (const [i, pages] of after.entries()) {
      const expected = differing(before[i]!, pages)
      // A test of pd_lsn alone misses these.
      expect(expected.sameLsn.length).toBeGreaterThan(0)
      expect(expected.blocks.length).toBeLessThan(pages.length / 8192)
      expect(changed(indexes[i]!, pages)).toEqual(expected.blocks)
    }
    // A block that is not current in this file is unknown, and so changed.
    expect(changed(indexes[0], before[0], BlockSet.range(0, 4))).toEqual(Array.from({ length: before[0].length / 8192 - 4 }, (_, i) => i + 4))
  }))

  test('a damaged page is an error, or changed again and again', () => withCluster(major, { initdbArgs }, async (cluster, sql) => {
    await sql.script('CREATE TABLE t (a int, b int); INSERT INTO t SELECT i, i FROM generate_series(1, 500) i')
    const path = await sql.value("SELECT pg_relation_filepath('t')") as string
    const pages = await pagesOf(cluster, path)
    const index = await indexOf(pages)
    const damaged = pages.slice()
    damaged.fill(0xff, 8192 + 12, 8192 + 20)
    expect(() => changed(index, damaged)).toThrow(expect.objectContaining({ name: 'CorruptionError', position: { block: 1 } }))
    const finder = new ChangedBlocks([{ index: { ...index, damaged: BlockSet.of([2]) }, current: index.blocks }], { checksums: false, onCorrupt: 'carry' })
    for (const block of [0, 1, 2]) finder.addPage(damaged.subarray(block * 8192, (block + 1) * 8192), block)
    expect([...finder.finish()]).toEqual([1, 2])
  }))
})
