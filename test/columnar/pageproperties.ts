import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Batch } from '../../src/columnar/batch.ts'
import { PageDecoder } from '../../src/columnar/decodepage.ts'
import { TupleDecoder } from '../../src/columnar/decodetuple.ts'
import { PageFormer } from '../../src/columnar/formpage.ts'
import { generateDecoder } from '../../src/columnar/generatedecoder.ts'
import { PageTranscoder } from '../../src/columnar/pagetranscoder.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { type AttributePlan, relationSchema, type RelationSchema } from '../../src/columnar/schema.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { ByteWriter } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import type { Vector } from '../../src/vector/vector.ts'
import { canonicalPage, newPageBuffer, pageChecksum } from '../../src/page/index.ts'
import {
  type ArbitraryTable, type ArbitraryTuple, canonicalOf, joined, table, VISIBILITY,
} from '../support/arbitrarypages.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { type Value, valueAt } from './lakevalues.ts'

const SMALL = table({ columns: 14, rows: 12, pages: 3 })
const WIDE = table({ columns: 40, rows: 30, pages: 2 })
const TABLES = fc.oneof({ weight: 5, arbitrary: SMALL }, { weight: 1, arbitrary: WIDE })

function canonicalPages(pages: Uint8Array): Uint8Array {
  const out = new Uint8Array(pages.length)
  for (let at = 0; at < pages.length; at += 8192) out.set(canonicalOf(pages.subarray(at, at + 8192)), at)
  return out
}

export function expectEqualPages(found: Uint8Array, wanted: Uint8Array): void {
  expect(found.length).toBe(wanted.length)
  const at = found.findIndex((byte, i) => byte !== wanted[i])
  if (at >= 0) expect.fail(`block ${at >> 13}, byte ${at & 8191}: ${found[at]} instead of ${wanted[at]}`)
}

const schemaOf = (t: ArbitraryTable, displayScales: Record<number, number> = {}): RelationSchema =>
  relationSchema({ major: 17, profile: 'portable', encoding: 6, desc: t.desc, pageFlags: 0, displayScales })

const wordsOf = (pages: Uint8Array): Int32Array => new Int32Array(pages.buffer, 0, pages.length / 4)

function transcodeBatch(t: ArbitraryTable, schema: RelationSchema): { batch: Batch; transcoder: PageTranscoder } {
  const transcoder = new PageTranscoder(schema, { visibility: VISIBILITY, toast: t.toast, checksums: false, onCorrupt: 'fail' })
  const words = wordsOf(joined(t.pages))
  t.pages.forEach((_, block) => transcoder.add(words, block * 2048, block))
  return { batch: new Batch(schema, transcoder.takeRowGroup().vectors), transcoder }
}

function* valuesOf(batch: Batch): Iterable<[field: string, row: number, value: Value]> {
  const vectors = batch.seal()
  for (const [i, field] of batch.schema.fields.entries()) {
    for (let row = 0; row < batch.rows; row++) yield [field.name, row, valueAt(vectors[i]!, field.type, row)]
  }
}

/** What PageTranscoder asks of generated code before it believes it. */
function formsBack(batch: Batch, first: number, block: number, canonical: Uint8Array): boolean {
  const page = newPageBuffer()
  try {
    new PageFormer(batch, false).form(first, batch.rows, block, page)
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof ParseError) return false
    throw error
  }
  return Buffer.compare(page.bytes, canonical) === 0
}

/** Rows that each block has: its line pointers up to the last one that is not zero, at least one. */
export function rowsOf(page: Uint8Array): number {
  const view = new DataView(page.buffer, page.byteOffset)
  let count = (Math.max(view.getUint16(12, true), 24) - 24) >> 2
  while (count > 0 && view.getUint32(20 + count * 4, true) === 0) count--
  return Math.max(count, 1)
}

