/** Tuple headers, line pointers and data of pages that rebuildPages made from Parquet, against pageinspect on the server. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import type { LakeRelation } from '../../src/lake/manifest.ts'
import { transcode, userTables, withFolder } from '../support/lakes.ts'
import { fewerMajors, type Session, closeSessions, connect, withCluster } from '../support/oracle.ts'
import { runWorkload } from '../support/workload.ts'

const BLOCK = 8192

describe.each(fewerMajors('majors of rebuilt tuples'))('rebuilt tuples on Postgres %i', (major) => {
  test('heap_page_items and page_header say the same of both', async () => {
    await withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
      const lake = join(folder, 'lake')
      await sql.exec('CREATE EXTENSION pageinspect')
      await runWorkload(cluster)
      const tables = await userTables(sql)
      await closeSessions(cluster)
      await cluster.stop('fast')
      const manifest = await transcode(cluster.dataDir, lake, { filter: { databases: ['postgres'], tables } })
      await cluster.start()
      const again = await connect(cluster)
      for (const [gid] of await again.rows('SELECT gid FROM pg_prepared_xacts')) await again.exec(`ROLLBACK PREPARED '${gid}'`)
      let pages = 0
      for (const relation of manifest.relations.filter(({ path, visible }) => path !== '' && visible)) {
        for (const { path, firstBlock } of relation.files) {
          const rebuilt = Buffer.from(rebuildPages(readFileSync(join(lake, path))))
          for (let at = 0; at < rebuilt.length; at += BLOCK, pages++) {
            const block = firstBlock + at / BLOCK
            expect([relation.name, block, ...describePage(rebuilt.subarray(at, at + BLOCK))])
              .toEqual([relation.name, block, ...await inspectPage(again, relation, block)])
          }
        }
      }
      expect(pages).toBeGreaterThan(100)
    }))
  })
})

/** What pageinspect tells of a page of the server; not pd_checksum, which is of the unused bytes too. */
async function inspectPage(sql: Session, { schema, name }: LakeRelation, block: number): Promise<string[]> {
  const table = [schema, name].map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
  const page = `get_raw_page('${table.replaceAll("'", "''")}', ${block})`
  const header = await sql.value(`
    SELECT concat_ws(' ', lsn, flags, lower, upper, special, pagesize, version, prune_xid) FROM page_header(${page})`)
  const items = await sql.rows(`
    SELECT lp, lp_off, lp_flags, lp_len, t_xmin, t_xmax, t_field3, t_ctid, t_infomask2, t_infomask, t_hoff, encode(t_data, 'hex')
    FROM heap_page_items(${page}) ORDER BY lp`)
  return [header ?? '', ...items.map((item) => item.map((value) => value ?? '').join(' ').trim())]
}

/** The same from the page's bytes. */
function describePage(page: Buffer): string[] {
  const u16 = (at: number): number => page.readUInt16LE(at)
  const u32 = (at: number): number => page.readUInt32LE(at)
  const size = u16(18)
  const lsn = `${u32(0).toString(16).toUpperCase()}/${u32(4).toString(16).toUpperCase()}`
  const header = [lsn, u16(10), u16(12), u16(14), u16(16), size & 0xff00, size & 0xff, u32(20)].join(' ')
  const items: string[] = []
  for (let at = 24, lp = 1; at < u16(12); at += 4, lp++) {
    const word = u32(at)
    const [off, flags, len] = [word & 0x7fff, (word >>> 15) & 3, word >>> 17]
    items.push(`${lp} ${off} ${flags} ${len}${flags === 1 ? ` ${describeTuple(page.subarray(off, off + len))}` : ''}`.trim())
  }
  return [header, ...items]
}

function describeTuple(tuple: Buffer): string {
  const ctid = `(${(tuple.readUInt16LE(12) * 65536 + tuple.readUInt16LE(14))},${tuple.readUInt16LE(16)})`
  const hoff = tuple.readUInt8(22)
  const words = [0, 4, 8].map((at) => tuple.readUInt32LE(at))
  return [...words, ctid, tuple.readUInt16LE(18), tuple.readUInt16LE(20), hoff, tuple.subarray(hoff).toString('hex')].join(' ').trim()
}
