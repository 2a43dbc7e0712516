import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import type { Attribute, TupleDesc } from '../../src/catalog/tupledesc.ts'
import { Batch } from '../../src/columnar/batch.ts'
import { compile } from '../../src/columnar/compile.ts'
import { encodeFileDescriptor, type FileDescriptor, parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import type { TupleDecoder } from '../../src/columnar/decodetuple.ts'
import { relationSchema } from '../../src/columnar/schema.ts'
import { code, codeLines } from '../../src/columnar/sourcetext.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { joined, table } from '../support/arbitrarypages.ts'
import { CANARIES, CANARY, descriptorOf, forgeFile, withDescriptor } from '../support/forge.ts'
import { clusterOf, relationOf, transcodeOptions } from '../support/relation.ts'

/** Code is generated from 64 blocks on. */
const COPIES = 32

afterEach(() => {
  vi.resetModules()
  vi.doUnmock('../../src/columnar/sourcetext.ts')
  delete (globalThis as Record<string, unknown>)[CANARY]
})

describe('a forged descriptor', () => {
  test.each([7])('runs nothing and is refused with its member, table %i', (seed) => {
    const t = fc.sample(table({ columns: 6, rows: 6, pages: 2 }), { seed, numRuns: 20 }).find(({ desc, pages }) => desc.attributes.length > 3 && pages.length > 1)!
    const pages = Array.from({ length: COPIES }, () => t.pages).flat()
    const { parquet } = transcodePages(relationOf(t.desc, pages.length), joined(pages), transcodeOptions({ toast: t.toast }))
    expect(withDescriptor(parquet, descriptorOf(parquet))).toEqual(parquet)
    const report = forgeFile(parquet)
    expect(report.faults).toEqual([])
    expect(report.mutants).toBeGreaterThan(500)
    expect(report.refused).toBeGreaterThan(report.right)
  })
})

const BOOL = { oid: 16, name: 'bool', schema: 'pg_catalog', kind: 'base' as const, len: 1, align: 1, storage: 'p', delimiter: ',' }
const INT4 = { ...BOOL, oid: 23, name: 'int4', len: 4, align: 4 }

function attribute(attnum: number, type: number, more: Partial<Attribute> = {}): Attribute {
  return { attnum, name: `c${attnum}`, type: { oid: type, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false, ...more }
}

function parse(desc: TupleDesc, more: Partial<FileDescriptor> = {}): FileDescriptor {
  const whole = { format: 1 as const, blockSize: 8192, ...clusterOf(true), relation: relationOf(desc, 12), blocks: BlockSet.range(0, 12), pageFlags: 0, displayScales: {} }
  return parseFileDescriptor(encodeFileDescriptor({ ...whole, ...more }))
}

/** The descriptor of a boolean column whose length is code, as the parser once let it through. */
function forgedSchema() {
  const desc = { attributes: [attribute(1, 16, { len: JSON.parse(CANARIES[0]!) as number, align: 1 })], types: [BOOL] }
  return relationSchema({ major: 17, profile: 'portable', encoding: 6, desc, displayScales: {}, pageFlags: 0 })
}

describe('generated code', () => {
  test('takes integers and source text only', () => {
    expect(code`a = ${-4} + ${10 ** 16}; ${codeLines([code`b`, code`c`], ' & ')}`.text).toBe('a = -4 + 10000000000000000; b & c')
    const odd: unknown[] = ['1', '(x)', [4], { text: 'x' }, { toString: () => '4' }, null, undefined, Number.NaN, Infinity, 1.5, 1e21, 4n, true, new Number(4)]
    for (const value of odd) expect(() => code`a = ${value as number}`, String(value)).toThrow('ltap bug')
    expect(() => codeLines(['x' as never])).toThrow('ltap bug')
    expect(() => compile([], { text: 'return 1' } as never)).toThrow('ltap bug')
  })

  test('is not made of a forged length', async () => {
    const { generateDecoder } = await import('../../src/columnar/generatedecoder.ts')
    const schema = forgedSchema()
    expect(() => generateDecoder(schema, new Batch(schema), {} as TupleDecoder)).toThrow('generated code takes integers only')
  })

  test('planted fault: without the assertion the canary runs', async () => {
    vi.resetModules()
    vi.doMock('../../src/columnar/sourcetext.ts', () => {
      class SourceText {
        text = ''
        toString(): string { return this.text }
      }
      const made = (text: string): SourceText => Object.assign(new SourceText(), { text })
      return {
        SourceText, code: (literals: TemplateStringsArray, ...parts: unknown[]) => made(literals.map((literal, i) => (i ? String(parts[i - 1]) : '') + literal).join('')),
        codeLines: (parts: unknown[], separator = '\n') => made(parts.join(separator)),
      }
    })
    const { generateDecoder } = await import('../../src/columnar/generatedecoder.ts')
    const schema = forgedSchema()
    const decode = generateDecoder(schema, new Batch(schema), {} as TupleDecoder)!
    const page = new ArrayBuffer(8192)
    const buffer = { bytes: new Uint8Array(page), words: new Int32Array(page), view: new DataView(page) }
    buffer.view.setUint16(4096 + 18, 1, true)
    buffer.bytes[4096 + 22] = 24
    decode(buffer, 0, 1, Int32Array.of(4096), Int32Array.of(40), Uint8Array.of(1))
    expect((globalThis as Record<string, unknown>)[CANARY]).toBe(1)
  })
})

describe('members that contradict each other', () => {
  const composite = (oid: number, of: number[]) => ({
    ...BOOL, oid, name: `t${oid}`, schema: 'public', kind: 'composite' as const, len: -1, align: 8, storage: 'x',
    fields: of.map((type) => ({ name: 'f', type: { oid: type, typmod: -1 }, len: -1, align: 8, plain: false, dropped: false })),
  })
  const varlena = (type: number): Attribute => attribute(1, type, { len: -1, align: 8, plain: false })
  const good: TupleDesc = { attributes: [attribute(1, 23)], types: [INT4] }

  test.each<[string, TupleDesc, Partial<FileDescriptor>]>([
    ['relation.desc.types[0].oid is 25, but pg_catalog.int4 has 23', { attributes: [attribute(1, 25)], types: [{ ...INT4, oid: 25 }] }, {}],
    ['relation.desc.types[0].len is 8, but pg_catalog.int4 has 4', { attributes: [attribute(1, 23, { len: 8 })], types: [{ ...INT4, len: 8 }] }, {}],
    ['attributes[0].len is 8, but its type has 4', { attributes: [attribute(1, 23, { len: 8 })], types: [INT4] }, {}],
    ['attributes[0].align is 8, but its type has 4', { attributes: [attribute(1, 23, { align: 8 })], types: [INT4] }, {}],
    ['attributes[0].attnum is 2, not 1', { attributes: [attribute(2, 23)], types: [INT4] }, {}],
    ['attributes[0].type.oid is 99, which is not among the types', { attributes: [attribute(1, 99)], types: [INT4] }, {}],
    ['attributes[0].missing has not 4 bytes', { attributes: [attribute(1, 23, { missing: '00' })], types: [INT4] }, {}],
    ['attributes[0].plain is false for a length of 4', { attributes: [attribute(1, 23, { plain: false })], types: [INT4] }, {}],
    ['types[1].oid is 23, as another type\'s', { attributes: [], types: [INT4, INT4] }, {}],
    ['types[0] contains itself', { attributes: [varlena(9)], types: [composite(9, [9])] }, {}],
    ['has more than 200000 fields', { attributes: [varlena(9)], types: Array.from({ length: 9 }, (_, i) => composite(9 + i, i < 8 ? Array<number>(10).fill(10 + i) : [])) }, {}],
    ['nested more than 64 deep', { attributes: [varlena(9)], types: Array.from({ length: 90 }, (_, i) => composite(9 + i, i < 89 ? [10 + i] : [])) }, {}],
    ['blockCount is 12 from block 1 on', good, { blocks: BlockSet.range(1, 12) }],
    ['displayScales[2] is of no attribute', good, { displayScales: { 2: 2 } }],
  ])('%s', (message, desc, more) => {
    expect(() => parse(desc, more)).toThrow(message)
  })

  test('a descriptor of nothing contradictory is taken', () => {
    expect(parse(good).relation.desc).toEqual(good)
    expect(() => parse(good, { major: 19 as never })).toThrow('Postgres 19')
    expect(() => parse(good, { format: 3 as never })).toThrow('format version 3')
    expect(() => parse(good, { columns: 1 } as never)).toThrow('a member columns that this ltap does not know')
  })
})
