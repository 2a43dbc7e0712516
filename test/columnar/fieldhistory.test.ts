/** Fields of columns over changes of a table's definition: what an id and a name once meant, they mean in every file of the lake. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import {
  columnFields, type FieldHistory, grownColumnFields, type GrownFields, grownLeafFields, parseFieldHistory,
} from '../../src/columnar/fieldhistory.ts'
import { namesOf } from '../../src/columnar/columnfields.ts'
import { newColumnFields, relationSchema, type SchemaContext } from '../../src/columnar/schema.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import type { LakeField } from '../../src/parquet/lakefield.ts'

const base = (oid: number, name: string, len: number, align: number): TypeDef =>
  ({ oid, name, schema: 'pg_catalog', kind: 'base', len, align, storage: len < 0 ? 'x' : 'p', delimiter: ',' })
const INT = base(23, 'int4', 4, 4)
const OID = base(26, 'oid', 4, 4)
const TEXT = base(25, 'text', -1, 4)
const VARCHAR = base(1043, 'varchar', -1, 4)
const NUMERIC = base(1700, 'numeric', -1, 4)
const ARRAY: TypeDef = { ...base(1007, '_int4', -1, 4), kind: 'array', element: 23 }

interface Part {
  name: string
  type?: TypeDef
  dropped?: boolean
}

function composite(oid: number, parts: readonly Part[]): TypeDef {
  const fields = parts.map(({ name, type = INT, dropped = false }) =>
    ({ name, type: { oid: dropped ? 0 : type.oid, typmod: -1 }, len: type.len, align: type.align, plain: false, dropped }))
  return { oid, name: `c${oid}`, schema: 'public', kind: 'composite', len: -1, align: 8, storage: 'x', delimiter: ',', fields }
}

/** An array of a composite, whose fields are part of a context with it. */
function arrayOf(element: TypeDef): TypeDef {
  return { ...ARRAY, oid: element.oid + 10_000, name: `_${element.name}`, element: element.oid }
}

interface Column extends Part {
  /** What an array of composites has. */
  element?: TypeDef
  attnum: number
  typmod?: number
}

function contextOf(columns: readonly Column[]): SchemaContext {
  const attributes = columns.map(({ attnum, name, type = INT, typmod = -1, dropped = false }) =>
    ({ attnum, name, type: { oid: dropped ? 0 : type.oid, typmod }, len: type.len, align: type.align, plain: false, dropped, virtual: false }))
  const desc: TupleDesc = { attributes, types: [INT, OID, TEXT, VARCHAR, NUMERIC, ARRAY, ...new Set(columns.flatMap(({ type, element }) => [...(element ? [type!, element] : []), ...(type?.kind === 'composite' ? [type] : [])]))] }
  return { major: 17, profile: 'portable', encoding: 6, desc, displayScales: {}, pageFlags: 0 }
}

const columns = (...parts: (string | Omit<Column, 'attnum'>)[]): Column[] =>
  parts.map((part, i) => ({ attnum: i + 1, ...(typeof part === 'string' ? { name: part } : part) }))

/** A table's definitions, one after the other. */
function grow(...definitions: readonly (readonly Column[])[]): GrownFields & { given: string[] } {
  let found: GrownFields | undefined
  for (const definition of definitions) {
    const context = contextOf(definition)
    found = grownColumnFields(found?.history, context)
    expect(() => relationSchema({ ...context, fields: columnFields(found!.history) })).not.toThrow()
    expect(parseFieldHistory(JSON.parse(JSON.stringify(found.history)), { code: 'lake.state', name: 'x' }, 'fields')).toEqual(found.history)
  }
  return { ...found!, given: found!.history.columns.map(({ id, name }) => `${name}=${id}`) }
}

const GONE = { name: '........pg.dropped.1........', dropped: true }
const dec = (precision: number, scale: number): { type: TypeDef; typmod: number } => ({ type: NUMERIC, typmod: ((precision << 16) | scale) + 4 })

