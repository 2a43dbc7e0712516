/** Rows of a relation that no reader sees yet, since the transaction that made it is open: it has no columns, and its pages come back. */
import { expect, test } from 'vitest'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import { parseColumnList } from '../../src/catalog/columnlist.ts'

/** One frozen row, id = 7, as REFRESH MATERIALIZED VIEW writes it. */
const page = new Uint8Array(8192)
page.set(Buffer.from('0000000000000001' + '00000000' + '1c00e01f00200420' + '00000000' + 'e09f3800', 'hex'))
page.set(Buffer.from('bc0200000000000000000000' + '000000000100' + '0100000b1800' + '07000000', 'hex'), 8160)

const cluster = { systemIdentifier: '7', major: 17, checksums: false, lsn: '0/1000028', profile: 'portable' } as const
const visibility = { isVisible: () => true, isDead: () => false, nextXid: { low: 701, epoch: 0 } }

function transcoded(desc: TupleDesc): ReturnType<typeof transcodePages> {
  const relation = {
    spcOid: 1663, dbOid: 5, relNumber: 16384, database: 'shop', schema: 'public', name: 'view', oid: 16384, relkind: 'm', blocks: 1, encoding: 6, desc,
  } as const
  return transcodePages(relation, page, { cluster, visibility, checksums: false, compression: 'none', onCorrupt: 'fail' })
}

test('a frozen row of a relation without columns is carried whole', () => {
  const { parquet, rows } = transcoded({ attributes: [], types: [] }) as { parquet: Uint8Array; rows: number }
  expect(rows).toBe(1)
  expect(Buffer.compare(rebuildPages(parquet), page)).toBe(0)
})

test('a visible row with more attributes than its table has columns is damage', () => {
  const { attributes, types } = parseColumnList('id int')
  const two = transcoded({ attributes, types }) as { rows: number }
  expect(two.rows).toBe(1)
  page[8160 + 18] = 2
  expect(() => transcoded({ attributes, types })).toThrow('2 attributes, the table has 1')
  page[8160 + 18] = 1
})
