import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { encodeFileDescriptor, type FileDescriptor, parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import type { ColumnFields } from '../../src/columnar/columnfields.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import { utf8Encode } from '../../src/common/utf8.ts'
import { clusterOf, relationOf } from '../support/relation.ts'

const desc = {
  attributes: [{ attnum: 1, name: 'größe', type: { oid: 23, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false }],
  types: [{ oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base' as const, len: 4, align: 4, storage: 'p', delimiter: ',' }],
}
const descriptor: FileDescriptor = {
  format: 1, blockSize: 8192, ...clusterOf(true), relation: relationOf(desc, 12), blocks: BlockSet.range(0, 12), pageFlags: 0, displayScales: { 1: 2 },
}

describe('file descriptor', () => {
  test('there and back; it is JSON', () => {
    const text = encodeFileDescriptor(descriptor)
    expect(parseFileDescriptor(text)).toEqual(descriptor)
    const { blocks, ...rest } = descriptor
    expect(JSON.parse(text)).toMatchObject({ ...rest, firstBlock: 0, blockCount: blocks.size })
  })

  test('a set of blocks is written as one run, and refused if it has a gap', () => {
    for (const blocks of [BlockSet.EMPTY, BlockSet.range(3, 1), BlockSet.of([7, 5, 6])]) {
      const text = encodeFileDescriptor({ ...descriptor, blocks })
      expect(parseFileDescriptor(text).blocks).toEqual(blocks)
      expect(JSON.parse(text)).toMatchObject({ firstBlock: blocks.runs[0]?.first ?? 0, blockCount: blocks.size })
    }
    const gap = (): string => encodeFileDescriptor({ ...descriptor, blocks: BlockSet.of([5, 7]) })
    expect(gap).toThrow(UnsupportedError)
    expect(gap).toThrow('lake.blocks')
  })

  test('no changed, missing or added character passes, though most would still be JSON', () => {
    const text = encodeFileDescriptor(descriptor)
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === '1' ? '2' : '1'
      for (const damaged of [text.slice(0, at) + other + text.slice(at + 1), text.slice(0, at) + text.slice(at + 1), `${text.slice(0, at)} ${text.slice(at)}`]) {
        expect(() => parseFileDescriptor(damaged), damaged).toThrow(CorruptionError)
      }
    }
    for (const foreign of [undefined, '', '{}', 'null', '{"format":1}', JSON.stringify(descriptor)]) expect(() => parseFileDescriptor(foreign)).toThrow(CorruptionError)
  })

  test('of another format version', () => {
    const text = JSON.stringify({ ...descriptor, format: 3 })
    const entry = `{"crc32c":"${crc32c(utf8Encode(text)).toString(16).padStart(8, '0')}",${text.slice(1)}`
    expect(() => parseFileDescriptor(entry)).toThrow(expect.objectContaining({ name: 'UnsupportedError', reason: 'format version 3, this ltap reads 1 and 2: use a newer ltap' }))
  })
})

describe('file descriptor of format 2', () => {
  const fields = [{ attnum: 1, id: 1, name: 'before' }]
  const relation = { ...relationOf(desc, 12), fields }
  const layered: FileDescriptor = { ...descriptor, format: 2, relation, blocks: BlockSet.of([0, 5, 6, 11]), compressor: 'parquet-wasm' }

  test('there and back, with gaps, names and ids', () => {
    expect(parseFileDescriptor(encodeFileDescriptor(layered))).toEqual(layered)
    expect(JSON.parse(encodeFileDescriptor(layered))).not.toHaveProperty('firstBlock')
  })

  test('members that do not fit each other are damage', () => {
    const given = (more: Partial<FileDescriptor>): (() => unknown) => () => parseFileDescriptor(encodeFileDescriptor({ ...layered, ...more }))
    const withFields = (...changed: ColumnFields[]): (() => unknown) => given({ relation: { ...relation, fields: changed } })
    expect(given({ blocks: BlockSet.of([3, 12]) })).toThrow('blocks has block 12, but the relation has 12')
    expect(withFields()).toThrow('relation.fields has 0 columns, the table 1')
    expect(withFields({ attnum: 2, id: 1, name: 'a' })).toThrow('relation.fields[0].attnum is 2, not 1')
    expect(withFields({ attnum: 1, id: 1, name: '_LTAP' })).toThrow('relation.fields[0].name is taken')
    expect(withFields({ attnum: 1, id: 10_001, name: 'a', nested: [{ id: 10_001, name: 'b' }] })).toThrow('has the id 10001, which is there twice')
    expect(withFields({ attnum: 1, id: 1_000_000, name: 'a' })).toThrow('relation.fields[0].id is 1000000')
    expect(given({ compressor: 'Ünknown' })).toThrow('compressor')
    const header = { typmod: 5, block: 7, offset: 65532, infomask: 0x0c00 }
    expect(given({ compositeHeaders: { 23: header } })).toThrow('compositeHeaders[23] is of no composite type')
    const row = { oid: 16_400, name: 'row', schema: 'public', kind: 'composite' as const, len: -1, align: 8, storage: 'x', delimiter: ',', fields: [] }
    const withRow = { ...relation, desc: { ...desc, types: [...desc.types, row] } }
    expect(given({ relation: withRow, compositeHeaders: { 16400: header } })()).toMatchObject({ compositeHeaders: { 16400: header } })
    expect(given({ relation: withRow, compositeHeaders: { 16400: { ...header, offset: 65_536 } } })).toThrow('compositeHeaders["16400"].offset is 65536')
    expect(() => parseFileDescriptor(encodeFileDescriptor({ ...descriptor, compositeHeaders: { 16400: header } }))).toThrow('compositeHeaders')
    expect(() => parseFileDescriptor(encodeFileDescriptor({ ...descriptor, relation }))).toThrow('relation.fields')
    expect(() => parseFileDescriptor(encodeFileDescriptor({ ...layered, relation: relationOf(desc, 12) }))).toThrow('relation.fields is missing')
  })
})
