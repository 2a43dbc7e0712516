import { EnvironmentError } from '../../common/errors.ts'
import { type DatabaseNames, foldName, type NamedRelation, quoteName } from '../../lake/viewnames.ts'
import { quoteText } from '../../lake/viewtext.ts'

/*
 * DuckDB ignores the case of names, even in quotes: if Postgres has tables "Orders" and orders, FROM "Orders" would give the rows of the other table.
 * So such a query is refused, and the error says which name to write. Without quotes, Orders means orders in Postgres, too.
 */

interface AskedTable {
  /** The schema as the query writes it; '' without one. */
  schema: string
  name: string
  /** Argument of a function: with quotes or without, each letter counts. */
  isText?: true
}

interface AskedColumn {
  name: string
  /** What stands before the dot: a table, an alias, a composite. */
  of?: string
}

/** What a text asks of the lake. */
export interface Asked {
  tables: AskedTable[]
  columns: AskedColumn[]
  /** By alias, folded: names of the tables of the lake that have it; a table without an alias has its own name. Undefined: something else has it, too. */
  sources: ReadonlyMap<string, ReadonlySet<string> | undefined>
  /** Fields of composites, and the name before the dot if it may also be a table's. */
  fields: { name: string; of?: string }[]
}

/** A name that WITH gives to a table. No alias hides it. */
interface Given {
  name: string
  /** The query with this name asks for the same name. So the name is the lake's, or is given elsewhere. */
  asks: boolean
  /** The next one that it is inside of. */
  outer: Given | undefined
}

/** @throws EnvironmentError query.name */
export function refuseMistakenNames(asked: Asked, sql: string, names: DatabaseNames): void {
  const isQuoted = (name: string): boolean => sql.includes(quoteName(name))
  for (const { schema, name, isText = false } of asked.tables) {
    if (schema !== '' && (isText || isQuoted(schema))) refuseSchema(schema, names)
    refuseTable(schema, meantName({ name, isText }, sql), names)
  }
  const relations = askedRelations(asked, names)
  for (const { name, of } of asked.columns) {
    const tables = of === undefined ? undefined : asked.sources.get(foldName(of))
    const meant = tables === undefined ? relations : relations.filter((relation) => tables.has(foldName(relation.name)))
    refuseColumn(isQuoted(name) ? name : foldName(name), meant)
  }
}

/** As Postgres reads it: folded unless it is in quotes; FROM 'Orders' is a table, too. */
function meantName({ name, isText }: { name: string; isText: boolean }, sql: string): string {
  return isText || sql.includes(quoteName(name)) || sql.includes(quoteText(name)) ? name : foldName(name)
}

/**
 * DuckDB finds a table whatever the case of its name; Postgres folds a name without quotes and takes one in quotes letter by letter.
 * @returns a sentence for each table that Postgres would not find under the name that the text has
 */
export function namesInOtherCase(asked: Asked, sql: string, { relations }: DatabaseNames): string[] {
  const sentences = asked.tables.flatMap(({ schema, name, isText = false }) => {
    const meant = meantName({ name, isText }, sql)
    const alike = relations.filter((named) => foldName(named.name) === foldName(name) && (schema === '' ? named.schema === 'public' : isOther(schema, named)))
    if (alike.length === 0 || alike.some((named) => named.relation.name === meant || named.name === meant)) return []
    const own = quoteName(alike[0]!.relation.name)
    return [`${quoteName(meant)} is read as ${own}, whose name differs in case: in Postgres write ${own}, with quotes`]
  })
  return [...new Set(sentences)]
}

/** Relations of all schemas whose names occur. */
export function askedRelations({ tables }: Asked, { relations }: DatabaseNames): NamedRelation[] {
  return relations.filter(({ name }) => tables.some((table) => foldName(table.name) === foldName(name)))
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

/**
 * In the files, a column whose name differs from an earlier one only in case is called `<name>_<attnum>`. Each relation that may be meant is looked at by
 * itself: that another one has the column, or that an alias has the name, does not say which one DuckDB takes.
 */
function refuseColumn(asked: string, relations: readonly NamedRelation[]): void {
  for (const { relation: { columns } } of relations) {
    if (columns.includes(asked) || !columns.some((column) => foldName(column) === foldName(asked))) continue
    const meant = columns.find((column) => column.startsWith(`${asked}_`) && /^\d+$/.test(column.slice(asked.length + 1)))
    if (meant !== undefined) throw mistaken(`column ${quoteName(asked)}`, quoteName(meant))
  }
}

export function mistaken(what: string, here: string): EnvironmentError {
  return new EnvironmentError('query.name', `DuckDB takes ${what} for another one, whose name differs only in case: write ${here}`)
}

/** What a text asks of the lake, not of itself. @param trees of json_serialize_sql @throws EnvironmentError query.sql */
export function askedNames(trees: readonly unknown[]): Asked {
  const tables: Asked['tables'] = []
  const fields: Asked['fields'] = []
  const columns: AskedColumn[] = []
  const given: Given[] = []
  const sources = new Sources()
  const pending: { node: unknown; outer: Given | undefined }[] = trees.map((node) => ({ node, outer: undefined }))
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next.node !== 'object' || next.node === null) continue
    const node = next.node as Record<string, unknown>
    let { outer } = next
    for (const name of tablesGivenBy(node)) {
      const one = { name, asks: false, outer }
      given.push(one)
      if (!isRecursive(node)) outer = one
    }
    const asked = namesAskedBy(node)
    if (asked.table !== undefined) {
      tables.push(asked.table)
      if (asked.table.schema === '') markAsking(asked.table.name, outer)
    }
    sources.add(node)
    columns.push(...asked.columns)
    fields.push(...fieldsAskedBy(node))
    for (const child of Object.values(node)) pending.push({ node: child, outer })
  }
  const own = new Set(given.filter(({ asks }) => !asks).map(({ name }) => name))
  return { tables: tables.filter(({ schema, name }) => schema !== '' || !own.has(name)), columns, sources: sources.without(given), fields }
}