describe('a table', () => {
  test('has at first what a table without history gets', () => {
    const definition = columns('a', '_pos', { name: 'l', type: ARRAY }, 'A')
    const { history, rewrite } = grow(definition)
    expect(columnFields(history)).toEqual(newColumnFields(contextOf(definition)))
    expect(rewrite).toBe(false)
  })

  test('an added column gets its attnum, a renamed one keeps all', () => {
    expect(grow(columns('a', { name: 'l', type: ARRAY }), columns('z', { name: 'l', type: ARRAY }, { name: 'm', type: ARRAY }))).toMatchObject(
      { given: ['a=1', 'l=2', 'm=3'], rewrite: false, history: { next: 10_002, columns: [{ column: 'z' }, {}, { nested: [{ id: 10_001 }] }] } })
  })

  test('dropped and added again', () => {
    expect(grow(columns('a', 'b'), columns(GONE, 'b', 'A'))).toMatchObject({ given: ['b=2', 'A_3=3'], rewrite: true })
    expect(grow(columns('a', 'b'), columns(GONE, 'b'))).toMatchObject({ given: ['b=2'], rewrite: false })
  })

  test.each<[string, Omit<Column, 'attnum'>, Omit<Column, 'attnum'>, boolean]>([
    ['int to oid', { name: 'a' }, { name: 'a', type: OID }, true],
    ['int to text', { name: 'a' }, { name: 'a', type: TEXT }, true],
    ['text to varchar', { name: 'a', type: TEXT }, { name: 'a', type: VARCHAR }, false],
    ['more digits', { name: 'a', ...dec(10, 2) }, { name: 'a', ...dec(12, 2) }, true],
    ['another scale', { name: 'a', ...dec(10, 2) }, { name: 'a', ...dec(10, 3) }, true],
    ['no scale declared any more', { name: 'a', ...dec(10, 2) }, { name: 'a', type: NUMERIC }, true],
    ['a list', { name: 'a' }, { name: 'a', type: ARRAY }, true],
    ['another composite of the same types', { name: 'a', type: composite(900, [{ name: 'x' }]) }, { name: 'a', type: composite(901, [{ name: 'x' }]) }, true],
  ])('%s', (_, before, after, isNew) => {
    expect(grow(columns(before), columns(after))).toMatchObject({ given: [isNew ? expect.stringMatching(/^a_1=1000\d$/) : 'a=1'], rewrite: isNew })
  })

  test('a column of another type and back has a third field', () => {
    expect(grow(columns('a'), columns({ name: 'a', type: TEXT }), columns('a')).given).toEqual(['a_1_1=10001'])
  })

  test('a renamed field of a composite in a list: the column gets other fields, since ClickHouse finds them by their names there', () => {
    const of = (...names: string[]): Column[] => {
      const element = composite(900, names.map((name) => ({ name })))
      return columns({ name: 'l', type: arrayOf(element), element }, 'x')
    }
    expect(grow(of('x', 'X'))).toMatchObject({
      given: ['l=1', 'x=2'], history: { columns: [{ nested: [{ name: 'element' }, { name: 'x', inList: true }, { name: 'X_2', inList: true }] }, {}] },
    })
    expect(grow(of('x', 'X'), of('x', 'X'))).toMatchObject({ given: ['l=1', 'x=2'], rewrite: false })
    expect(grow(of('x', 'y'), of('y', 'x'))).toMatchObject({ given: ['l_1=10003', 'x=2'], rewrite: true, history: { columns: [{ nested: [{}, { name: 'y' }, { name: 'x' }] }, {}] } })
  })

  test('fields of a composite: renamed, dropped, one added in place of another', () => {
    const of = (...parts: Part[]): Column[] => columns({ name: 'p', type: composite(900, parts) })
    const [x, y, gone] = [{ name: 'x' }, { name: 'y' }, { name: '-', dropped: true }]
    expect(grow(of(x, y), of({ name: 'z' }, y))).toMatchObject({ given: ['p=1'], rewrite: false, history: { columns: [{ nested: [{ name: 'p_x' }, { name: 'p_y' }] }] } })
    expect(grow(of(x, y), of(gone, y))).toMatchObject({ given: ['p_1=10002'], rewrite: true })
    // Both have one field of type int, and it is not the same field.
    expect(grow(of(x), of(gone, y))).toMatchObject({ given: ['p_1=10001'], rewrite: true })
  })

  test('names that cross', () => {
    // RENAME a TO c; RENAME b TO a.
    expect(grow(columns('a', 'b'), columns('c', 'a'))).toMatchObject({ given: ['c=10000', 'a_2=10001'], rewrite: true })
    expect(grow(columns('a', 'b'), columns('c', 'a'), columns('c', 'a'))).toMatchObject({ given: ['c=10000', 'a_2=10001'], rewrite: false })
    expect(grow(columns('a', 'b'), columns('b', 'a'))).toMatchObject({ given: ['b_1=10000', 'a_2=10001'], rewrite: true })
    // RENAME a TO c; ADD a.
    expect(grow(columns('a'), columns('c', 'a'))).toMatchObject({ given: ['c=10000', 'a_2=2'], rewrite: true })
    // DROP a; RENAME b TO a: files that are still read have the other a.
    expect(grow(columns('a', 'b'), columns(GONE, 'a'))).toMatchObject({ given: ['a_2=10000'], rewrite: true })
    expect(grow(columns('a', 'b'), columns('c', 'b'), columns('a', 'b'))).toMatchObject({ given: ['a=1', 'b=2'], rewrite: false })
    expect(grow(columns('a', 'A'), columns('a', 'A'))).toMatchObject({ given: ['a=1', 'A_2=2'], rewrite: false })
  })
})

