import { EnvironmentError } from '../common/errors.ts'
import { type DatabaseNames, foldName, type NamedRelation, quoteName } from '../lake/viewnames.ts'

/*
 * DuckDB does not tell names apart by case, not even in quotes: where Postgres has tables "Orders" and orders, FROM "Orders" would give
 * the rows of the other table. So that is refused, and the error says which name to write. A name without quotes is orders in Postgres too.
 */

interface Asked {
  /** Schema and table as they are written; '' for no schema. */
  tables: { schema: string; name: string }[]
  columns: Set<string>
  /** Names that the text itself gives: aliases and WITH. */
  own: Set<string>
}

/**
 * @param trees of json_serialize_sql
 * @throws EnvironmentError query.name
 */
export function refuseMistakenNames(trees: readonly unknown[], sql: string, names: DatabaseNames): void {
  const asked = namesOf(trees)
  const isQuoted = (name: string): boolean => sql.includes(quoteName(name))
  for (const { schema, name } of asked.tables) {
    if (schema !== '' && isQuoted(schema)) refuseSchema(schema, names)
    if (schema === '' && asked.own.has(name)) continue
    refuseTable(schema, isQuoted(name) ? name : foldName(name), names)
  }
  const relations = names.relations.filter((relation) => asked.tables.some((table) => foldName(table.name) === foldName(relation.name)))
  for (const column of asked.columns) {
    if (!asked.own.has(column)) refuseColumn(isQuoted(column) ? column : foldName(column), relations)
  }
}

function refuseSchema(asked: string, { relations }: DatabaseNames): void {
  for (const { relation, schema, physicalSchema } of relations) {
    for (const [own, here] of [[relation.schema, schema], [`ltap_${relation.schema}`, physicalSchema]] as const) {
      if (own !== asked || here === own || !relations.some((other) => other.relation.schema !== relation.schema && isOther(asked, other))) continue
      throw mistaken(`schema ${quoteName(asked)}`, quoteName(here))
    }
  }
}

function isOther(asked: string, { schema, physicalSchema }: NamedRelation): boolean {
  return [schema, physicalSchema].some((name) => foldName(name) === foldName(asked))
}

/** @param asked as Postgres reads it, folded unless it was quoted */
function refuseTable(schema: string, asked: string, { relations }: DatabaseNames): void {
  const inSchema = (named: NamedRelation): boolean => (schema === '' ? named.schema === 'public' : isOther(schema, named))
  const alike = relations.filter((named) => foldName(named.relation.name) === foldName(asked) && inSchema(named))
  const exact = alike.filter(({ relation }) => relation.name === asked)
  if (alike.length < 2 || exact.some(({ name }) => name === asked)) return
  const written = (exact.length > 0 ? exact : alike).map(({ name, schema: shown, physicalSchema }) => {
    const inPhysical = schema !== '' && foldName(schema) === foldName(physicalSchema)
    return `${quoteName(inPhysical ? physicalSchema : shown)}.${quoteName(name)}`
  })
  throw mistaken(`table ${quoteName(asked)}`, written.join(' or '))
}

/** A column beside one that differs only in case is called `<name>_<attnum>` in the files. */
function refuseColumn(asked: string, relations: readonly NamedRelation[]): void {
  const columns = relations.flatMap(({ relation }) => relation.columns)
  if (columns.includes(asked) || !columns.some((column) => foldName(column) === foldName(asked))) return
  const meant = columns.find((column) => column.startsWith(`${asked}_`) && /^\d+$/.test(column.slice(asked.length + 1)))
  if (meant !== undefined) throw mistaken(`column ${quoteName(asked)}`, quoteName(meant))
}

function mistaken(what: string, here: string): EnvironmentError {
  return new EnvironmentError('query.name', `DuckDB takes ${what} for another one, whose name differs only in case: write ${here}`)
}

function namesOf(trees: readonly unknown[]): Asked {
  const asked: Asked = { tables: [], columns: new Set(), own: new Set() }
  const pending: unknown[] = [...trees]
  while (pending.length > 0) {
    const node = pending.pop()
    if (typeof node !== 'object' || node === null) continue
    const { type, schema_name: schema, table_name: name, column_names: columns, alias, key } = node as Record<string, unknown>
    if (type === 'BASE_TABLE') asked.tables.push({ schema: String(schema), name: String(name) })
    if (type === 'COLUMN_REF' && Array.isArray(columns)) asked.columns.add(String(columns.at(-1)))
    if (typeof alias === 'string' && alias !== '') asked.own.add(alias)
    if (typeof key === 'string') asked.own.add(key)
    pending.push(...Object.values(node))
  }
  return asked
}
