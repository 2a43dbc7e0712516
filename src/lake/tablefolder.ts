/** What names below a table's folder may need beside it: `data/<name>.parquet`. */
const SLUG_LENGTH_MAX = 60
/** First segments of keys that are no databases. */
const RESERVED: readonly string[] = ['ltap', 'global', 'probe', 'branches']

/** Whose folder it is; `database` is null for the shared catalogs. */
export interface TableFolder {
  readonly dbOid: number
  readonly database: string | null
  readonly schema: string
  readonly name: string
  readonly oid: number
}

/**
 * Where the files of a table are in a lake: `shop/public.orders-16385`. Names are for people, the oids are what tells tables apart: what a key may not
 * have is replaced, and a database whose name has such letters, or is reserved, has its oid behind it.
 */
export function tableFolder({ dbOid, database, schema, name, oid }: TableFolder): string {
  return `${databaseFolder(database, dbOid)}/${slug(schema)}.${slug(name)}-${oid}`
}

function databaseFolder(database: string | null, oid: number): string {
  if (database === null) return 'global'
  const plain = slug(database)
  return plain === database && !RESERVED.includes(plain) ? plain : `${plain}-${oid}`
}

/** A name with letters of a key alone. */
function slug(name: string): string {
  return name.slice(0, SLUG_LENGTH_MAX).replace(/[^A-Za-z0-9_]/g, '_')
}
