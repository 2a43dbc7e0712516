/** Files of format 2: any set of blocks, columns under names and ids that were allocated before. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { parquetReadObjects, parquetSchema, parquetMetadata } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { afterAll, describe, expect, test } from 'vitest'
import { DESCRIPTOR_KEY, parseFileDescriptor, type RelationDescriptor } from '../../src/columnar/filedescriptor.ts'
import { PageRebuilder, rebuildPages } from '../../src/columnar/rebuild.ts'
import { newColumnFields } from '../../src/columnar/schema.ts'
import { transcodeFile, type TranscodeOptions, type WrittenFile } from '../../src/columnar/transcode.ts'
import type { WantedOverflow } from '../../src/columnar/wantedoverflow.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { type ArbitraryTable, canonicalOf, joined, table, VISIBILITY } from '../support/arbitrarypages.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { StrictPages } from '../support/strictpages.ts'
import { valueAt } from './lakevalues.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { expectEqualPages, forEachRow, rowsOf } from './pageproperties.ts'
import { writeFresh } from './parquetreaders.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-layerfiles-'))
const instance = await DuckDBInstance.create(':memory:')
const db = await instance.connect()

afterAll(() => {
  db.closeSync()
  instance.closeSync()
  rmSync(directory, { recursive: true })
})

interface Written extends WrittenFile {
  parquet: Uint8Array
}

async function write(relation: RelationDescriptor, pages: Uint8Array, blocks: BlockSet, options: Partial<TranscodeOptions> = {}): Promise<Written> {
  const parts: Uint8Array[] = []
  const source = new StrictPages(pages)
  const found: WrittenFile | WantedOverflow = await transcodeFile(relation, source, blocks, transcodeOptions(options), (bytes) => void parts.push(bytes.slice()))
  if ('wanted' in found) throw new Error('an overflow child is wanted')
  expect(source.mostPrepared).toBeLessThanOrEqual(128)
  return { ...found, parquet: Buffer.concat(parts) }
}

/** The pages of a table at these blocks of a relation; the blocks between are zero pages. */
function spread(pages: readonly { bytes: Uint8Array }[], blocks: readonly number[], length: number): Uint8Array {
  const whole = new Uint8Array(length * 8192)
  pages.forEach(({ bytes }, i) => whole.set(bytes, blocks[i]! * 8192))
  return whole
}

function relation2(desc: RelationDescriptor['desc'], blocks: number): RelationDescriptor {
  const relation = relationOf(desc, blocks)
  const context = { major: 17, profile: 'portable', encoding: relation.encoding, desc, displayScales: {}, pageFlags: 0 } as const
  return { ...relation, fields: newColumnFields(context) }
}

function hiddenOf({ hidden }: WrittenFile): number[] {
  const group = hidden && readParquet(hidden).readRowGroup(0)
  return Array.from({ length: group?.rows ?? 0 }, (_, row) => Number(valueAt(group!.columns[0]!, { kind: 'long' }, row)))
}

function expectedHidden(t: ArbitraryTable): number[] {
  const hidden: number[] = []
  forEachRow(t, (row, tuple) => {
    if (!tuple || !VISIBILITY.isVisible(tuple.xmin, tuple.xmax, tuple.infomask)) hidden.push(row)
  })
  return hidden
}

describe('any set of blocks of any pages', () => {
  const LENGTH = 40
  const places = fc.uniqueArray(fc.nat(LENGTH - 1), { minLength: 3, maxLength: 3 }).map((list) => list.toSorted((a, b) => a - b))

  test('gives the same canonical pages and hidden rows', async () => {
    await fc.assert(fc.asyncProperty(table({ columns: 10, rows: 12, pages: 3 }), places, fc.constantFrom('none' as const, 'zstd' as const), async (t, all, compression) => {
      const list = all.slice(0, t.pages.length)
      const blocks = BlockSet.of(list)
      const file = await write(relation2(t.desc, LENGTH), spread(t.pages, list, LENGTH), blocks, { toast: t.toast, compression })
      const rebuilder = new PageRebuilder(file.parquet)
      expect(rebuilder.descriptor).toMatchObject({ format: 2, blocks, compressor: 'parquet-wasm' })
      const seen: number[] = []
      rebuilder.rebuild((block, page) => {
        expectEqualPages(page, canonicalOf(t.pages[seen.length]!.bytes))
        seen.push(block)
      })
      expect(seen).toEqual(list)
      expect(hiddenOf(file)).toEqual(expectedHidden(t))
    }), { numRuns: 40 })
  })

  test('two files of interleaved sets hold together what one holds', async () => {
    await fc.assert(fc.asyncProperty(table({ columns: 6, rows: 8, pages: 6 }), fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), async (t, sides) => {
      const relation = relation2(t.desc, t.pages.length)
      const pages = joined(t.pages)
      const found = new Map<number, Uint8Array>()
      let rows = 0
      for (const side of [true, false]) {
        const blocks = BlockSet.of(t.pages.flatMap((_, block) => sides[block] === side ? [block] : []))
        const file = await write(relation, pages, blocks, { toast: t.toast })
        rows += file.rows
        new PageRebuilder(file.parquet).rebuild((block, page) => found.set(block, page.slice()))
      }
      expect([...found.keys()].sort((a, b) => a - b)).toEqual(t.pages.map((_, block) => block))
      for (const [block, page] of found) expectEqualPages(page, canonicalOf(t.pages[block]!.bytes))
      expect(rows).toBe(t.pages.reduce((sum, { bytes }) => sum + rowsOf(bytes), 0))
    }), { numRuns: 15 })
  })
})

