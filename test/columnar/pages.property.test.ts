import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { PageRebuilder, rebuildPages } from '../../src/columnar/rebuild.ts'
import { transcodeFile, transcodePages } from '../../src/columnar/transcode.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { StrictPages } from '../support/strictpages.ts'
import { expectEqualPages, pageProperties } from './pageproperties.ts'

pageProperties(60)

describe('many rows', () => {
  /** Pages of 200 rows of one int4. */
  function manyPages(count: number): Uint8Array {
    const pages = new Uint8Array(count * 8192)
    const view = new DataView(pages.buffer)
    for (let block = 0; block < count; block++) {
      const at = block * 8192
      const header = [[12, 24 + 800], [14, 8192 - 6400], [16, 8192], [18, 0x2004]] as const
      for (const [offset, value] of header) view.setUint16(at + offset, value, true)
      for (let i = 0; i < 200; i++) {
        const off = 8192 - (i + 1) * 32
        view.setUint32(at + 24 + i * 4, off | (1 << 15) | (28 << 17), true)
        view.setUint32(at + off, 4 + (i % 2), true)
        view.setUint32(at + off + 12, (block >>> 16) | (block << 16), true)
        view.setUint16(at + off + 16, i + 1, true)
        view.setUint16(at + off + 18, 1, true)
        view.setUint16(at + off + 20, 0x0900, true)
        pages[at + off + 22] = 24
        view.setInt32(at + off + 24, block * 1000 + i, true)
      }
    }
    return pages
  }

  const desc = {
    attributes: [{ attnum: 1, name: 'v', type: { oid: 23, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false }],
    types: [{ oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base' as const, len: 4, align: 4, storage: 'p', delimiter: ',' }],
  }

  test('make several row groups, each of whole pages', () => {
    const pages = manyPages(1100)
    const { parquet, rows } = transcodePages(relationOf(desc, 1100), pages, transcodeOptions({ compression: 'snappy' }))
    const reader = readParquet(parquet)
    expect(rows).toBe(220_000)
    expect(reader.rowGroups).toBe(2)
    for (const count of reader.rowGroupRows) expect(count % 200).toBe(0)
    expectEqualPages(rebuildPages(parquet), pages)
  })

  test('and several files, each of some blocks', async () => {
    const pages = manyPages(30)
    const source = new StrictPages(pages)
    for (const [first, count] of [[0, 7], [7, 20], [27, 3], [30, 0]] as const) {
      const parts: Uint8Array[] = []
      const wanted = BlockSet.range(first, count)
      await transcodeFile(relationOf(desc, 30), source, wanted, transcodeOptions(), (bytes) => void parts.push(bytes.slice()))
      const blocks: number[] = []
      new PageRebuilder(Buffer.concat(parts)).rebuild((block, bytes) => {
        blocks.push(block)
        expectEqualPages(bytes, pages.slice(block * 8192, (block + 1) * 8192))
      })
      expect(blocks).toEqual([...wanted])
    }
    // A gap in the blocks is nothing that a file of format 1 can say.
    const gap = transcodeFile(relationOf(desc, 30), source, BlockSet.of([1, 2, 4]), transcodeOptions(), () => { throw new Error('written') })
    await expect(gap).rejects.toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'lake.blocks' }))
  })

  test('pages that have to be prepared, with their out-of-line values, make the same file', async () => {
    const pages = manyPages(300)
    const expected = transcodePages(relationOf(desc, 300), pages, transcodeOptions({ generate: true }))
    const parts: Uint8Array[] = []
    const source = new StrictPages(pages)
    const found = await transcodeFile(relationOf(desc, 300), source, BlockSet.range(0, 300), transcodeOptions(), (bytes) => void parts.push(bytes.slice()))
    expect(source.mostPrepared).toBe(128)
    const { parquet, ...rest } = expected
    expect(found).toEqual(rest)
    expectEqualPages(rebuildPages(Buffer.concat(parts)), rebuildPages(parquet))
  })
})
