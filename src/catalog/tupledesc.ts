import * as v from 'valibot'
import { flag, matching, type Schema, text, unsigned32 } from '../common/validate.ts'
import { LAYOUT, TYPE_DEF, TYPE_REF, type TypeDef, type TypeRef } from '../datum/typedef.ts'
import type { AttributeLayout } from '../tuple/attribute.ts'

/** One pg_attribute row with attnum > 0, dropped ones included. JSON-safe: it is pinned into every file's footer. */
export interface Attribute extends AttributeLayout {
  attnum: number
  /** attname, UTF-8 text. */
  name: string
  /** atttypid and atttypmod; oid 0 for a dropped attribute. */
  type: TypeRef
  dropped: boolean
  /** attgenerated 'v' (18): never stored, always NULL in the tuple. */
  virtual: boolean
  /** attmissingval's element: hex of its payload (see datum/codec.ts); what tuples older than the column read as. */
  missing?: string
}

/** TupleDesc: the attributes in attnum order (index = attnum - 1) and every type they need, recursively. */
export interface TupleDesc {
  attributes: readonly Attribute[]
  types: readonly TypeDef[]
}

const ATTRIBUTE = v.strictObject({
  attnum: unsigned32, name: text, type: TYPE_REF, ...LAYOUT, plain: flag, dropped: flag, virtual: flag,
  missing: v.exactOptional(matching(/^(?:[0-9a-f]{2})*$/, 'hex')),
})

/** What is read as a TupleDesc; checkTupleDesc must follow. */
export const TUPLE_DESC: Schema<TupleDesc> = v.strictObject({ attributes: v.array(ATTRIBUTE), types: v.array(TYPE_DEF) })
