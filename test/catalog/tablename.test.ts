import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noTableHint, quotedTableName, tablesLike, tablesNamed } from '../../src/catalog/tablename.ts'
import { connect, majors, withCluster } from '../support/oracle.ts'

const NAMES: readonly (readonly [schema: string, name: string])[] = [
  ['public', 'orders'], ['public', 'Orders'], ['public', 'Items'], ['public', 'lines'], ['a.b', 'c'], ['a', 'b.c'], ['a', 'c'],
  ['Sales', 'order "x"'], ['Sales', 'a*'], ['Sales', 'ab'], ['public', 'größe'], ['public', 'ÄRGER'],
]
const TABLES = NAMES.map(([schema, name]) => ({ schema, name }))

function named(text: string): string[] {
  return tablesNamed(TABLES, text).map(({ schema, name }) => `${schema}|${name}`)
}

function like(text: string): string[] {
  return tablesLike(TABLES, text).map(({ schema, name }) => `${schema}|${name}`)
}

describe('names', () => {
  it.each([
    // Letter for letter first: what worked before names were parsed goes on working.
    ['public.orders', ['public|orders']],
    ['public.Orders', ['public|Orders']],
    ['Sales.order "x"', ['Sales|order "x"']],
    ['a.b.c', ['a.b|c', 'a|b.c']],
    // Else as psql reads it.
    ['PUBLIC.ORDERS', ['public|orders']],
    ['public."Orders"', ['public|Orders']],
    ['"public"."orders"', ['public|orders']],
    ['"a.b".c', ['a.b|c']],
    ['"a.b"."c"', ['a.b|c']],
    ['a."b.c"', ['a|b.c']],
    ['A.C', ['a|c']],
    ['"Sales"."order ""x"""', ['Sales|order "x"']],
    ['public.GRÖßE', []],
    // These are no patterns.
    ['public.items', []],
    ['"public.orders"', []],
    ['orders', []],
    ['', []],
    ['public.', []],
    ['.orders', []],
    ['public."orders', []],
    ['shop.public.orders', []],
    ['public.*', []],
  ])('%s', (text, expected) => expect(named(text)).toEqual(expected))

  it('a name that is written out for reading names its table alone', () => {
    for (const table of TABLES) expect(tablesNamed(TABLES, quotedTableName(table))).toEqual([table])
  })

  it('a hint names what differs in case only', () => {
    expect(noTableHint(TABLES, 'public.items')).toBe('there is public."Items": quote a name with upper case letters')
    expect(noTableHint(TABLES, 'public.none')).toBe('write it as schema.name, quoted as in psql')
  })

  it('a hint names the schema that is lacking', () => {
    const tables = ['public', 'audit'].map((schema) => ({ schema, name: 'log' }))
    expect(noTableHint(tables, 'log')).toBe('write its schema, too: public.log or audit.log')
    expect(noTableHint(tables, 'logs')).toBe('write it as schema.name, quoted as in psql')
  })
})

describe('patterns', () => {
  it.each([
    ['public.o*', ['public|orders']],
    ['public."O"*', ['public|Orders']],
    ['*.c', ['a.b|c', 'a|c']],
    ['ab', ['Sales|ab']],
    ['?b', ['Sales|ab']],
    ['"Sales".a*', ['Sales|a*', 'Sales|ab']],
    ['"Sales"."a*"', ['Sales|a*']],
    ['Sales.a*', ['Sales|a*']],
    ['"a.b".*', ['a.b|c']],
    ['[a-z]', []],
    ['"', []],
  ])('%s', (text, expected) => expect(like(text)).toEqual(expected))

  it('mean what a regular expression means, and take no longer for many stars', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 8 })
    fc.assert(fc.property(letters, fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 10 }), (pattern, name) => {
      const regular = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      expect(tablesLike([{ schema: 's', name }], pattern)).toHaveLength(regular.test(name) ? 1 : 0)
    }), { numRuns: 2_000 })
    expect(tablesLike([{ schema: 's', name: 'a'.repeat(63) }], `${'*a'.repeat(40)}b`)).toEqual([])
    expect(tablesLike([{ schema: 's', name: 'a'.repeat(63) }], `${'*'.repeat(75)}b`)).toEqual([])
  })
})

/** What the server takes a text for: regclass input folds and unquotes as psql does. */
it.each([majors().at(-1)!])('Postgres %i reads the names that are not there letter for letter alike', async (major) => {
  const texts = [
    'PUBLIC.ORDERS', 'public."Orders"', '"public"."orders"', '"a.b".c', 'a."b.c"', 'A.C', '"Sales"."order ""x"""', 'public.items',
    'public.GRÖßE', 'PUBLIC."größe"', 'public."ärger"', 'public."orders', '"Sales"."a*"',
  ]
  await withCluster(major, {}, async (cluster) => {
    const sql = await connect(cluster, 'postgres')
    await sql.script(NAMES.map(([schema, name]) => `
      CREATE SCHEMA IF NOT EXISTS "${schema}"; CREATE TABLE "${schema}"."${name.replaceAll('"', '""')}"();`).join(''))
    for (const text of texts) {
      const [row] = await sql.rows(
        'SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass($1)', [text],
      ).catch(() => [])
      expect(named(text), text).toEqual(row === undefined ? [] : [row.join('|')])
    }
  })
})