/** What a definition is changed by; a column is known by its attnum. */
const change = fc.record({
  kind: fc.constantFrom('add', 'drop', 'rename', 'retype', 'swap'), at: fc.nat(20), with: fc.nat(20), name: fc.constantFrom('a', 'A', 'b', 'c', '_pos', 'a_1', 'b_2', 'p.x', 'a_x', '_overflow_a', 'B_x', '_ltap_lp'),
  type: fc.constantFrom(INT, TEXT, VARCHAR, OID, ARRAY, composite(900, [{ name: 'x' }])),
})

function changed(before: readonly Column[], { kind, at, with: other, name, type }: typeof change extends fc.Arbitrary<infer T> ? T : never): Column[] {
  const live = before.filter(({ dropped }) => !dropped)
  const free = !live.some((column) => column.name === name)
  const column = live[at % Math.max(1, live.length)]
  const second = live[other % Math.max(1, live.length)]
  if (kind === 'add') return free ? [...before, { attnum: before.length + 1, name, type }] : [...before]
  return before.map((own) => {
    if (kind === 'swap' && own === column) return { ...own, name: second!.name }
    if (kind === 'swap' && own === second) return { ...own, name: column!.name }
    if (own !== column) return own
    if (kind === 'drop') return { attnum: own.attnum, ...GONE }
    if (kind === 'rename') return free ? { ...own, name } : own
    return kind === 'retype' ? { ...own, type } : own
  })
}

const PARQUET: Record<number, string> = { 23: 'int', 25: 'string', 1043: 'string', 26: 'long', 1007: 'list', 900: 'struct' }

describe('any history of changes', () => {
  const histories = fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })

  test('no id and no name is given twice, and who has one keeps it', () => {
    fc.assert(fc.property(histories, (steps) => {
      /** What an id or a name stands for: a column by its attnum, and its type. */
      const meaning = new Map<string, string>()
      let definition: Column[] = columns('a', { name: 'b', type: TEXT })
      let found = grownColumnFields(undefined, contextOf(definition))
      let fieldsBefore = new Map<number, string>()
      for (const step of [[], ...steps]) {
        const last = definition
        definition = step.reduce(changed, definition)
        found = grownColumnFields(found.history, contextOf(definition))
        const { history, rewrite } = parsed(found)
        expect(() => relationSchema({ ...contextOf(definition), fields: columnFields(history) })).not.toThrow()
        const parquetNames = namesIn(relationSchema({ ...contextOf(definition), fields: columnFields(history), uniqueLanes: true, overflow: history.columns.map(({ attnum }) => attnum) }).fields)
        expect(new Set(parquetNames).size).toBe(parquetNames.length)
        for (const field of history.columns) {
          const { attnum, id, name, nested = [] } = field
          const column = definition[attnum - 1]!
          const what = `${attnum} ${PARQUET[column.type?.oid ?? 23]}`
          for (const [key, part] of [`${id}`, ...namesOf(field), ...nested.map((child) => `${child.id}`)].map((text, i) => [text, i === 0 ? '' : text] as const)) {
            expect(meaning.get(key) ?? `${what} ${part}`).toBe(`${what} ${part}`)
            meaning.set(key, `${what} ${part}`)
          }
          // A name that another column has now is not that of a part.
          const [, ...parts] = namesOf(field)
          for (const other of definition) if (!other.dropped) expect(parts).not.toContain(other.name.toLowerCase())
          const isSame = JSON.stringify(last[attnum - 1]) === JSON.stringify(column)
          const was = fieldsBefore.get(attnum)
          if (was !== undefined && was !== `${id} ${name}`) expect(rewrite).toBe(true)
          // Alone it keeps its field: only another that takes its name as it was moves it.
          if (was !== undefined && isSame && step.every(({ kind }) => kind === 'retype')) expect(`${id} ${name}`).toBe(was)
          // A new name of one column is not the name that files have for another.
          for (const other of definition) {
            if (other.attnum === attnum || other.dropped || other.name === last[other.attnum - 1]?.name) continue
            if (name.toLowerCase() === other.name.toLowerCase()) expect(name.toLowerCase()).toBe(column.name.toLowerCase())
          }
        }
        fieldsBefore = new Map(history.columns.map(({ attnum, id, name }) => [attnum, `${id} ${name}`]))
      }
    }), { numRuns: 300 })
  })
})

