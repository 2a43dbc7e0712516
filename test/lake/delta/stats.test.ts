import { expect, test } from 'vitest'
import type { ColumnBounds } from '../../../src/columnar/columnbounds.ts'
import { BlockSet } from '../../../src/common/blockset.ts'
import { deltaStats } from '../../../src/lake/delta/stats.ts'
import { column } from '../../support/publishedtables.ts'

function stats(columns: Parameters<typeof deltaStats>[1], bounds: readonly ColumnBounds[]): unknown {
  return JSON.parse(deltaStats({ key: 'k', bytes: 1, rows: 10, columns: bounds, hidden: BlockSet.EMPTY }, columns))
}

const long = (value: bigint): Uint8Array => new Uint8Array(BigInt64Array.of(value).buffer)
const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)
const double = (value: number): Uint8Array => new Uint8Array(Float64Array.of(value).buffer)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const day = (iso: string): Uint8Array => int(Date.parse(`${iso}T00:00:00Z`) / 86_400_000)
const micros = (iso: string, more: number): bigint => BigInt(Date.parse(iso)) * 1000n + BigInt(more)

test.each<[string, Parameters<typeof column>[2], Uint8Array, Uint8Array, string | undefined, string | undefined]>([
  ['int', { kind: 'int' }, int(-5), int(7), '-5', '7'],
  ['long beyond 2^53', { kind: 'long' }, long(-(2n ** 63n)), long(2n ** 63n - 1n), '-9223372036854775808', '9223372036854775807'],
  ['double', { kind: 'double' }, double(-0), double(1e300), '-0.0', '1e+300'],
  ['endless double', { kind: 'double' }, double(-Infinity), double(1.5), undefined, '1.5'],
  ['float', { kind: 'float' }, new Uint8Array(Float32Array.of(0.1).buffer), new Uint8Array(Float32Array.of(2).buffer), '0.10000000149011612', '2'],
  ['decimal', { kind: 'decimal', precision: 12, scale: 2 }, Uint8Array.of(0xff), Uint8Array.of(0x01, 0x00), '-0.01', '2.56'],
  ['whole decimal', { kind: 'decimal', precision: 3, scale: 0 }, Uint8Array.of(0x80), Uint8Array.of(0x7f), '-128', '127'],
  ['date', { kind: 'date' }, day('1582-10-15'), day('9999-12-31'), '"1582-10-15"', '"9999-12-31"'],
  ['date of another calendar, and of five digits', { kind: 'date' }, day('1582-10-14'), int(2_932_897), undefined, undefined],
  ['timestamptz', { kind: 'timestamp', utc: true }, long(micros('2024-02-29T12:00:00.123Z', 456)), long(micros('2024-02-29T12:00:00.123Z', 456)),
    '"2024-02-29T12:00:00.123Z"', '"2024-02-29T12:00:00.124Z"'],
  ['timestamp before 1970', { kind: 'timestamp', utc: false }, long(-1n), long(-1000n), '"1969-12-31T23:59:59.999"', '"1969-12-31T23:59:59.999"'],
  ['last microsecond of 9999', { kind: 'timestamp', utc: false }, long(0n), long(micros('9999-12-31T23:59:59.999Z', 1)), '"1970-01-01T00:00:00.000"', undefined],
  ['string', { kind: 'string' }, text('a"\u0001'), text('\u{1f600}é'), '"a\\"\\u0001"', '"\u{1f600}é"'],
  ['boolean', { kind: 'boolean' }, Uint8Array.of(0), Uint8Array.of(1), undefined, undefined],
  ['binary', { kind: 'binary' }, Uint8Array.of(0), Uint8Array.of(1), undefined, undefined],
])('bounds of %s', (_, type, lower, upper, min, max) => {
  const json = deltaStats({ key: 'k', bytes: 1, rows: 10, columns: [{ id: 1, nulls: 2, lower, upper }], hidden: BlockSet.EMPTY }, [column(1, 'c', type)])
  const parts = [...(min === undefined ? [] : [`"minValues":{"c":${min}}`]), ...(max === undefined ? [] : [`"maxValues":{"c":${max}}`]), '"nullCount":{"c":2}']
  expect(json).toBe(`{"numRecords":10,"tightBounds":false,${parts.join(',')}}`)
})

test('columns are called by their physical names, within their structs; the lake\'s own have no bounds', () => {
  const columns = [
    { ...column(1, 'new', { kind: 'int' }), physicalName: 'old' },
    column(2, 'pair', { kind: 'struct', fields: [{ name: 'a', type: { kind: 'int' } }, { name: 'b', type: { kind: 'int' } }] },
      [{ ...column(3, 'x', { kind: 'int' }), physicalName: 'a' }, column(4, 'b', { kind: 'int' })]),
    column(5, 'nan', { kind: 'double' }), column(6, 'unknown', { kind: 'int' }),
    column(1_000_000, '_ltap', { kind: 'struct', fields: [{ name: 'block', type: { kind: 'int' } }] }, [column(1_000_001, 'block', { kind: 'int' })]),
  ]
  const bounds = [{ id: 1, nulls: 0, lower: int(1), upper: int(2) }, { id: 3, nulls: 1, lower: int(3), upper: int(4) }, { id: 5, nulls: 0, nans: 1 },
    { id: 1_000_001, nulls: 0, lower: int(0), upper: int(9) }]
  expect(stats(columns, bounds)).toEqual({
    numRecords: 10, tightBounds: false, minValues: { old: 1, pair: { a: 3 } }, maxValues: { old: 2, pair: { a: 4 } }, nullCount: { old: 0, pair: { a: 1 }, nan: 0 },
  })
  expect(stats(columns.slice(-1), bounds)).toEqual({ numRecords: 10, tightBounds: false })
})
