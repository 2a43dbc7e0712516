import * as v from 'valibot'
import { oneOf, type Schema, text, unsigned32 } from '../common/validate.ts'

/** Why a relation of the cluster is not in a lake: `excluded` and `secrets` by request, the others by what it is. */
export type NotReadWhy = 'access-method' | 'foreign-table' | 'excluded' | 'secrets' | 'damaged'

/** A relation of the cluster that is not in the lake. */
export interface NotRead {
  /** Null for shared relations. */
  database: string | null
  schema: string
  name: string
  oid: number
  /** pg_class.relkind. */
  relkind: string
  /** Oids of its parents, partitioned or not, whose views lack its rows; absent for none. */
  parents?: readonly number[]
  why: NotReadWhy
  /** The reason as text, which follows the name and a colon: `a table of the access method columnar, whose pages are no heap`. */
  reason: string
}

/** Members that are not named here are passed over. */
export const NOT_READ: Schema<NotRead> = v.object({
  database: v.nullable(text), schema: text, name: text, oid: unsigned32, relkind: text, parents: v.exactOptional(v.array(unsigned32)),
  why: oneOf(['access-method', 'foreign-table', 'excluded', 'secrets', 'damaged']), reason: text,
})

/** The user's options did not ask for this relation to be left out. */
export function isUnasked({ why }: NotRead): boolean {
  return why !== 'excluded' && why !== 'secrets'
}

/** `shop.public.orders: why it is not read`. */
export function notReadText({ database, schema, name, reason }: NotRead): string {
  return `${database === null ? '' : `${database}.`}${schema}.${name}: ${reason}`
}
