import { describe, expect, test } from 'vitest'
import type { PgClass } from '../../src/catalog/catalogs.ts'
import type { ClassVersion, DatabaseCatalog } from '../../src/catalog/database.ts'
import { CatalogLayout } from '../../src/catalog/layout.ts'
import { listRelations } from '../../src/catalog/relations.ts'
import { CorruptionError } from '../../src/common/errors.ts'

function version(oid: number, relNumber: number, more: Partial<PgClass> = {}, visible = true, xmin = 700): ClassVersion {
  const row: PgClass = {
    oid, name: `r${oid}`, namespace: 2200, am: 2, relfilenode: relNumber, tablespace: 0, toastRelId: 0, shared: false, persistence: 'p', kind: 'r',
    natts: 0, populated: true, ...more,
  }
  return { row, visible, pending: false, xmin, locator: { spcOid: 1663, dbOid: 5, relNumber } }
}

function catalogOf(classes: readonly ClassVersion[]): DatabaseCatalog {
  return {
    database: { oid: 5, name: 'd', encoding: 6, tablespace: 1663, invalid: false, allowsConnections: true, template: false }, major: 17, classes,
    attributes: () => [], types: new Map(), enums: [], ranges: [], inherits: [], namespaceName: () => 'public', tablespaces: () => [],
    accessMethods: () => [], read: () => [], functions: () => [], extensionTypes: () => new Map(), tolerant: true,
  }
}

const list = (classes: readonly ClassVersion[], tolerant: boolean) => listRelations(catalogOf(classes), undefined, () => true, tolerant)

describe('two visible relations with one file', () => {
  test('are an error that names both', () => {
    const damaged = [version(16400, 16400), version(16410, 16400)]
    expect(() => list(damaged, false)).toThrow(CorruptionError)
    expect(() => list(damaged, false)).toThrow('pg_class gives r16410 (oid 16410) the file 16400, which is that of r16400 (oid 16400)')
  })

  test.each([
    ['the newer row is damaged', [version(16400, 16400), version(16410, 16400, {}, true, 900)]],
    ['the older row is damaged', [version(16410, 16400), version(16400, 16400, {}, true, 900)]],
  ])('with carry both are listed: %s', (_, classes) => {
    const { relations, damaged } = list(classes, true)
    expect(relations.map(({ oid }) => oid)).toEqual([16400])
    expect(damaged.map(({ oid, locator }) => [oid, locator])).toEqual([[16410, undefined]])
  })

  test('an index never has the file of a table', () => {
    const { relations, damaged } = list([version(16400, 16401), version(16401, 16401, { kind: 'i' }, true, 900)], true)
    expect([relations.map(({ oid }) => oid), damaged]).toEqual([[16400], []])
  })

  test('a row version that nobody sees is no other relation', () => {
    const { relations } = list([version(16400, 16400), version(16410, 16400, {}, false, 900)], false)
    expect(relations.map(({ oid }) => oid)).toEqual([16400])
  })
})

describe('the columns of a catalog', () => {
  const column = (name: string) => ({ name, len: 4, align: 4, plain: true })

  test('that pg_attribute calls otherwise are damage', () => {
    expect(() => new CatalogLayout('pg_range', [column('rngtypid')]).column('rngsubtype')).toThrow(CorruptionError)
    expect(() => new CatalogLayout('pg_range', [column('rngtypid')]).column('rngsubtype')).toThrow('pg_attribute has no column rngsubtype of pg_range')
  })

  test('of one name are damage', () => {
    expect(() => new CatalogLayout('pg_range', [column('rngtypid'), column('rngtypid')])).toThrow(CorruptionError)
  })
})
