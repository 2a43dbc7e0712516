/**
 * The engines and the comparison without ltap: tables that PyIceberg and deltalake write themselves, of what a server shows, are read as equal by every
 * engine; each planted fault is found.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ColumnType } from '../../src/vector/columntype.ts'
import { fewerMajors, withCluster } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { compareWithServer } from './compare.ts'
import { Engine, type EngineName, formatsOf, installed, QUICK_ENGINES, type Question, SLOW_ENGINES } from './engine.ts'
import { type ServerTable, serverTables } from './servertables.ts'

/** As python/canonical.py prints it. */
type Canonical = null | boolean | number | string | readonly Canonical[]

interface SelfColumn {
  readonly sql: string
  readonly type: ColumnType
  /** Of each row: what the server is given, what the lake's column holds, and what its `_overflow`. */
  readonly rows: readonly (readonly [literal: string | null, value: Canonical, overflow?: string])[]
}

const INTERVAL: ColumnType = {
  kind: 'struct', fields: [{ name: 'months', type: { kind: 'int' } }, { name: 'days', type: { kind: 'int' } }, { name: 'micros', type: { kind: 'long' } }],
}
const PAIR: ColumnType = { kind: 'struct', fields: [{ name: 'a', type: { kind: 'int' } }, { name: 'b', type: { kind: 'string' } }] }
const COLUMNS: Record<string, SelfColumn> = {
  flag: { sql: 'bool', type: { kind: 'boolean' }, rows: [['t', true], ['f', false], [null, null]] },
  small: { sql: 'int2', type: { kind: 'int' }, rows: [['-32768', -32768], ['0', 0], [null, null]] },
  large: { sql: 'int8', type: { kind: 'long' }, rows: [['9223372036854775807', '9223372036854775807'], ['-9007199254740993', '-9007199254740993'], [null, null]] },
  single: { sql: 'float4', type: { kind: 'float' }, rows: [['NaN', 0x7fc00000], ['-0', 0x80000000], ['Infinity', 0x7f800000]] },
  double: { sql: 'float8', type: { kind: 'double' }, rows: [['NaN', '7ff8000000000000'], ['-Infinity', 'fff0000000000000'], ['0.1', '3fb999999999999a']] },
  price: { sql: 'numeric(10,2)', type: { kind: 'decimal', precision: 10, scale: 2 }, rows: [['-12.30', '-12.30'], ['NaN', null, 'NaN'], ['0', '0.00']] },
  bare: { sql: 'numeric', type: { kind: 'decimal', precision: 38, scale: 9 }, rows: [['1.0000000005', '1.000000000', '1.0000000005'], ['Infinity', null, 'Infinity'], ['7.5', '7.500000000']] },
  word: { sql: 'text', type: { kind: 'string' }, rows: [['é日本🙂', 'é日本🙂'], ['', ''], [null, null]] },
  bytes: { sql: 'bytea', type: { kind: 'binary' }, rows: [['\\x00ff80', '00ff80'], ['\\x', ''], ['\\x6162', '6162']] },
  day: { sql: 'date', type: { kind: 'date' }, rows: [['2024-02-29', 19782], ['infinity', null, 'infinity'], ['1969-12-31', -1]] },
  moment: { sql: 'timestamp', type: { kind: 'timestamp', utc: false }, rows: [['2024-02-29 12:34:56.789012', '1709210096789012'], ['1969-12-31 23:59:59.999999', '-1'], [null, null]] },
  instant: { sql: 'timestamptz', type: { kind: 'timestamp', utc: true }, rows: [['2024-02-29 12:34:56.789012+00', '1709210096789012'], ['2024-02-29 12:34:56+02', '1709202896000000'], [null, null]] },
  span: { sql: 'interval', type: INTERVAL, rows: [['1 year 2 mons -3 days 04:05:06.7', [14, -3, '14706700000']], ['infinity', null, 'infinity'], [null, null]] },
  numbers: { sql: 'int[]', type: { kind: 'list', element: { kind: 'int' } }, rows: [['{1,NULL,3}', [1, null, 3]], ['{}', []], ['{{1},{2}}', null, '{{1},{2}}']] },
  pair: { sql: 'self_pair', type: PAIR, rows: [['(1,"x, y")', [1, 'x, y']], ['(,)', [null, null]], [null, null]] },
  label: { sql: 'hstore', type: { kind: 'map', value: { kind: 'string' } }, rows: [['a=>1, b=>NULL', [['a', '1'], ['b', null]]], ['', []], [null, null]] },
  key: { sql: 'uuid', type: { kind: 'string' }, rows: [['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], [null, null], [null, null]] },
}
const ROWS = 3
/** infinity is no interval before 17. */
const [major] = fewerMajors('the self test of engines') as [number]
if (major < 17) COLUMNS['span'] = { ...COLUMNS['span']!, rows: COLUMNS['span']!.rows.map((row) => (row[0] === 'infinity' ? ['00:00:00', [0, 0, '0']] : row)) }

const names = installed([...QUICK_ENGINES, ...drawn(SLOW_ENGINES, 1, 'slow engines')])
const formats = ['iceberg', 'delta'] as const

interface Written {
  columns: { name: string, type: ColumnType }[]
  values: Canonical[][]
}

let folder: string
let table: ServerTable
let writer: Engine | undefined
const engines = new Map<EngineName, Engine>()

beforeAll(async () => {
  if (names.length === 0) return
  folder = mkdtempSync(join(tmpdir(), 'ltap-engines-'))
  writer = new Engine('write')
  for (const name of names) engines.set(name, new Engine(name))
  await withCluster(major, {}, async (_, sql) => {
    await sql.script('CREATE EXTENSION hstore; CREATE TYPE self_pair AS (a int, b text)')
    await sql.exec(`CREATE TABLE self (${Object.entries(COLUMNS).map(([name, { sql: type }]) => `${name} ${type}`).join(', ')})`)
    for (let row = 0; row < ROWS; row++) {
      const literals = Object.values(COLUMNS).map(({ rows }) => rows[row]![0])
      await sql.query(`INSERT INTO self VALUES (${literals.map((_literal, i) => `$${i + 1}`).join(', ')})`, literals)
    }
    table = (await serverTables(sql))[0]!
  })
})

afterAll(async () => {
  for (const engine of [writer, ...engines.values()]) await engine?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

/** The table as a lake has it, for a change. */
function lakeTable(): Written {
  const user = Object.entries(COLUMNS)
  const inOverflow = user.filter(([, { rows }]) => rows.some(([, , overflow]) => overflow !== undefined))
  const overflow: ColumnType = { kind: 'struct', fields: inOverflow.map(([name]) => ({ name, type: { kind: 'string' } })) }
  const ltap: ColumnType = { kind: 'struct', fields: [{ name: 'block', type: { kind: 'long' } }, { name: 'offset', type: { kind: 'int' } }] }
  const rows = Array.from({ length: ROWS }, (_, row) => row)
  return {
    columns: [...user.map(([name, { type }]) => ({ name, type })), { name: '_overflow', type: overflow }, { name: '_ltap', type: ltap }],
    values: [
      ...user.map(([, column]) => column.rows.map(([, value]) => value)),
      rows.map((row) => inOverflow.map(([, column]) => column.rows[row]![2] ?? null)),
      rows.map((row) => ['0', row + 1]),
    ],
  }
}

let written = 0
async function differences(name: EngineName, format: Question['format'], content: Written): Promise<string[]> {
  const { place } = await writer!.send({ format, place: join(folder, `t${written++}`), ...content }) as unknown as { place: string }
  return compareWithServer(engines.get(name)!, { format, place }, table)
}

function change(column: string, row: number, value: Canonical): Written {
  const content = lakeTable()
  content.values[content.columns.findIndex(({ name }) => name === column)]![row] = value
  return content
}

const FAULTS: readonly [string, () => Written, RegExp][] = [
  ['a row hidden too much', () => ({ ...lakeTable(), values: lakeTable().values.map((column) => column.slice(0, 2)) }), /1 rows of the server are missing: \(0,3\)/],
  ['a row twice', () => ({ ...lakeTable(), values: lakeTable().values.map((column) => [...column, column[1]!]) }), /\(0,2\) is not in the server's table, or is there twice/],
  ['a row that is no longer there', () => change('_ltap', 2, ['0', 4]), /\(0,4\) is not in the server's table/],
  ['a value', () => change('large', 1, '-9007199254740992'), /large of the row \(0,2\)/],
  ['NULL instead of NaN', () => change('double', 0, null), /double of the row \(0,1\)/],
  ['0 instead of -0', () => change('single', 1, 0), /single of the row \(0,2\)/],
  ['NULL instead of an empty string', () => change('word', 1, null), /word of the row \(0,2\)/],
  ['a microsecond', () => change('instant', 0, '1709210096789013'), /instant of the row \(0,1\)/],
  ['a text that is lost', () => change('_overflow', 1, [null, null, null, null, null]), /(price|bare|day) of the row \(0,2\)/],
]

const quick = names.filter((name) => QUICK_ENGINES.includes(name)).flatMap((name) => formats.filter((format) => formatsOf(name).includes(format)).map((format) => [name, format] as const))

describe.each(quick)('%s, %s', (name, format) => {
  test('agrees', async () => {
    expect(await differences(name, format, lakeTable())).toEqual([])
  })

  test.each(FAULTS)('finds %s', async (_, fault, said) => {
    expect((await differences(name, format, fault())).join('\n')).toMatch(said)
  })
})

// They take seconds for a table.
describe.each(names.filter((name) => SLOW_ENGINES.includes(name)))('%s', (name) => {
  test.each(formats)('agrees, %s', async (format) => {
    expect(await differences(name, format, lakeTable())).toEqual([])
  })

  test('finds a value', async () => {
    const [, fault, said] = FAULTS[3]!
    expect((await differences(name, 'delta', fault())).join('\n')).toMatch(said)
  })
})
