import { describe, expect, test } from 'vitest'
import { allocateFields, fieldsOfFormat1, lakeFieldOf, type UnnamedColumn } from '../../src/columnar/columnfields.ts'
import type { ColumnType } from '../../src/vector/columntype.ts'

const INT: ColumnType = { kind: 'int' }
const PAIR: ColumnType = { kind: 'struct', fields: [{ name: 'b', type: INT }, { name: 'c', type: { kind: 'list', element: INT } }] }

function columns(...list: [name: string, type?: ColumnType][]): UnnamedColumn[] {
  return list.map(([name, type = INT], i) => ({ attnum: i + 1, name, type }))
}

const names = (...list: [name: string, type?: ColumnType][]): string[] => allocateFields(columns(...list)).map(({ name }) => name)

describe('names of columns', () => {
  test('reserved ones, and those that differ by case alone, get the attnum', () => {
    expect(names(['_ltap'], ['_OVERFLOW'], ['_pos'], ['_Change_Type'], ['pos'], ['Pos'], ['pos_6'])).toEqual(
      ['_ltap_1', '_OVERFLOW_2', '_pos_3', '_Change_Type_4', 'pos', 'Pos_6_6', 'pos_6'])
  })

  test('a name that equals the path of a nested field', () => {
    expect(names(['a', PAIR], ['a.b'], ['A.c.element'], ['a.d'])).toEqual(['a', 'a.b_2', 'A.c.element_3', 'a.d'])
    expect(names(['a.b'], ['a', PAIR])).toEqual(['a.b', 'a_2'])
  })

  test('format 1 knows of none of this but its own names and case', () => {
    const fields = fieldsOfFormat1(columns(['_pos'], ['a', PAIR], ['a.b'], ['A'], ['_ltap']))
    expect(fields.map(({ name }) => name)).toEqual(['_pos', 'a', 'a.b', 'A_4', '_ltap_5'])
    expect(fields[1]).toEqual({ attnum: 2, id: 2, name: 'a', nested: [{ id: 10_000, name: 'b' }, { id: 10_001, name: 'c' }, { id: 10_002, name: 'element' }] })
    expect(fields.every(({ overflow }) => overflow === undefined)).toBe(true)
  })
})

describe('field ids', () => {
  test('attnums, and 10,000 and up for what is nested', () => {
    expect(allocateFields(columns(['a'], ['p', PAIR], ['m', { kind: 'map', value: INT }]))).toEqual([
      { attnum: 1, id: 1, name: 'a', overflow: '_overflow_a' },
      { attnum: 2, id: 2, name: 'p', nested: [{ id: 10_000, name: 'p_b' }, { id: 10_001, name: 'p_c' }, { id: 10_002, name: 'element' }], overflow: '_overflow_p' },
      { attnum: 3, id: 3, name: 'm', nested: [{ id: 10_003, name: 'key' }, { id: 10_004, name: 'value' }], overflow: '_overflow_m' },
    ])
  })

  test('no nested field has the name of another field, or of a column', () => {
    const [, p, , q] = allocateFields(columns(['_overflow_p'], ['p', PAIR], ['P_b'], ['p_c_10001', PAIR], ['_ltap_ctid_block']))
    expect(p).toEqual({ attnum: 2, id: 2, name: 'p', nested: [{ id: 10_000, name: 'p_b_10000' }, { id: 10_001, name: 'p_c' }, { id: 10_002, name: 'element' }], overflow: '_overflow_p_2' })
    expect(q!.nested!.map(({ name }) => name)).toEqual(['p_c_10001_b', 'p_c_10001_c', 'element'])
    expect(names(['_LTAP_ctid_block'], ['_ltap_xmin'], ['_ltap_none'])).toEqual(['_LTAP_ctid_block_1', '_ltap_xmin_2', '_ltap_none'])
  })

  test('in lists the fields of composites are called as in Postgres, whoever else is called so', () => {
    const list: ColumnType = { kind: 'list', element: { kind: 'struct', fields: [{ name: 'b', type: PAIR }, { name: 'B', type: { kind: 'map', value: INT } }] } }
    const [, l, m] = allocateFields(columns(['b'], ['l', list], ['m', { kind: 'struct', fields: [{ name: 'l', type: list }, { name: 'b', type: INT }] }]))
    const inList = true
    expect(l!.nested!.map(({ name, inList: marked }) => (marked ? { name, inList } : { name }))).toEqual([
      { name: 'element' }, { name: 'b', inList }, { name: 'b', inList }, { name: 'c', inList }, { name: 'element' }, { name: 'B_2', inList }, { name: 'key' }, { name: 'value' },
    ])
    expect(m!.nested!.filter((field) => field.inList === undefined).map(({ name }) => name)).toEqual(['m_l', 'element', 'element', 'key', 'value', 'm_b'])
  })

  test('a field is what was allocated, whatever its type calls its parts now', () => {
    const nested = [{ id: 10_007, name: 'old' }, { id: 10_001, name: 'list' }, { id: 10_900, name: 'element' }]
    expect(lakeFieldOf({ attnum: 2, id: 10_006, name: 'was', nested }, PAIR)).toMatchObject({
      name: 'was', id: 10_006, type: { kind: 'struct', fields: [{ name: 'old' }, { name: 'list' }] },
      children: [{ name: 'old', id: 10_007 }, { name: 'list', id: 10_001, children: [{ name: 'element', id: 10_900 }] }],
    })
  })

  test('of another type they are refused', () => {
    const element = { id: 10_000, name: 'element' }
    const list: ColumnType = { kind: 'list', element: INT }
    expect(() => lakeFieldOf({ attnum: 1, id: 1, name: 'a', nested: [element] }, INT)).toThrow("the column 'a' has more fields than its type")
    expect(() => lakeFieldOf({ attnum: 1, id: 1, name: 'a' }, list)).toThrow("the column 'a' has fewer fields than its type")
    expect(() => lakeFieldOf({ attnum: 1, id: 1, name: 'a', nested: [{ id: 10_000, name: 'item' }] }, list)).toThrow("'item' in place of 'element' in 'a'")
  })
})
