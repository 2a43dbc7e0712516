import { quoteIdentifier } from '../../catalog/sqlname.ts'
import { noTableHint, tablesLike } from '../../catalog/tablename.ts'
import { typeText } from '../../catalog/typetext.ts'
import { relationSchema } from '../../columnar/schema.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { printable } from '../../common/printable.ts'
import { notReadText } from '../../lake/notread.ts'
import { type DatabaseNames, databaseNames, foldName, type NamedRelation, quoteName, SYSTEM_SCHEMAS } from '../../lake/viewnames.ts'
import { readDescription } from '../lakes/layerfiles.ts'
import { chooseDatabase, type OpenSource, openSource, type QuerySource } from './openquery.ts'
import type { Cells } from './tabletext.ts'

/** What a command of psql lists. */
export interface Listing {
  readonly names: readonly string[]
  readonly rows: readonly Cells[]
}

/** Names of psql for pg_class.relkind. */
const KINDS: Readonly<Record<string, string>> = { r: 'table', p: 'partitioned table', m: 'materialized view', S: 'sequence', t: 'TOAST table' }
/** Values of relkind that a command lists. */
const LISTED: Readonly<Record<string, string>> = { d: 'rpmS', dt: 'rp', dm: 'm', ds: 'S' }
const COMMAND = /^\s*\\(\w+)\+?(?:\s+(.*?))?\s*;?\s*$/s

/** Whether a text is a command of psql, and no SQL. */
export function isPsqlCommand(text: string): boolean {
  return /^\s*\\/.test(text)
}

/**
 * Answers a command of psql from what the lake says of a state: `\d`, `\dt`, `\dm`, `\ds` and `\d <table>`, with patterns as psql has them, `\dn`, `\l`.
 * With an `S` at its end it lists the server's own, too. No row is read, and DuckDB is not needed.
 * @throws EnvironmentError query.sql for another command, query.name for a pattern without a match, query.database; lake.*, store.*
 */
export async function describeLake(source: QuerySource): Promise<Listing> {
  const [, word = source.sql.trim().slice(1), pattern = ''] = COMMAND.exec(source.sql) ?? []
  const [, command = '', system] = /^(.*?)(S?)$/.exec(word)!
  const kinds = LISTED[command]
  if (kinds === undefined && command !== 'l' && command !== 'dn') {
    const known = String.raw`\d, \dt, \dm, \ds, \d <table>, \dn and \l are`
    throw new EnvironmentError('query.sql', `\\${printable(word)} is no command that ltap knows: ${known}; anything else is SQL`)
  }
  const opened = await openSource(source)
  if (command === 'l') return { names: ['name', 'template'], rows: opened.manifest.databases.map(({ name, template }) => [name, String(template)]) }
  const names = databaseNames(opened.manifest, chooseDatabase(opened.manifest, source.database))
  const all = names.relations.filter(({ relation }) => system !== '' || pattern !== '' || !SYSTEM_SCHEMAS.has(relation.schema))
  if (command === 'dn') return schemas(names, all, pattern)
  const found = pattern === '' ? all : matching(names, all, pattern)
  if (command === 'd' && pattern !== '') return columns(opened, found)
  return relations(names, found.filter(({ relation }) => kinds!.includes(relation.relkind)), pattern)
}

/** @throws EnvironmentError query.name for none */
function matching(names: DatabaseNames, relations: readonly NamedRelation[], pattern: string): NamedRelation[] {
  const tables = relations.map((named) => ({ schema: named.relation.schema, name: named.relation.name, named }))
  const found = tablesLike(tables, pattern).map(({ named }) => named)
  if (found.length > 0) return found
  const notRead = tablesLike(names.notRead.map((entry) => ({ schema: entry.schema, name: entry.name, entry })), pattern)
  if (notRead.length > 0) throw new EnvironmentError('query.name', `not in the lake: ${notRead.slice(0, 5).map(({ entry }) => notReadText(entry)).join('; ')}`)
  const plain = pattern.replaceAll('"', '')
  const alike = tables.filter(({ name }) => foldName(name) === foldName(plain)).slice(0, 5)
  const hint = alike.length > 0 ? `there is ${alike.map(({ schema, name }) => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`).join(' and ')}: `
    + 'quote a name with upper case letters' : noTableHint(tables, pattern)
  throw new EnvironmentError('query.name', `no table of database ${printable(names.database.name)} is called ${printable(pattern)}; ${hint}`)
}

function schemas({ schemas: shown }: DatabaseNames, relations: readonly NamedRelation[], pattern: string): Listing {
  const named = [...new Set(relations.map(({ relation }) => relation.schema))].sort().map((schema) => ({ schema, name: schema }))
  const wanted = pattern === '' ? named : tablesLike(named, pattern)
  return { names: ['schema', 'in SQL'], rows: wanted.map(({ name }) => [name, quoteName(shown.get(name) ?? name)]) }
}

function relations(names: DatabaseNames, found: readonly NamedRelation[], pattern: string): Listing {
  const rows = found.map(({ relation, schema, name }): Cells => [relation.schema, relation.name, KINDS[relation.relkind], inSql(schema, name)])
  const missing = pattern === '' ? names.notRead.filter(({ schema }) => !SYSTEM_SCHEMAS.has(schema)) : []
  const absent = missing.map((entry): Cells => [entry.schema, entry.name, 'not in the lake', undefined])
  const sorted = [...rows, ...absent].sort(([a = '', b = ''], [c = '', d = '']) => compared(a, c) || compared(b, d))
  return { names: ['schema', 'name', 'type', 'in SQL'], rows: sorted }
}

function compared(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function inSql(schema: string, name: string): string {
  return schema === 'public' ? quoteName(name) : `${quoteName(schema)}.${quoteName(name)}`
}

async function columns({ lake, state, manifest }: OpenSource, found: readonly NamedRelation[]): Promise<Listing> {
  const rows: Cells[] = []
  for (const { relation, schema, name } of found) {
    const where = [relation.schema, relation.name]
    if (lake === undefined || state === undefined) {
      rows.push(...relation.columns.map((column): Cells => [...where, column, undefined, `${inSql(schema, name)}: ${quoteName(column)}`]))
      continue
    }
    const { encoding, desc, overflow, virtualColumns } = await readDescription(lake.ports.store, await state.description(relation))
    const { major, profile } = manifest
    const shown = relationSchema({ major, profile, encoding, desc, overflow, displayScales: {}, pageFlags: 0 }).columns.map((column) => column.name)
    const types = new Map(desc.types.map((type) => [type.oid, type]))
    let at = 0
    for (const attribute of desc.attributes) {
      if (attribute.dropped) continue
      const virtual = virtualColumns.find((column) => column.name === attribute.name)
      const column = attribute.virtual ? undefined : shown[at++]
      const note = column === undefined ? `not stored: ${virtual?.expression ?? 'a virtual generated column'}` : quoteName(column)
      rows.push([...where, attribute.name, virtual?.type ?? typeText(attribute.type, types, ['public']), note])
    }
  }
  return { names: ['schema', 'table', 'column', 'type', 'in SQL'], rows }
}
