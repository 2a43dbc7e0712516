/** Visible rows of a lake against COPY of a server on the same data directory. */
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { TypeRef } from '../../src/datum/typedef.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { type LakeTable, visibleRows } from './lakerows.ts'
import { type Session, connect } from './oracle.ts'
import { copyRows, isRoundedTo9, isSameValue, type Types } from './servertext.ts'

/**
 * Compares every visible relation of the lake that has pages, value by value; returns what differs. The server was started on the data
 * directory that the lake was read from; prepared transactions are rolled back, whose locks are in the way.
 */
export async function compareCluster(
  cluster: PostgresServer, lake: string, manifest: Manifest,
): Promise<{ values: number; differences: string[] }> {
  const first = await connect(cluster)
  for (const [gid] of await first.rows('SELECT gid FROM pg_prepared_xacts')) await first.exec(`ROLLBACK PREPARED '${gid}'`)
  const differences: string[] = []
  let values = 0
  const databases = new Set(manifest.relations.map((relation) => relation.database ?? 'postgres'))
  // Nobody may connect to it.
  databases.delete('template0')
  for (const database of databases) {
    const sql = await connect(cluster, database)
    // No server converts from SQL_ASCII: its bytes must come as they are.
    if (await sql.value('SHOW server_encoding') === 'SQL_ASCII') await sql.exec('SET client_encoding = SQL_ASCII')
    const unpopulated = new Set((await sql.rows('SELECT oid FROM pg_class WHERE NOT relispopulated')).flat())
    for (const relation of manifest.relations) {
      if ((relation.database ?? 'postgres') !== database || !relation.visible || relation.path === '') continue
      if (unpopulated.has(String(relation.oid))) continue
      const compared = await compareRelation(sql, visibleRows(lake, relation))
      values += compared.values
      differences.push(...compared.differences)
    }
  }
  return { values, differences }
}

async function compareRelation(sql: Session, table: LakeTable): Promise<{ values: number; differences: string[] }> {
  const { desc, schema, name, database } = table.descriptor.relation
  const types: Types = new Map(desc.types.map((type) => [type.oid, type]))
  const attributes = desc.attributes.filter(({ dropped, virtual }) => !dropped && !virtual)
  const columns = ['ctid', ...attributes.map((attribute) => quote(attribute.name) + asNumber(attribute.type, types))]
  const query = `(SELECT ${columns.join(', ')} FROM ONLY ${quote(schema)}.${quote(name)} ORDER BY ctid)`
  const rows = copyRows(await sql.copyOut(query))
  const [expected, found] = [rows.map(([ctid]) => ctid), table.rows.map(({ ctid }) => ctid)]
  const differences: string[] = []
  if (JSON.stringify(expected) !== JSON.stringify(found)) {
    differences.push(`${database}.${schema}.${name}: the server sees ${expected.join(' ')}, the lake ${found.join(' ')}`)
    return { values: 0, differences }
  }
  for (const [row, [ctid, ...fields]] of rows.entries()) {
    for (const [i, field] of fields.entries()) {
      const { values, overflow } = table.rows[row]!
      const lanes = { value: values[i]!, overflow: overflow[i]!, kind: table.columns[i]!.type }
      const problem = valueProblem(lanes, field, attributes[i]!.type, types)
      if (problem !== undefined) differences.push(`${database}.${schema}.${name}.${attributes[i]!.name} ${ctid}: ${problem}`)
    }
  }
  return { values: rows.length * attributes.length, differences }
}

/** What is wrong with the lanes of one value that the server prints as `field` (Latin-1), or undefined. @param kind type of its column in the lake */
export function valueProblem(
  { value, overflow, kind }: { value: Value, overflow: string | null, kind: ColumnType }, field: string | null, type: TypeRef, types: Types,
): string | undefined {
  const say = (what: string): string => `${what}: ${show(field)} is ${show(value)} and ${show(overflow)}`
  if (field === null) return value === null && overflow === null ? undefined : say('NULL became a value')
  const bytes = Buffer.from(field, 'latin1')
  const text = bytes.toString()
  if (holdsOpaque(kind, type, types) && overflow === null) return value === null ? say('lost') : undefined
  if (!Buffer.from(text).equals(bytes)) {
    const exact = kind.kind !== 'string' || !STRINGS.includes(types.get(type.oid)!.name) || overflow === `\\x${bytes.toString('hex')}`
    return value === null && overflow !== null && exact ? undefined : say('bytes that are no text')
  }
  if (overflow === null) return isSameValue(value, kind, text, type, types) ? undefined : say('not what the server prints')
  // Elements of a type without codec print as hex, and OIDs of the reg family as - where they are 0.
  const same = overflow === text || holdsOpaque(kind, type, types) || overflow.replaceAll(/(?<=[{,])-(?=[,}])/g, '0') === text
  if (!same) return say('overflow is not what the server prints')
  return value === null || isRoundedTo9(value, text) ? undefined : say('in both lanes')
}

const STRINGS = ['text', 'varchar', 'bpchar', 'name', 'json', 'char']

function holdsOpaque(kind: ColumnType, { oid }: TypeRef, types: Types): boolean {
  const type = types.get(oid)
  if (kind.kind === 'list') return holdsOpaque(kind.element, { oid: type?.element ?? 0, typmod: -1 }, types)
  return kind.kind === 'binary' && type?.name !== 'bytea'
}

function show(value: Value): string {
  return String(JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))).slice(0, 200)
}

/** The reg types print names; the lake holds the number. */
export function asNumber({ oid }: TypeRef, types: Types): string {
  const type = types.get(oid)
  if (type?.kind === 'array') return asNumber({ oid: type.element ?? 0, typmod: -1 }, types) === '' ? '' : '::oid[]'
  return type?.schema === 'pg_catalog' && type.name.startsWith('reg') ? '::oid' : ''
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
