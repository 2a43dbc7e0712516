import type { Oid } from '../common/ids.ts'
import type { TypeDef, TypeRef } from '../datum/typedef.ts'
import { quoteIdentifier, typeName } from './sqlname.ts'

/**
 * A type as format_type writes it (format_type.c); the name alone of a type whose typmod has a form of its own. A type that is not known has its oid.
 * @param inPath schemas whose types are called without them, beside pg_catalog
 */
export function typeText({ oid, typmod }: TypeRef, types: ReadonlyMap<Oid, TypeDef>, inPath: readonly string[] = []): string {
  const type = types.get(oid)
  if (type === undefined) return String(oid)
  if (type.kind === 'array' && type.element !== undefined) return `${typeText({ oid: type.element, typmod }, types, inPath)}[]`
  if (type.schema === 'pg_catalog') return typeName(type.name, typmod) ?? typeName(type.name, -1)!
  const name = quoteIdentifier(type.name)
  return inPath.includes(type.schema) ? name : `${quoteIdentifier(type.schema)}.${name}`
}
