/** What a layer keeps of a file, against the rows that it has and a plain rule for each type. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BoundsCollector, type ColumnBounds } from '../../src/columnar/columnbounds.ts'
import { PageRebuilder } from '../../src/columnar/rebuild.ts'
import type { FileSummary, TransactionStates } from '../../src/columnar/filesummary.ts'
import { transcodeFile } from '../../src/columnar/transcode.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { type ColumnType, newVector } from '../../src/vector/columntype.ts'
import { type ArbitraryTable, type ArbitraryTuple, canonicalOf, joined, table } from '../support/arbitrarypages.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { StrictPages } from '../support/strictpages.ts'
import { LEAVES, pushValue, type Value, valueAt, valueOf } from './lakevalues.ts'
import { forEachRow, rowsOf } from './pageproperties.ts'

/** As VISIBILITY of arbitrarypages, with transactions that are open. */
const STATES: TransactionStates = {
  xminStatus: (xmin) => ['committed', 'committed', 'in-progress', 'aborted'][xmin % 4]!,
  xmaxStatus: (xmax, infomask) => xmax === 0 ? 'none' : infomask & 0x0800 ? 'aborted' : ['aborted', 'committed', 'in-progress'][xmax % 3]!,
  deleter: (xmax) => xmax,
  nextXid: { low: 5000, epoch: 3 },
}

async function summaryOf(t: ArbitraryTable): Promise<{ parquet: Uint8Array; summary: FileSummary }> {
  const parts: Uint8Array[] = []
  const found = await transcodeFile(relationOf(t.desc, t.pages.length), new StrictPages(joined(t.pages)), BlockSet.range(0, t.pages.length),
    transcodeOptions({ toast: t.toast, transactions: STATES }), (bytes) => void parts.push(bytes.slice()))
  if ('wanted' in found) throw new Error('an overflow child is wanted')
  return { parquet: Buffer.concat(parts), summary: found.summary! }
}

/** [row, full xid, which] of every row that is open. */
function openRows(tuple: ArbitraryTuple | undefined, row: number): [number, number, string][] {
  if (!tuple) return []
  const full = (xid: number): number => xid < 3 ? xid : (xid > 5000 ? 2 : 3) * 2 ** 32 + xid
  const deleter = STATES.xmaxStatus(tuple.xmax, tuple.infomask)
  const inserter = STATES.xminStatus(tuple.xmin, tuple.infomask)
  if (inserter === 'aborted' || deleter === 'committed') return []
  return [
    ...inserter === 'in-progress' ? [[row, full(tuple.xmin), 'xmin'] as [number, number, string]] : [],
    ...deleter === 'in-progress' ? [[row, full(tuple.xmax), 'xmax'] as [number, number, string]] : [],
  ]
}

const byRow = (a: readonly unknown[], b: readonly unknown[]): number => (a[0] as number) - (b[0] as number) || String(b[2]).localeCompare(String(a[2]))

describe('the summary of a file', () => {
  test('has hidden and open rows, and the states of its pages', async () => {
    await fc.assert(fc.asyncProperty(table({ columns: 5, rows: 20, pages: 3 }), async (t) => {
      const { summary, parquet } = await summaryOf(t)
      const hidden: number[] = []
      const open: [number, number, string][] = []
      forEachRow(t, (row, tuple) => {
        open.push(...openRows(tuple, row))
        if (!tuple || tuple.xmin % 4 >= 2 || STATES.xmaxStatus(tuple.xmax, tuple.infomask) === 'committed') hidden.push(row)
      })
      expect([...summary.hidden]).toEqual(hidden)
      const runs = summary.unresolved
      expect(runs.flatMap(({ first, count, xid, which }) => Array.from({ length: count }, (_, i) => [first + i, xid, which])).sort(byRow)).toEqual(open.sort(byRow))
      expect([...summary.pages.rows]).toEqual(t.pages.map(({ bytes }) => rowsOf(bytes)))
      expect([...summary.pages.crcs]).toEqual(t.pages.map(({ bytes }) => crc32c(canonicalOf(bytes))))
      expect([...summary.pages.lsns]).toEqual(t.pages.flatMap(({ bytes }) => [Buffer.from(bytes).readUInt32LE(0), Buffer.from(bytes).readUInt32LE(4)]))
      expect(summary.damaged.size).toBe(0)
      expect(new PageRebuilder(parquet).rows).toBe(summary.pages.rows.reduce((a, b) => a + b, 0))
    }), { numRuns: 40 })
  })

  test('has bounds over rows that somebody sees or may see', async () => {
    await fc.assert(fc.asyncProperty(table({ columns: 12, rows: 12, pages: 2 }), async (t) => {
      const { summary, parquet } = await summaryOf(t)
      const dead = new Set<number>()
      const rows = forEachRow(t, (row, tuple) => {
        const gone = !tuple || tuple.xmin % 4 === 3 || STATES.xmaxStatus(tuple.xmax, tuple.infomask) === 'committed'
        if (gone) dead.add(row)
      })
      const reader = readParquet(parquet)
      const group = reader.readRowGroup(0)
      const expected = reader.fields.flatMap((field, i) => {
        if (field.name === '_ltap' || field.name === '_overflow') return []
        return leaves(field, Array.from({ length: rows }, (_, row) => valueAt(group.columns[i]!, field.type, row)))
      }).map(({ field, values }) => boundsOf(field, values, (row) => !dead.has(row)))
      expect(summary.columns.map(plain)).toEqual(expected.map(plain))
    }), { numRuns: 60 })
  })
})

