/** What names below a table's folder may need beside it: `data/_<name>.layer`. */
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

/**
 * Key, but for its suffix, of a file below a folder's `data`. Engines that are pointed at a folder or a glob, without the metadata of the
 * table, would show rows that no reader may see, and positions as rows. So the names of Parquet files there do not end in `.parquet`, and begin with `_`:
 * Spark, pyarrow and Delta's VACUUM pass over such files.
 */
export function tableFile(folder: string, name: string): string {
  return `${folder}/data/_${name}`
}

/** Older lakes have files of rows that end in `.parquet`. */
const DATA_FILE = /\/data\/[^/]+\.(?:layer|parquet)$/

/** Keys of a Parquet file with rows of some blocks, and of its block index. @param name of the writer or job that puts them, unused */
export function dataKeys(folder: string, name: string): { key: string; indexKey: string } {
  const path = tableFile(folder, name)
  return { key: `${path}.layer`, indexKey: `${path}.blocks` }
}

/** Whether an object of a lake has rows of a table, as its key says it. */
export function isDataFile(key: string): boolean {
  return DATA_FILE.test(key)
}