/** Pages of 200 rows of one int4, which is the block and the row. */
function numbers(count: number): Uint8Array {
  const pages = new Uint8Array(count * 8192)
  const view = new DataView(pages.buffer)
  for (let at = 0; at < pages.length; at += 8192) {
    for (const [offset, value] of [[12, 824], [14, 1792], [16, 8192], [18, 0x2004]] as const) view.setUint16(at + offset, value, true)
    for (let i = 0; i < 200; i++) {
      const off = 8192 - (i + 1) * 32
      view.setUint32(at + 24 + i * 4, off | (1 << 15) | (28 << 17), true)
      view.setUint32(at + off, 4, true)
      view.setUint32(at + off + 12, ((at >> 13) << 16) | (at >> 29), true)
      for (const [offset, value] of [[16, i + 1], [18, 1], [20, 0x0900], [22, 24]] as const) view.setUint16(at + off + offset, value, true)
      view.setInt32(at + off + 24, (at >> 13) * 1000 + i, true)
    }
  }
  return pages
}

describe('a larger file', () => {
  const desc: RelationDescriptor['desc'] = {
    attributes: [{ attnum: 1, name: 'now', type: { oid: 23, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false }],
    types: [{ oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base', len: 4, align: 4, storage: 'p', delimiter: ',' }],
  }
  /** The column was called `before` when it got its field, and another type when it was created. */
  const relation: RelationDescriptor = { ...relationOf(desc, 3000), fields: [{ attnum: 1, id: 10_042, name: 'before' }] }
  const pages = numbers(3000)
  /** Gaps at both ends, and one behind every second block. */
  const blocks = BlockSet.of(Array.from({ length: 1400 }, (_, i) => 50 + i * 2))

  test('of several row groups and many runs is read by DuckDB and hyparquet', async () => {
    const { parquet, rows } = await write(relation, pages, blocks, { compression: 'zstd' })
    expect(rows).toBe(280_000)
    expect(readParquet(parquet).rowGroups).toBe(3)
    const path = writeFresh(directory, parquet)
    const found = await (await db.run(`select count(*), sum(before), count(distinct _ltap.block), min(_ltap.block), max(_ltap.block) from read_parquet('${path}')`)).getRows()
    const sum = [...blocks].reduce((total, block) => total + block * 200_000 + 19_900, 0)
    expect(found.map((row) => row.map(Number))).toEqual([[280_000, sum, 1400, 50, 2848]])
    const ids = await (await db.run(`select name, field_id from parquet_schema('${path}') where name = 'before'`)).getRows()
    expect(ids).toEqual([['before', 10_042n]])
    const file = new Uint8Array(parquet).buffer
    expect(parquetSchema(parquetMetadata(file)).children[0]!.element).toMatchObject({ name: 'before', field_id: 10_042 })
    const last = await parquetReadObjects({ file, compressors, rowStart: 279_999, rowEnd: 280_000 })
    expect(last).toMatchObject([{ before: 2_848_199, _ltap: { block: 2848n, offset: 200 } }])
    const wanted = Buffer.concat([...blocks].map((block) => pages.subarray(block * 8192, (block + 1) * 8192)))
    expectEqualPages(rebuildPages(parquet), wanted)
  })

  test('has a footer whose size follows the runs by a few bytes each', async () => {
    const { parquet } = await write(relation, pages, blocks)
    const text = readParquet(parquet).metadata.get(DESCRIPTOR_KEY)!
    const { parquet: dense } = await write(relation, pages, BlockSet.range(50, 1400))
    expect(text.length - readParquet(dense).metadata.get(DESCRIPTOR_KEY)!.length).toBeLessThan(1400 * 4 / 3 + 10)
    expect(parseFileDescriptor(text).blocks).toEqual(blocks)
  })

  test('a block that is not in the set, or not in its place, is found', async () => {
    const { parquet } = await write(relation, pages, BlockSet.of([1, 3, 5]))
    const other = await write(relation, pages, BlockSet.of([1, 4, 5]))
    const entry = readParquet(other.parquet).metadata.get(DESCRIPTOR_KEY)!
    const own = readParquet(parquet).metadata.get(DESCRIPTOR_KEY)!
    expect(entry.length).toBe(own.length)
    const at = Buffer.from(parquet).lastIndexOf(own)
    const forged = Buffer.from(parquet)
    forged.write(entry, at)
    expect(() => rebuildPages(forged)).toThrow(expect.objectContaining({ code: 'lake.blocks', reason: 'block 3 where 4 must follow' }))
  })
})
