import type { Attribute } from '../catalog/tupledesc.ts'
import { equalJson } from '../common/equaljson.ts'
import type { TableDescription } from './relationinfo.ts'

type Described = Pick<TableDescription, 'encoding' | 'desc'>

/**
 * Whether files that were written under `before` say of their rows what the table says now, so that only changed blocks have to be written: columns may
 * have been renamed, dropped or added without a default. A default of an added column (attmissingval), another type, another label of an enum are in no
 * file that was written before.
 */
export function areReadAlike(before: Described, now: Described): boolean {
  if (before.encoding !== now.encoding) return false
  // A relation whose description nobody saw: its rows were carried without columns.
  if (before.desc.attributes.length === 0 && now.desc.attributes.length > 0) return false
  const types = new Map(before.desc.types.map((type) => [type.oid, type]))
  if (now.desc.types.some((type) => types.has(type.oid) && !equalJson(types.get(type.oid), type))) return false
  return now.desc.attributes.every((attribute, i) => isReadAlike(before.desc.attributes[i], attribute))
    && before.desc.attributes.length <= now.desc.attributes.length
}

function isReadAlike(before: Attribute | undefined, now: Attribute): boolean {
  if (now.dropped) return true
  if (before === undefined) return now.missing === undefined
  const { name: _, ...was } = before
  const { name: __, ...is } = now
  return equalJson(was, is)
}