const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')
const plain = ({ lower, upper, ...rest }: ColumnBounds): object => ({ ...rest, lower: hex(lower), upper: hex(upper) })

function leaves(field: LakeField, values: readonly Value[]): { field: LakeField; values: readonly Value[] }[] {
  if (field.type.kind === 'list' || field.type.kind === 'map') return []
  if (field.type.kind !== 'struct') return [{ field, values }]
  return field.children!.flatMap((child, i) => leaves(child, values.map((value) => value === null ? null : (value as Value[])[i]!)))
}

/** A second, slow way to the same bounds. */
function boundsOf({ id, type }: LakeField, values: readonly Value[], isSeen: (row: number) => boolean): ColumnBounds {
  const nulls = values.filter((value) => value === null).length
  const seen = values.filter((value, row) => value !== null && isSeen(row))
  const isFloat = type.kind === 'float' || type.kind === 'double'
  const numbers = isFloat ? seen.map((bits) => floatOf(type.kind, bits)) : []
  const nans = numbers.filter(Number.isNaN).length
  if (nans > 0) return { id, nulls, nans }
  if (seen.length === 0) return { id, nulls }
  if (isFloat) {
    const [min, max] = [Math.min(...numbers), Math.max(...numbers)]
    return { id, nulls, lower: floatBytes(type.kind, min === 0 ? -0 : min), upper: floatBytes(type.kind, max === 0 ? 0 : max) }
  }
  const sorted = seen.toSorted(orderOf(type))
  const upper = upperOf(type, sorted.at(-1)!)
  return { id, nulls, lower: lowerOf(type, sorted[0]!), ...(upper && { upper }) }
}

function floatOf(kind: string, bits: Value): number {
  const view = new DataView(new ArrayBuffer(8))
  if (kind === 'float') view.setUint32(0, bits as number)
  else view.setBigUint64(0, BigInt.asUintN(64, bits as bigint))
  return kind === 'float' ? view.getFloat32(0) : view.getFloat64(0)
}

function floatBytes(kind: string, value: number): Uint8Array {
  const bytes = Buffer.alloc(kind === 'float' ? 4 : 8)
  if (kind === 'float') bytes.writeFloatLE(value)
  else bytes.writeDoubleLE(value)
  return bytes
}

const rawBytes = (value: Value): Buffer => (value as string)[0] === 's' ? Buffer.from((value as string).slice(1)) : Buffer.from((value as string).slice(1), 'latin1')

function orderOf({ kind }: ColumnType): (a: Value, b: Value) => number {
  if (kind === 'string' || kind === 'binary' || kind === 'uuid') return (a, b) => Buffer.compare(rawBytes(a), rawBytes(b))
  return (a, b) => Number(BigInt(a as number) - BigInt(b as number) > 0n) - Number(BigInt(a as number) - BigInt(b as number) < 0n)
}

function lowerOf({ kind }: ColumnType, value: Value): Uint8Array {
  if (kind === 'string') return Buffer.from(Array.from((value as string).slice(1)).slice(0, 16).join(''))
  if (kind === 'binary') return rawBytes(value).subarray(0, 16)
  if (kind === 'uuid') return rawBytes(value)
  if (kind === 'boolean') return Buffer.of(Number(value))
  const number = BigInt(value as number)
  if (kind === 'decimal') {
    let size = 1
    while (BigInt.asIntN(size * 8, number) !== number) size++
    return Buffer.from(BigInt.asUintN(size * 8, number).toString(16).padStart(size * 2, '0'), 'hex')
  }
  const size = kind === 'int' || kind === 'date' ? 4 : 8
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(number)
  return bytes.subarray(0, size)
}

