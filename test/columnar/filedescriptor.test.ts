import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { encodeFileDescriptor, type FileDescriptor, parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
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

  test('a set of blocks is written as one run, and refused if it is none', () => {
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
    expect(() => parseFileDescriptor(encodeFileDescriptor({ ...descriptor, format: 2 }))).toThrow(UnsupportedError)
  })
})
