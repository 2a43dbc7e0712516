import { EnvironmentError } from '../../common/errors.ts'
import { type DatabaseNames, foldName, type NamedRelation, quoteName } from '../../lake/viewnames.ts'
import { quoteText } from '../../lake/views.ts'

/*
 * DuckDB does not tell names apart by case, not even in quotes: where Postgres has tables "Orders" and orders, FROM "Orders" would give
 * the rows of the other table. So that is refused, and the error says which name to write. A name without quotes is orders in Postgres too.
 */

interface Asked {
  /** Schema and table as they are written; '' for no schema. */
  tables: { schema: string; name: string }[]
  columns: Set<string>
}

/** A name that the text itself gives: WITH to a table, which no alias hides, an alias or a list of names to a column. */
interface Given {
  kind: 'table' | 'column'
  name: string
  /** What is called so asks for that name itself: `lower("ID") AS "ID"`. So the name is the lake's, or is given elsewhere. */
  asks: boolean
  /** The next one that it is inside of. */
  outer: Given | undefined
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
    // FROM 'Orders' is a table, too.
    refuseTable(schema, isQuoted(name) || sql.includes(quoteText(name)) ? name : foldName(name), names)
  }
  const relations = names.relations.filter((relation) => asked.tables.some((table) => foldName(table.name) === foldName(relation.name)))
  for (const column of asked.columns) refuseColumn(isQuoted(column) ? column : foldName(column), relations)
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

/** What a text asks of the lake, not of itself. */
function namesOf(trees: readonly unknown[]): Asked {
  const tables: Asked['tables'] = []
  const columns: string[] = []
  const given: Given[] = []
  const pending: { node: unknown; outer: Given | undefined }[] = trees.map((node) => ({ node, outer: undefined }))
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next.node !== 'object' || next.node === null) continue
    const node = next.node as Record<string, unknown>
    let { outer } = next
    for (const { kind, name } of namesGivenBy(node)) {
      const one = { kind, name, asks: false, outer }
      given.push(one)
      if (kind !== 'table' || !isRecursive(node)) outer = one
    }
    const asked = namesAskedBy(node)
    if (asked.table !== undefined) {
      tables.push(asked.table)
      if (asked.table.schema === '') markAsking('table', asked.table.name, outer)
    }
    for (const name of asked.columns) {
      columns.push(name)
      markAsking('column', name, outer)
    }
    for (const child of Object.values(node)) pending.push({ node: child, outer })
  }
  const own = (kind: Given['kind']): Set<string> => new Set(given.filter((one) => one.kind === kind && !one.asks).map(({ name }) => name))
  const [ownTables, ownColumns] = [own('table'), own('column')]
  return {
    tables: tables.filter(({ schema, name }) => schema !== '' || !ownTables.has(name)),
    columns: new Set(columns.filter((name) => !ownColumns.has(name))),
  }
}

function markAsking(kind: Given['kind'], name: string, inside: Given | undefined): void {
  for (let one = inside; one !== undefined; one = one.outer) if (one.kind === kind && one.name === name) one.asks = true
}

function namesGivenBy({ alias, key, value, aliases, column_name_alias: list }: Record<string, unknown>): Pick<Given, 'kind' | 'name'>[] {
  const isTable = typeof value === 'object' && value !== null && 'query' in value
  return [
    ...strings([key]).map((name) => ({ kind: isTable ? 'table' as const : 'column' as const, name })),
    ...strings([alias, ...strings(aliases), ...strings(list)]).map((name) => ({ kind: 'column' as const, name })),
  ]
}

function namesAskedBy(node: Record<string, unknown>): { table?: Asked['tables'][number]; columns: string[] } {
  const { type, schema_name: schema, table_name: name, column_names: path, using_columns: using, exclude_list: excluded } = node
  const columns = [...(type === 'COLUMN_REF' ? strings(path).slice(-1) : []), ...strings(using), ...strings(excluded)]
  return type === 'BASE_TABLE' ? { table: { schema: String(schema), name: String(name) }, columns } : { columns }
}

/** WITH RECURSIVE: the name holds inside, too. */
function isRecursive({ value }: Record<string, unknown>): boolean {
  return (value as { query?: { node?: { type?: unknown } } } | undefined)?.query?.node?.type === 'RECURSIVE_CTE_NODE'
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && one !== '') : []
}