function upperOf(type: ColumnType, value: Value): Uint8Array | undefined {
  if (type.kind === 'binary') {
    const bytes = rawBytes(value)
    if (bytes.length <= 16) return bytes
    const cut = bytes.subarray(0, 16).toString('hex').replace(/(?:ff)+$/, '')
    return cut === '' ? undefined : Buffer.from((BigInt(`0x1${cut}`) + 1n).toString(16).slice(1), 'hex')
  }
  if (type.kind !== 'string') return lowerOf(type, value)
  const points = Array.from((value as string).slice(1))
  if (points.length <= 16) return rawBytes(value)
  points.length = 16
  while (points.at(-1) === '\u{10ffff}') points.pop()
  const last = points.pop()
  return last === undefined ? undefined : Buffer.from([...points, last === '\ud7ff' ? '\ue000' : String.fromCodePoint(last.codePointAt(0)! + 1)].join(''))
}

describe('bounds', () => {
  function collect(type: ColumnType, ...groups: readonly Value[][]): object {
    const collector = new BoundsCollector([{ name: 'c', id: 7, type }])
    for (const values of groups) {
      const vector = newVector(type)
      for (const value of values) pushValue(vector, value)
      collector.add([vector], new Uint8Array(values.length).fill(1))
    }
    return plain(collector.finish()[0]!)
  }

  test('of any values in any row groups', () => {
    const columns = fc.constantFrom(...LEAVES).chain((type) => fc.tuple(fc.constant(type), fc.array(fc.array(valueOf(type), { maxLength: 8 }), { maxLength: 3 })))
    fc.assert(fc.property(columns, ([type, groups]) => {
      expect(collect(type, ...groups)).toEqual(plain(boundsOf({ name: 'c', id: 7, type }, groups.flat(), () => true)))
    }), { numRuns: 400 })
  })

  test('long strings and bytes are cut; what is cut of the greatest is made greater', () => {
    const [STRING, BINARY] = [{ kind: 'string' }, { kind: 'binary' }] as const
    const bytes = (text: string): string => Buffer.from(text).toString('hex')
    const bound = (lower: string, upper?: string): object => ({ id: 7, nulls: 0, lower: bytes(lower), upper: upper === undefined ? undefined : bytes(upper) })
    expect(collect(STRING, ['s1234567890123456'])).toEqual(bound('1234567890123456', '1234567890123456'))
    expect(collect(STRING, ['s12345678901234567'])).toEqual(bound('1234567890123456', '1234567890123457'))
    expect(collect(STRING, [`s${'é'.repeat(15)}\ud7ff!`])).toEqual(bound(`${'é'.repeat(15)}\ud7ff`, `${'é'.repeat(15)}\ue000`))
    expect(collect(STRING, [`s${'é'.repeat(14)}a\u{10ffff}!`])).toEqual(bound(`${'é'.repeat(14)}a\u{10ffff}`, `${'é'.repeat(14)}b`))
    expect(collect(STRING, [`s${'\u{10ffff}'.repeat(17)}`])).toEqual(bound('\u{10ffff}'.repeat(16)))
    expect(collect(BINARY, [`b${'\xff'.repeat(17)}`])).toEqual({ id: 7, nulls: 0, lower: 'ff'.repeat(16), upper: undefined })
    expect(collect(BINARY, [`ba${'\xff'.repeat(17)}`, 'b'])).toEqual({ id: 7, nulls: 0, lower: '', upper: '62' })
  })

  test('of floats: none beside a NaN, the smaller zero below, the greater one above', () => {
    const DOUBLE = { kind: 'double' } as const
    expect(collect(DOUBLE, [0n], [null])).toEqual({ id: 7, nulls: 1, lower: '0000000000000080', upper: '0000000000000000' })
    expect(collect(DOUBLE, [0n], [0x7ff8000000000001n, 0xfff8000000000000n])).toEqual({ id: 7, nulls: 0, nans: 2, lower: undefined, upper: undefined })
    expect(collect({ kind: 'float' }, [0x7f800000, 0xff800000 | 0])).toEqual({ id: 7, nulls: 0, lower: '000080ff', upper: '0000807f' })
  })

  test('a value that is not in memory leaves its column without bounds', () => {
    const vector = newVector({ kind: 'binary' })
    pushValue(vector, 'ba')
    ;(vector as unknown as { defer(length: number, bytes: () => Uint8Array): void }).defer(3, () => { throw new Error('fetched') })
    const collector = new BoundsCollector([{ name: 'c', id: 7, type: { kind: 'binary' } }])
    collector.add([vector], Uint8Array.of(1, 1))
    expect(collector.finish()).toEqual([{ id: 7, nulls: 0 }])
  })
})
