import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { canonicalPage, newPageBuffer } from '../../src/page/index.ts'
import { withCluster } from '../support/oracle.ts'

const ALL = { isVisible: () => true, isDead: () => false, nextXid: { low: 1000, epoch: 0 } }

test('a table goes there and back', async () => {
  await withCluster(17, {}, async (cluster, sql) => {
    await sql.exec(`create table t as select g as id, g::int8*1000000007 as big, (g*1.25)::numeric(15,2) as price, g::numeric/7 as ratio, 'row '||g as note,
      case when g % 3 = 0 then null else repeat('x', g % 300) end as maybe, now()::timestamp + g * interval '1 hour' as ts, '2020-01-01'::date + g as d, g % 2 = 0 as flag, g::float8/3 as f, g::int2 as s
      from generate_series(1, 20000) g`)
    await sql.exec('checkpoint')
    const path = await sql.value("select pg_relation_filepath('t')")
    const atts = await sql.rows("select attnum, attname, atttypid, atttypmod, attlen, attalign, attstorage from pg_attribute where attrelid='t'::regclass and attnum > 0 order by attnum")
    const align = { c: 1, s: 2, i: 4, d: 8 } as Record<string, number>
    const types = await sql.rows("select t.oid, typname, typlen, typalign, typstorage from pg_type t where oid in (select atttypid from pg_attribute where attrelid='t'::regclass and attnum > 0)")
    const desc: TupleDesc = {
      attributes: atts.map(([attnum, name, oid, typmod, len, al, st]) => ({ attnum: +attnum!, name: name!, type: { oid: +oid!, typmod: +typmod! }, len: +len!, align: align[al!]!, plain: st === 'p', dropped: false, virtual: false })),
      types: types.map(([oid, name, len, al, st]) => ({ oid: +oid!, name: name!, schema: 'pg_catalog', kind: 'base' as const, len: +len!, align: align[al!]!, storage: st!, delimiter: ',' })),
    }
    const pages = new Uint8Array(readFileSync(`${cluster.dataDir}/${path}`))
    const relation = { database: 'postgres', schema: 'public', name: 't', oid: 1, relkind: 'r', spcOid: 1663, dbOid: 5, relNumber: 1, blocks: pages.length / 8192, encoding: 6, desc }
    const started = performance.now()
    const out = transcodePages(relation, pages, { cluster: { systemIdentifier: '1', major: 17, checksums: false, lsn: '0/0', profile: 'portable' }, compression: 'zstd', visibility: ALL, checksums: false, onCorrupt: 'fail' })
    console.log(pages.length, out.parquet.length, out.rows, out.lanes, performance.now() - started)
    const back = rebuildPages(out.parquet)
    expect(back.length).toBe(pages.length)
    const words = new Int32Array(pages.buffer)
    const canonical = newPageBuffer()
    for (let b = 0; b < pages.length / 8192; b++) {
      canonicalPage(words, b * 2048, canonical)
      expect(Buffer.compare(canonical.bytes, back.subarray(b * 8192, (b + 1) * 8192)), `block ${b}`).toBe(0)
    }
  })
})
