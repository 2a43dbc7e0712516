import type { Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import {
  ATTRIBUTE_RELATION_ID, DATABASE_RELATION_ID, pgAttributeReader, pgClassReader, pgDatabaseReader, pgTypeReader, RELATION_RELATION_ID, TYPE_RELATION_ID,
} from './catalogs.ts'
import { bootstrapLayouts, type CatalogLayout } from './layout.ts'
import { type OpenCatalog, type CatalogScan, type CatalogTuple, orDamage, scanCatalog } from './scan.ts'

/** A catalog that only pg_filenode.map leads to, and a row that it always has and no other relation. */
interface Signature {
  oid: Oid
  layout: CatalogLayout
  is: (tuple: CatalogTuple) => boolean
}

const INT4 = 23
const UNKNOWN_ENCODING = 0

/** The layouts that are known without catalogs. */
function signatures(major: PgMajor, shared: boolean): Signature[] {
  const { pgClass, pgAttribute, pgType, pgDatabase } = bootstrapLayouts(major)
  if (shared) {
    const read = pgDatabaseReader(pgDatabase)
    return [{ oid: DATABASE_RELATION_ID, layout: pgDatabase, is: (tuple) => ['template1', 'template0'].includes(read(tuple).name) }]
  }
  const classOf = pgClassReader(pgClass, UNKNOWN_ENCODING)
  const typeOf = pgTypeReader(pgType, UNKNOWN_ENCODING)
  const attributeOf = pgAttributeReader(pgAttribute, UNKNOWN_ENCODING, (relId) => relId === RELATION_RELATION_ID)
  return [
    { oid: RELATION_RELATION_ID, layout: pgClass, is: (tuple) => isNamed(classOf(tuple), RELATION_RELATION_ID, 'pg_class') },
    { oid: ATTRIBUTE_RELATION_ID, layout: pgAttribute, is: (tuple) => attributeOf(tuple)?.name === 'relname' },
    { oid: TYPE_RELATION_ID, layout: pgType, is: (tuple) => isNamed(typeOf(tuple), INT4, 'int4') },
  ]
}

function isNamed(row: { oid: Oid; name: string }, oid: Oid, name: string): boolean {
  return row.oid === oid && row.name === name
}

/**
 * A pg_filenode.map from what is in the files of its directory. initdb gives a mapped catalog its oid as the number of its file, and a
 * rewrite another one: where a catalog's layout is known without catalogs, its rows tell its file, the one with the highest number if
 * several have them. The others keep their oid if there is such a file.
 * @param relNumbers of the directory's main forks
 */
export function guessRelationMap(major: PgMajor, shared: boolean, relNumbers: Iterable<number>, open: (relNumber: number) => OpenCatalog): Map<Oid, number> {
  const all = [...relNumbers].sort((a, b) => a - b)
  const map = new Map(all.filter((relNumber) => relNumber < FIRST_NORMAL_OBJECT_ID).map((relNumber) => [relNumber, relNumber]))
  for (const { oid, layout, is } of signatures(major, shared)) {
    const found = all.filter((relNumber) => hasRow(() => open(relNumber), layout, is))
    if (found.length > 0) map.set(oid, found.at(-1)!)
    else map.delete(oid)
  }
  return map
}

const FIRST_NORMAL_OBJECT_ID = 16384
/** Without catalogs only the first attributes of pg_type and pg_database are known. */
const MORE_ATTRIBUTES = 8

/** False, too, for a file that cannot be opened. */
function hasRow(open: () => OpenCatalog, layout: CatalogLayout, is: (tuple: CatalogTuple) => boolean): boolean {
  let found = false
  const source = orDamage(() => {}, open)
  if (source === undefined) return false
  const natts = layout.attributes.length
  try {
    const wanted: CatalogScan['wanted'] = (header) => !found && header.natts >= natts && header.natts <= natts + MORE_ATTRIBUTES
    scanCatalog({ source, layout, wanted, onDamage: () => {} }, (tuple) => {
      if (is(tuple)) found = true
    })
  } finally {
    source.pages.close()
  }
  return found
}