function markAsking(name: string, inside: Given | undefined): void {
  for (let one = inside; one !== undefined; one = one.outer) if (one.name === name) one.asks = true
}

/** What may stand before the dot of a column. */
class Sources {
  private readonly tables = new Map<string, Set<string>>()
  private readonly others = new Set<string>()

  add({ type, alias, table_name: table }: Record<string, unknown>): void {
    const called = typeof alias === 'string' ? foldName(alias) : ''
    if (type !== 'BASE_TABLE') {
      this.others.add(called)
      return
    }
    const name = foldName(String(table))
    const known = this.tables.get(called || name) ?? new Set()
    this.tables.set(called || name, known.add(name))
  }

  /** @param given names that WITH gives: what has one of them may be no table of the lake */
  without(given: readonly Given[]): Asked['sources'] {
    const own = new Set(given.map(({ name }) => foldName(name)))
    const isCertain = (called: string, names: ReadonlySet<string>): boolean => !this.others.has(called) && ![...names].some((name) => own.has(name))
    return new Map([...this.tables].map(([called, names]) => [called, isCertain(called, names) ? names : undefined]))
  }
}

/** The name of WITH. */
function tablesGivenBy({ key, value }: Record<string, unknown>): string[] {
  return typeof value === 'object' && value !== null && 'query' in value ? strings([key]) : []
}

function namesAskedBy(node: Record<string, unknown>): { table?: AskedTable; columns: AskedColumn[] } {
  const { type, schema_name: schema, table_name: name, column_names: path, using_columns: using, exclude_list: excluded } = node
  if (type === 'TABLE_FUNCTION') return { columns: [], ...tableArgument(node) }
  const [column, of] = type === 'COLUMN_REF' ? strings(path).reverse() : []
  const columns: AskedColumn[] = [...strings(using), ...strings(excluded)].map((one) => ({ name: one }))
  if (column !== undefined) columns.push({ name: column, ...(of !== undefined && { of }) })
  return type === 'BASE_TABLE' ? { table: { schema: String(schema), name: String(name) }, columns } : { columns }
}

const FIELD_FUNCTIONS = new Set(['STRUCT_EXTRACT', 'ARRAY_EXTRACT', 'ELEMENT_AT'])

/** `p.a`, `(p).a`, `p['a']`, `struct_extract(p, 'a')`. */
function fieldsAskedBy({ type, column_names: path, function_name: called, children }: Record<string, unknown>): Asked['fields'] {
  if (type === 'COLUMN_REF') {
    const parts = strings(path)
    return parts.slice(1).map((name, i) => ({ name, of: parts[i]! }))
  }
  if (!FIELD_FUNCTIONS.has(String(type === 'FUNCTION' ? called : type).toUpperCase()) || !Array.isArray(children)) return []
  const given = (children as { value?: { value?: unknown } }[]).map(({ value }) => value?.value)
  return strings(given).map((name) => ({ name }))
}

/** Functions whose argument is the name of a table, as DuckDB reads one. */
const OF_A_TABLE = new Set(['pragma_table_info', 'pragma_show'])

/** @throws EnvironmentError query.sql for a name that is computed */
function tableArgument({ function: called }: Record<string, unknown>): { table?: AskedTable } {
  const { function_name: name, children } = called as { function_name: string; children?: readonly { value?: { value?: unknown } }[] }
  if (!OF_A_TABLE.has(name.toLowerCase())) return {}
  const text = children?.[0]?.value?.value
  if (typeof text !== 'string') throw new EnvironmentError('query.sql', `${name} takes the name of a table as a plain text, '…'`)
  const parts = text.match(/"(?:[^"]|"")*"|[^."]+/g) ?? []
  const [table = '', schema = ''] = parts.map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part)).reverse()
  return { table: { schema, name: table, isText: true } }
}

/** WITH RECURSIVE: the name holds inside, too. */
function isRecursive({ value }: Record<string, unknown>): boolean {
  return (value as { query?: { node?: { type?: unknown } } } | undefined)?.query?.node?.type === 'RECURSIVE_CTE_NODE'
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && one !== '') : []
}
