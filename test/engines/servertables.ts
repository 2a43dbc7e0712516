/** What a server shows of its tables at one moment, kept: a published table of that moment must show it for ever. */
import type { CompositeField, TypeDef, TypeRef } from '../../src/datum/typedef.ts'
import { asNumber } from '../support/comparelake.ts'
import type { Session } from '../support/oracle.ts'
import { copyRows, type Types } from '../support/servertext.ts'

export interface ServerColumn {
  readonly name: string
  readonly attnum: number
  readonly type: TypeRef
}

export interface ServerTable {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** Rows of other tables are among its rows. */
  readonly isParent: boolean
  readonly columns: readonly ServerColumn[]
  readonly types: Types
  /** The ctid, then the text of each column as bytes in Latin-1, in the order of ctids. A table with parts may have several rows of one ctid. */
  readonly rows: readonly (readonly (string | null)[])[]
}

/** Tables and materialized views of users; what inherits from a table, or is its partition, is a part of it. */
export async function serverTables(sql: Session, condition = 'true'): Promise<ServerTable[]> {
  const types = await serverTypes(sql)
  const relations = await sql.rows(`
    SELECT c.oid, nspname, relname, EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm', 'p') AND relpersistence <> 't' AND relispopulated AND c.oid >= 16384 AND nspname NOT LIKE 'pg\\_%' AND (${condition}) ORDER BY c.oid`)
  const tables: ServerTable[] = []
  for (const [oid, schema, name, isParent] of relations) {
    tables.push(await serverTable(sql, { oid: Number(oid), schema: schema!, name: name!, isParent: isParent === 't' }, types))
  }
  return tables
}

async function serverTable(sql: Session, relation: Pick<ServerTable, 'oid' | 'schema' | 'name' | 'isParent'>, types: Types): Promise<ServerTable> {
  const attributes = await sql.rows(`
    SELECT attname, attnum, atttypid, atttypmod FROM pg_attribute
    WHERE attrelid = ${relation.oid} AND attnum > 0 AND NOT attisdropped AND attgenerated <> 'v' ORDER BY attnum`)
  const columns = attributes.map(([name, attnum, oid, typmod]) => ({ name: name!, attnum: Number(attnum), type: { oid: Number(oid), typmod: Number(typmod) } }))
  const shown = ['ctid', ...columns.map(({ name, type }) => quote(name) + asNumber(type, types))]
  const copied = await sql.copyOut(`(SELECT ${shown.join(', ')} FROM ${quote(relation.schema)}.${quote(relation.name)} ORDER BY ctid)`)
  return { ...relation, columns, types, rows: copyRows(copied) }
}

/** As far as texts of their values are read with them. */
async function serverTypes(sql: Session): Promise<Types> {
  const KINDS: Record<string, TypeDef['kind']> = { b: 'base', c: 'composite', d: 'domain', e: 'enum', m: 'multirange', p: 'pseudo', r: 'range' }
  const fields = await sql.rows(`
    SELECT t.oid, attname, atttypid, atttypmod, attisdropped FROM pg_type t JOIN pg_attribute ON attrelid = typrelid
    WHERE typtype = 'c' AND attnum > 0 ORDER BY t.oid, attnum`)
  const fieldsOf = new Map<string, CompositeField[]>()
  for (const [owner, name, oid, typmod, dropped] of fields) {
    const field = { name: name!, type: { oid: Number(oid), typmod: Number(typmod) }, len: 0, align: 1, plain: true, dropped: dropped === 't' }
    fieldsOf.set(owner!, [...fieldsOf.get(owner!) ?? [], field])
  }
  const found = await sql.rows(`
    SELECT t.oid, typname, nspname, typtype, typdelim, typbasetype, typtypmod, typelem, typsubscript = 'array_subscript_handler'::regproc
    FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace`)
  return new Map(found.map(([oid, name, schema, kind, delimiter, base, typmod, element, isArray]): [number, TypeDef] => {
    const type: TypeDef = {
      oid: Number(oid), name: name!, schema: schema!, kind: isArray === 't' ? 'array' : KINDS[kind!]!, delimiter: delimiter!, len: 0, align: 1, storage: 'p',
    }
    if (isArray === 't') type.element = Number(element)
    if (kind === 'd') type.base = { oid: Number(base), typmod: Number(typmod) }
    if (kind === 'c') type.fields = fieldsOf.get(oid!) ?? []
    return [Number(oid), type]
  }))
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