/** Of fields and those nested in them, but for elements: Parquet calls all of them so. */
function namesIn(fields: readonly LakeField[]): string[] {
  return fields.flatMap(({ name, children = [] }) => [name.toLowerCase(), ...namesIn(children)]).filter((name) => name !== 'element')
}

test('without unique names, fields are called alike', () => {
  const names = namesIn(relationSchema(contextOf(columns('block'))).fields)
  expect(names.filter((name, i) => names.indexOf(name) < i)).toEqual(expect.arrayContaining(['block', 'offset', 'attnum', 'bytes']))
})

describe('lakes from before', () => {
  const P: Column[] = columns({ name: 'p', type: composite(900, [{ name: 'x' }]) }, 'a')
  const before: FieldHistory = {
    columns: [
      { attnum: 1, id: 1, name: 'p', nested: [{ id: 10_000, name: 'x' }], column: 'p', stored: 'struct#900<1:int>' }, { attnum: 2, id: 2, name: 'a', column: 'a', stored: 'int' },
    ], next: 10_001, given: [],
  }

  test('fields stay as they are called in the files, those of new columns have names of their own', () => {
    expect(grownColumnFields(before, contextOf(P))).toEqual({ history: before, rewrite: false })
    const { history, rewrite } = grownColumnFields(before, contextOf([...P, { attnum: 3, name: 'x' }]))
    expect(history).toEqual({ ...before, columns: [...before.columns, { attnum: 3, id: 3, name: 'x', overflow: '_overflow_x', column: 'x', stored: 'int' }] })
    expect(rewrite).toBe(false)
  })

  test('a leaf has lanes as its root; one that is attached with others is written again', () => {
    const leaf = grownLeafFields(before, 500, undefined, contextOf(P))
    expect(leaf.history.uniqueLanes).toBeUndefined()
    expect(leaf.rewrite).toBe(false)
    const own = grownColumnFields(undefined, contextOf(columns('a'))).history
    expect(own.uniqueLanes).toBe(true)
    expect(grownLeafFields(grownColumnFields(undefined, contextOf(columns('a'))).history, 500, { ...own, root: 500 }, contextOf(columns('a'))).rewrite).toBe(false)
    const old: FieldHistory = { columns: own.columns, next: own.next, given: own.given }
    expect(grownLeafFields(old, 500, own, contextOf(columns('a'))).rewrite).toBe(true)
  })
})

function parsed(found: GrownFields): GrownFields {
  return { ...found, history: parseFieldHistory(JSON.parse(JSON.stringify(found.history)), { code: 'lake.state', name: 'x' }, 'fields') }
}

