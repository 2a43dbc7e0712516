import { crc32c } from '../common/crc32c.ts'
import { utf8Encode } from '../common/utf8.ts'
import { LOG_NAMES, LOG_NAMESPACE } from './publishedentry.ts'

/** A table as Postgres names it. */
interface NamedTable {
  readonly dbOid: number
  readonly oid: number
  readonly schema: string
  readonly name: string
}

/** Schemas of Postgres itself; TOAST relations are in such ones, too. */
const OWN_SCHEMAS = /^(?:pg_|information_schema$)/

/** Whether engines are shown the table: a table or materialized view of a user. */
export function isPublished({ schema, relkind, visible, populated }: { schema: string; relkind: string; visible: boolean; populated?: false }): boolean {
  return 'rmp'.includes(relkind) && visible && populated !== false && !OWN_SCHEMAS.test(schema)
}

function isLog(namespace: string, name: string): boolean {
  return namespace.toLowerCase() === LOG_NAMESPACE && LOG_NAMES.some((log) => log === name.toLowerCase())
}

/**
 * How engines, which fold case, are to call each table: as Postgres does, but for what others are called. Of schemas that differ in case only, all but
 * the first one get a number made of their name behind it; of such tables, all but the oldest one their oid, and so does one that is called as ltap's own.
 * @returns by `<database>/<oid>`
 */
export function publishedNames(tables: readonly NamedTable[]): Map<string, { namespace: string; name: string }> {
  const namespaces = new Map<string, string>()
  const takenIn = new Map<number, Set<string>>()
  for (const { dbOid, schema } of [...tables].sort((a, b) => (a.schema < b.schema ? -1 : Number(a.schema > b.schema)))) {
    const own = `${dbOid}/${schema}`
    if (namespaces.has(own)) continue
    const taken = takenIn.get(dbOid) ?? new Set()
    let unique = schema
    while (taken.has(unique.toLowerCase())) unique += `_${crc32c(utf8Encode(schema)).toString(16)}`
    namespaces.set(own, unique)
    takenIn.set(dbOid, taken.add(unique.toLowerCase()))
  }
  const taken = new Set<string>()
  const names = new Map<string, { namespace: string; name: string }>()
  for (const { dbOid, oid, schema, name } of [...tables].sort((a, b) => a.oid - b.oid)) {
    const namespace = namespaces.get(`${dbOid}/${schema}`)!
    const place = (text: string): string => `${dbOid}/${namespace}/${text.toLowerCase()}`
    let unique = name
    while (taken.has(place(unique)) || isLog(namespace, unique)) unique += `_${oid}`
    taken.add(place(unique))
    names.set(`${dbOid}/${oid}`, { namespace, name: unique })
  }
  return names
}
