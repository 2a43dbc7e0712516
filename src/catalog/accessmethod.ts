import type { Oid } from '../common/ids.ts'
import type { DatabaseCatalog } from './database.ts'

/** `heap` in pg_am.dat. */
const HEAP_TABLE_AM_OID = 2
/** The handler whose tables are heaps, whatever the access method is called: pg_proc.dat has it as function 3. */
const HEAP_HANDLER_OID = 3
const HEAP_HANDLER = 'heap_tableam_handler'

/** Tells by pg_am and pg_proc which tables are heaps. It reads these catalogs only if a table has an access method that is not built in. */
export class AccessMethods {
  private readonly catalog: DatabaseCatalog
  private readonly problems = new Map<Oid, string | undefined>([[HEAP_TABLE_AM_OID, undefined]])

  constructor(catalog: DatabaseCatalog) {
    this.catalog = catalog
  }

  /** Why tables of an access method (pg_class.relam) cannot be read; undefined if their pages are a heap. */
  problem(oid: Oid): string | undefined {
    if (!this.problems.has(oid)) this.problems.set(oid, this.find(oid))
    return this.problems.get(oid)
  }

  private find(oid: Oid): string | undefined {
    const method = this.catalog.accessMethods().find((row) => row.oid === oid)
    if (method === undefined) return `a table of access method ${oid}, which pg_am does not have`
    if (method.handler === HEAP_HANDLER_OID) return undefined
    const [handler] = this.catalog.functions(new Set([method.handler]))
    // A library may have a function of that name, too.
    if (handler?.symbol === HEAP_HANDLER && handler.library === undefined) return undefined
    return `a table of access method ${method.name} (handler ${handlerText(method.handler, handler)}), whose files are no heap`
  }
}

function handlerText(oid: Oid, handler: { symbol: string; library: string | undefined } | undefined): string {
  if (handler === undefined) return `function ${oid}`
  return handler.library === undefined ? handler.symbol : `${handler.symbol} of ${handler.library}`
}