/** Visits every row of the file with the tuple that it came from, undefined for structure rows. */
export function forEachRow(t: ArbitraryTable, visit: (row: number, tuple: ArbitraryTuple | undefined) => void): number {
  let row = 0
  for (const page of t.pages) {
    for (let i = 0; i < rowsOf(page.bytes); i++) visit(row++, page.tuples[i])
  }
  return row
}

/** The laws of transcoding over arbitrary tables and pages, `runs` times each. */
export function pageProperties(runs: number): void {
  describe('arbitrary pages', () => roundTrips(runs))
  describe('generated code and interpreter', () => sameCode(runs))
  describe('lanes', () => lanes(runs))
}

function roundTrips(runs: number): void {
  test('rebuild(transcode(pages)) = canonical(pages)', () => {
    fc.assert(fc.property(TABLES, fc.constantFrom('none' as const, 'zstd' as const, 'snappy' as const), (t, compression) => {
      const pages = joined(t.pages)
      const file = transcodePages(relationOf(t.desc, t.pages.length), pages, transcodeOptions({ toast: t.toast, compression }))
      expectEqualPages(rebuildPages(file.parquet), canonicalPages(pages))
      expect(file.lanes.pages).toBe(t.pages.length)
      expect(file.damaged).toEqual([])
    }), { numRuns: runs })
  })

  test('with checksums, rebuilt pages carry theirs', () => {
    fc.assert(fc.property(SMALL, (t) => {
      const pages = joined(t.pages)
      const wanted = canonicalPages(pages)
      for (const from of [pages, wanted]) {
        t.pages.forEach((_, block) => {
          const page = from.subarray(block * 8192, (block + 1) * 8192)
          if (page.some((byte) => byte !== 0)) new DataView(page.buffer, page.byteOffset).setUint16(8, pageChecksum(page, block), true)
        })
      }
      const file = transcodePages(relationOf(t.desc, t.pages.length), pages, transcodeOptions({ toast: t.toast, checksums: true }))
      expectEqualPages(rebuildPages(file.parquet), wanted)
    }), { numRuns: runs / 2 })
  })

  test('the same file again, from the same pages and from canonical ones', () => {
    fc.assert(fc.property(SMALL, (t) => {
      const pages = joined(t.pages)
      const make = (from: Uint8Array): Uint8Array =>
        transcodePages(relationOf(t.desc, t.pages.length), from, transcodeOptions({ toast: t.toast })).parquet
      const file = make(pages)
      expect(Buffer.compare(make(pages.slice()), file)).toBe(0)
      expect(Buffer.compare(make(canonicalPages(pages)), file)).toBe(0)
    }), { numRuns: runs / 2 })
  })
}

function sameCode(runs: number): void {
  test('decode the same values', () => {
    let declined = 0
    let decoded = 0
    fc.assert(fc.property(TABLES, fc.constantFrom(0, 2), (t, scale) => {
      const schema = schemaOf(t, Object.fromEntries(t.columns.map(({ attribute }) => [attribute.attnum, scale])))
      const sides = [true, false].map((generate) => {
        const batch = new Batch(schema)
        const tuples = new TupleDecoder(batch, new PageFormer(batch, false).tuples, t.toast, false)
        const code = generate ? generateDecoder(schema, batch, tuples) : undefined
        return { batch, decoder: new PageDecoder(batch, tuples, VISIBILITY, () => {}, code) }
      })
      const canonical = newPageBuffer()
      const words = wordsOf(joined(t.pages))
      t.pages.forEach((_, block) => {
        canonicalPage(words, block * 2048, canonical)
        const before = sides.map(({ batch }) => batch.rows)
        const [generated, interpreted] = sides.map(({ decoder }) => decoder.decode(canonical, block, false))
        expect(interpreted).toBe(true)
        decoded++
        if (generated && formsBack(sides[0]!.batch, before[0]!, block, canonical.bytes)) return
        declined++
        sides.forEach(({ batch }, i) => batch.truncate(before[i]!))
      })
      expect([...valuesOf(sides[0]!.batch)]).toEqual([...valuesOf(sides[1]!.batch)])
    }), { numRuns: runs })
    // Missing values, more attributes than the descriptor's and what does not form back go to the interpreter; the rest does not.
    expect(decoded - declined).toBeGreaterThan(decoded / 10)
  })

  test('form the same pages', () => {
    fc.assert(fc.property(TABLES, fc.constantFrom(0, 2), (t, scale) => {
      const schema = schemaOf(t, Object.fromEntries(t.columns.map(({ attribute }) => [attribute.attnum, scale])))
      const { batch } = transcodeBatch(t, schema)
      const formers = [new PageFormer(batch, true), new PageFormer(batch, false)]
      const page = newPageBuffer()
      let first = 0
      t.pages.forEach(({ bytes }, block) => {
        const rows = rowsOf(bytes)
        for (const former of formers) {
          expect(former.form(first, first + rows, block, page)).toBe('canonical')
          expectEqualPages(page.bytes, canonicalOf(bytes))
        }
        first += rows
      })
      expect(first).toBe(batch.rows)
    }), { numRuns: runs })
  })
}

