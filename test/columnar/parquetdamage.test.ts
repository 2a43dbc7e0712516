import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { encodeParquet } from '../../src/parquet/parquetwriter.ts'
import { wasmPanicked } from '../../src/parquet/wasm.ts'
import { isPositioned } from '../../src/common/errors.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { lakeField, pushValue } from './lakevalues.ts'

const fields: LakeField[] = [
  { name: 'a', id: 1, type: { kind: 'long' } },
  lakeField('b', { kind: 'list', element: { kind: 'string' } }, { next: 2 }),
]

function file(compression: 'zstd' | 'none'): Uint8Array {
  const groups = [0, 1].map(() => {
    const columns = fields.map((field) => newVector(field.type))
    for (let row = 0; row < 50; row++) {
      pushValue(columns[0]!, BigInt(row))
      pushValue(columns[1]!, row % 5 === 0 ? null : [`s${row}`, null])
    }
    return { columns, rows: 50 }
  })
  return encodeParquet(fields, { compression, metadata: { k: 'v' } }, groups)
}

/** Reads all; damage may pass unseen inside values, but must never be another error, a hang, or another count of rows. */
function readAll(bytes: Uint8Array): 'read' | 'refused' {
  try {
    const reader = readParquet(bytes)
    for (let index = 0; index < reader.rowGroups; index++) {
      const { rows, columns } = reader.readRowGroup(index)
      expect(columns.every((column) => column.length === rows)).toBe(true)
    }
    return 'read'
  } catch (error) {
    if (isPositioned(error) && /^parquet\.|^arrow\./.test(error.code)) return 'refused'
    throw error
  }
}

/**
 * The file with `to` rows where its footer says `from`: in row groups and column chunks, and twice as many in all. Fields are i64 that follow
 * the field before (0x16), their values zigzag varints.
 */
function withRows(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const file = Buffer.from(bytes)
  const length = file.readUInt32LE(file.length - 8)
  const start = file.length - 8 - length
  let footer = file.subarray(start, file.length - 8)
  let changes = 0
  for (const [old, wanted] of [[from, to], [from * 2, to * 2]] as const) {
    const parts: Buffer[] = []
    const field = Buffer.concat([Buffer.of(0x16), zigzag(old)])
    let at = 0
    for (let next = footer.indexOf(field); next >= 0; next = footer.indexOf(field, at)) {
      parts.push(footer.subarray(at, next), Buffer.of(0x16), zigzag(wanted))
      at = next + field.length
      changes++
    }
    footer = Buffer.concat([...parts, footer.subarray(at)])
  }
  expect(changes).toBeGreaterThanOrEqual(4)
  const tail = Buffer.from(file.subarray(file.length - 8))
  tail.writeUInt32LE(footer.length)
  return new Uint8Array(Buffer.concat([file.subarray(0, start), footer, tail]))
}

function zigzag(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value * 2; ; left = Math.floor(left / 128)) {
    bytes.push(left < 128 ? left : (left % 128) | 0x80)
    if (left < 128) return Buffer.from(bytes)
  }
}

describe('a damaged Parquet file', () => {
  it('is refused when cut at any byte', () => {
    const bytes = file('zstd')
    expect(readAll(bytes)).toBe('read')
    for (let length = 0; length < bytes.length; length++) expect(readAll(bytes.subarray(0, length)), `cut at ${length}`).toBe('refused')
  })

  it.each([51, 1_000_000, 0x7fffffff, 0x80000000, 2 ** 40, 2 ** 52])('is refused when it claims row groups of %i rows everywhere', (rows) => {
    expect(readAll(withRows(file('none'), 50, rows))).toBe('refused')
  })

  it('is refused or read, but nothing else, when bytes change', () => {
    const files = [file('zstd'), file('none')]
    const changedBytes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.constantFrom(...files), changedBytes, (original, changes) => {
        const bytes = original.slice()
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        readAll(bytes)
      }),
      { numRuns: 5000 },
    )
  })

  it('is refused or read when any byte of its footer changes; panics are refusals and remembered', () => {
    const bytes = file('none')
    const footer = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true)
    for (let at = footer; at < bytes.length; at++) {
      for (const mask of [1, 0x10, 0x80, 0xff]) {
        const damaged = bytes.slice()
        damaged[at]! ^= mask
        readAll(damaged)
      }
    }
    expect(wasmPanicked()).toBe(true)
  })
})
