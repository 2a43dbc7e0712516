/** "One page, there and back" of ARCHITECTURE.md: each cell of its table, and each number of its text, comes from the page of docs/formats/heap-page.md. */
import { parquetReadObjects } from 'hyparquet'
import { describe, expect, test } from 'vitest'
import { parseColumnList } from '../../src/catalog/columnlist.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { dataView } from '../../src/common/bytes.ts'
import { canonicalPage, newPageBuffer } from '../../src/page/canonical.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { PD_CHECKSUM } from '../../src/page/header.ts'
import { dumpOf, readDoc, tablesOf } from '../support/docstables.ts'

const TEXT = readDoc('ARCHITECTURE.md').split('## One page, there and back')[1]!.split('\n## ')[0]!
const PICTURE = readDoc('docs/page-to-parquet.svg')
const PAGE = Uint8Array.from(dumpOf(readDoc('docs/formats/heap-page.md'), 'page').bytes, (byte) => byte!)

const RELATION = {
  spcOid: 1663, dbOid: 5, relNumber: 16384, database: 'shop', schema: 'public', name: 'kinds', oid: 16384, relkind: 'r' as const,
  blocks: 1, encoding: 6, desc: parseColumnList('id int, name text'),
}
const CLUSTER = { systemIdentifier: '7', major: 17 as const, checksums: true, lsn: '0/17BA408', profile: 'portable' as const }

/** Transaction 743 committed: it deleted row 3. */
const VISIBILITY = { isVisible: (_xmin: number, xmax: number) => xmax === 0, isDead: () => false, nextXid: { low: 744, epoch: 0 } }

interface LakeRow {
  id: number | null
  name: string | null
  _ltap: Record<string, unknown> & { lp?: { state: number; off: number; len: number } | null }
}

function fileOf(page: Uint8Array): Uint8Array {
  const options = { cluster: CLUSTER, visibility: VISIBILITY, checksums: true, compression: 'none' as const, onCorrupt: 'fail' as const }
  return transcodePages(RELATION, page, options).parquet
}

/** The file as hyparquet reads it: a reader that is not ltap's own. */
async function rowsOf(parquet: Uint8Array): Promise<LakeRow[]> {
  const file = parquet.buffer.slice(parquet.byteOffset, parquet.byteOffset + parquet.length) as ArrayBuffer
  return await parquetReadObjects({ file }) as unknown as LakeRow[]
}

const cell = (value: unknown): string => value === null || value === undefined ? '' : String(value)

function cellsOf({ id, name, _ltap }: LakeRow): Record<string, string> {
  const { lp } = _ltap
  const lists = lp ? `${lp.state} ${lp.off} ${lp.len}` : ''
  return {
    offset: cell(_ltap['offset']), id: cell(id), name: cell(name), xmin: cell(_ltap['xmin']), xmax: cell(_ltap['xmax']),
    infomask: cell(_ltap['infomask']), infomask2: cell(_ltap['infomask2']), lp: lists,
  }
}

describe('one page, there and back', () => {
  const { rows: documented } = tablesOf(`${TEXT}\n`).find(({ columns }) => columns[0] === 'offset')!

  test('the rows of the file are those of the table', async () => {
    expect((await rowsOf(fileOf(PAGE))).map(cellsOf)).toEqual(documented)
  })

  test('a changed byte of a tuple changes the table', async () => {
    const changed = PAGE.slice()
    changed[0x1fcd]! ^= 1
    expect(() => fileOf(changed)).toThrow('page checksum is 24730')
    dataView(changed).setUint16(PD_CHECKSUM, pageChecksum(changed, 0), true)
    expect((await rowsOf(fileOf(changed))).map(cellsOf)).not.toEqual(documented)
  })

  test('the page forms again, and differs from the original where the text says', () => {
    const canonical = newPageBuffer()
    canonicalPage(new Int32Array(PAGE.slice().buffer), 0, canonical)
    const back = rebuildPages(fileOf(PAGE)).slice(0, PAGE.length)
    expect(back.slice(0, PD_CHECKSUM)).toEqual(canonical.bytes.slice(0, PD_CHECKSUM))
    expect(back.slice(PD_CHECKSUM + 2)).toEqual(canonical.bytes.slice(PD_CHECKSUM + 2))
    const places = [...back.keys()].filter((at) => back[at] !== PAGE[at])
    const hole = places.filter((at) => at >= 48 && at < 8040)
    expect(places.filter((at) => at < 48 || at >= 8040)).toEqual([PD_CHECKSUM, PD_CHECKSUM + 1])
    expect(TEXT).toContain(`${hole.length} bytes of a tuple that was moved`)
    expect(dataView(back).getUint16(PD_CHECKSUM, true)).toBe(pageChecksum(back, 0))
    expect(TEXT).toContain(`from 24730 to ${pageChecksum(back, 0)}`)
  })

  test('the picture shows the rows of the table', () => {
    for (const { offset, id, name } of documented) {
      expect(PICTURE).toContain(`>${[offset, id || 'NULL', name || 'NULL'].join(' · ')}<`)
    }
  })
})