function lanes(runs: number): void {
  test('hidden rows are structure rows and those that the visibility rule hides', () => {
    fc.assert(fc.property(SMALL, (t) => {
      const { transcoder, batch } = transcodeBatch(t, schemaOf(t))
      const hidden: number[] = []
      const rows = forEachRow(t, (row, tuple) => {
        if (!tuple || !VISIBILITY.isVisible(tuple.xmin, tuple.xmax, tuple.infomask)) hidden.push(row)
      })
      expect(batch.rows).toBe(rows)
      expect(transcoder.hidden).toEqual(hidden)
      const file = transcodePages(relationOf(t.desc, t.pages.length), joined(t.pages), transcodeOptions({ toast: t.toast }))
      const group = file.hidden && readParquet(file.hidden).readRowGroup(0)
      const position = (row: number): number => Number(valueAt(group!.columns[0]!, { kind: 'long' }, row))
      expect(Array.from({ length: group?.rows ?? 0 }, (_, row) => position(row))).toEqual(hidden)
    }), { numRuns: runs / 2 })
  })

  test('column and overflow hold what the codec makes of each value alone; what is not NULL is not NULL in both', () => {
    fc.assert(fc.property(TABLES, (t) => {
      const schema = schemaOf(t)
      const { batch } = transcodeBatch(t, schema)
      forEachRow(t, (row, tuple) => {
        for (const [i, plan] of schema.attributes.entries()) {
          if (plan.column) expect([row, i, ...foundIn(batch, plan, row)]).toEqual([row, i, ...expectedOf(t, plan, i, tuple)])
        }
      })
    }), { numRuns: runs })
  })
}

function foundIn(batch: Batch, { column }: AttributePlan, row: number): [Value, string | null] {
  const text = column!.overflow < 0 ? undefined : batch.overflow[column!.overflow]!
  const value = valueAt(batch.columns[column!.index]!, column!.codec.column, row)
  return [value, !text || text.isNull(row) ? null : Buffer.from(text.view(row)).toString('latin1')]
}

function expectedOf(t: ArbitraryTable, { column }: AttributePlan, i: number, tuple: ArbitraryTuple | undefined): [Value, string | null] {
  if (!tuple || tuple.extra > 0) return [null, null]
  const value = tuple.values[i]
  const payload = value === undefined ? t.columns[i]!.missing : value?.payload
  if (!payload) return [null, null]
  const { codec, overflow } = column!
  if (value?.form === 'dangling' && !t.columns[i]!.attribute.plain) {
    return [null, overflow < 0 ? null : expect.stringMatching(/^\\x0112/) as string]
  }
  const vector: Vector = newVector(codec.column)
  const native = codec.decode(payload, 0, payload.length, vector)
  const text = new ByteWriter()
  if (!native) codec.text(payload, 0, payload.length, text)
  const found = valueAt(vector, codec.column, 0)
  expect(native ? found !== null : codec.overflows).toBe(true)
  return [found, native ? null : Buffer.from(text.take()).toString('latin1')]
}