describe('a tree', () => {
  const ROOT = 500
  const root = grownColumnFields(undefined, contextOf(columns('x', { name: 'l', type: ARRAY }, 'y'))).history
  const leafOf = (from: FieldHistory, before: FieldHistory | undefined, definition: readonly Column[]): ReturnType<typeof grownLeafFields> => {
    const found = grownLeafFields(from, ROOT, before, contextOf(definition))
    parsed(found)
    parsed({ history: found.root, rewrite: false })
    expect(() => relationSchema({ ...contextOf(definition), fields: columnFields(found.history) })).not.toThrow()
    return found
  }
  const given = ({ history }: GrownFields): string[] => history.columns.map(({ attnum, id, name, nested }) => `${attnum}:${name}=${[id, ...(nested ?? []).map((field) => field.id)].join()}`)
  const OTHER_ORDER = columns({ name: 'l', type: ARRAY }, GONE, 'y', 'x')

  test('a leaf has the ids of the root, whatever its order', () => {
    const leaf = leafOf(root, undefined, OTHER_ORDER)
    expect(given(leaf)).toEqual(['1:l=2,10000', '3:y=3', '4:x=1'])
    expect(leaf.rewrite).toBe(false)
    expect(leaf.root).toEqual(root)
  })

  test('a relation that is attached is written again, unless all is as in the root', () => {
    const own = grownColumnFields(undefined, contextOf(OTHER_ORDER)).history
    expect(leafOf(root, own, OTHER_ORDER)).toMatchObject({ rewrite: true, history: { given: [], root: ROOT } })
    const same = columns('x', { name: 'l', type: ARRAY }, 'y')
    const before = grownColumnFields(undefined, contextOf(same)).history
    expect(leafOf(root, before, same).rewrite).toBe(false)
    // Files that it has from before may have a field of an id that is another's here.
    const withGone = grownColumnFields(grownColumnFields(undefined, contextOf([...same, ...columns('', '', '', 'z').slice(3)])).history, contextOf(same)).history
    expect(withGone.given).toHaveLength(1)
    expect(leafOf(root, withGone, same).rewrite).toBe(true)
  })

  test('what a leaf has besides gets fields that the root never gives again', () => {
    const definition = [...columns('x', { name: 'l', type: ARRAY }, 'y'), { attnum: 4, name: 'z' }]
    const leaf = leafOf(root, undefined, definition)
    expect(given(leaf).at(-1)).toBe('4:z=10001')
    const other = leafOf(leaf.root, undefined, [...definition.slice(0, 3), { attnum: 4, name: 'z', type: TEXT }])
    expect(given(other).at(-1)).toBe('4:z_4=10002')
    expect(given(leafOf(other.root, leaf.history, definition))).toEqual(given(leaf))
    // The root gets a column of the name: it is the leaf's column from now on.
    const grownRoot = grownColumnFields(other.root, contextOf(definition)).history
    const merged = leafOf(grownRoot, leaf.history, definition)
    expect(given(merged).at(-1)).toBe('4:z_4_4=4')
    expect(merged.rewrite).toBe(true)
  })

  test('a detached leaf keeps its fields, and gives new ids', () => {
    const leaf = leafOf(root, undefined, OTHER_ORDER).history
    const alone = grownColumnFields(leaf, contextOf([...OTHER_ORDER, { attnum: 5, name: 'w' }]))
    expect(given(alone)).toEqual(['1:l=2,10000', '3:y=3', '4:x=1', '5:w=5'])
    expect(alone).toMatchObject({ rewrite: false })
    expect(alone.history).not.toHaveProperty('root')
    // Attnum 2 of a leaf without dropped column would be an id that l has.
    const short = leafOf(root, undefined, columns({ name: 'l', type: ARRAY })).history
    expect(given(grownColumnFields(short, contextOf(columns({ name: 'l', type: ARRAY }, 'w'))))).toEqual(['1:l=2,10000', '2:w=10001'])
  })

  test('the root renames, re-types and drops: each leaf follows', () => {
    const leaf = leafOf(root, undefined, OTHER_ORDER).history
    const changedRoot = grownColumnFields(root, contextOf(columns('x2', { name: 'l', type: ARRAY }, { name: 'y', type: TEXT }))).history
    const after = leafOf(changedRoot, leaf, columns({ name: 'l', type: ARRAY }, GONE, { name: 'y', type: TEXT }, 'x2'))
    expect(given(after)).toEqual(['1:l=2,10000', '3:y_3=10001', '4:x=1'])
    expect(after.rewrite).toBe(true)
    const dropped = grownColumnFields(changedRoot, contextOf([...columns(GONE, { name: 'l', type: ARRAY }), { attnum: 3, name: 'y', type: TEXT }])).history
    const less = leafOf(dropped, after.history, columns({ name: 'l', type: ARRAY }, GONE, { name: 'y', type: TEXT }, GONE))
    expect(given(less)).toEqual(['1:l=2,10000', '3:y_3=10001'])
    expect(less.rewrite).toBe(false)
  })
})

describe('a forged history', () => {
  const whole = grownColumnFields(grownColumnFields(undefined, contextOf(columns('a', { name: 'l', type: ARRAY }, 'b'))).history, contextOf(columns(GONE, { name: 'l', type: ARRAY }, 'b'))).history
  test.each<[string, (history: { columns: Record<string, unknown>[]; given: Record<string, unknown>[]; next: number }) => void]>([
    ['columns[1]', ({ columns: list }) => void (list[1]!['id'] = 2)],
    ['columns[1].name', ({ columns: list }) => void (list[1]!['name'] = 'L')],
    ['columns[1].attnum', ({ columns: list }) => void (list[1]!['attnum'] = 1)],
    ['columns[0].nested', (history) => void (history.next = 10_000)],
    ['given[0].name', ({ given }) => void (given[0]!['name'] = 'b')],
    ['given[0]', ({ given }) => void (given[0]!['id'] = 3)],
    ['given[0].id', ({ given }) => void (given[0]!['id'] = 1_000_000)],
    ['next', (history) => void (history.next = 1)],
  ])('%s', (path, forge) => {
    const forged = JSON.parse(JSON.stringify(whole)) as Parameters<typeof forge>[0]
    forge(forged)
    expect(() => parseFieldHistory(forged, { code: 'lake.state', name: 'the entry' }, 'fields')).toThrow(`the entry is damaged: fields.${path} `)
  })
})
