import type { Oid } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { DatabaseCatalog } from './database.ts'

/** `btree` in pg_am.dat, and its handler in pg_proc.dat. */
const BTREE_AM_OID = 403
const BTREE_HANDLER_OID = 330

/** An index that has a file. */
export interface IndexFile {
  oid: Oid
  /** `schema.name`. */
  name: string
  locator: RelFileLocator
  isBtree: boolean
  /** Made or rewritten by a transaction that is prepared, or may still run: no other transaction sees it. */
  isPending: boolean
}

/** Indexes that are there at L, and those of transactions that are prepared or may still run; none of temporary tables. */
export function listIndexes(catalog: DatabaseCatalog): IndexFile[] {
  const handlers = lazyHandlers(catalog)
  return catalog.classes.flatMap(({ row, visible, pending, locator }) => {
    if (row.kind !== 'i' || row.persistence === 't' || locator === undefined || !(visible || pending)) return []
    const isBtree = row.am === BTREE_AM_OID || handlers().get(row.am) === BTREE_HANDLER_OID
    return [{ oid: row.oid, name: `${catalog.namespaceName(row.namespace)}.${row.name}`, locator, isBtree, isPending: !visible }]
  })
}

/** Another access method may have the same handler. pg_am is read only if there is one. */
function lazyHandlers(catalog: DatabaseCatalog): () => ReadonlyMap<Oid, Oid> {
  let handlers: ReadonlyMap<Oid, Oid> | undefined
  return () => (handlers ??= new Map(catalog.accessMethods().map(({ oid, handler }) => [oid, handler])))
}
