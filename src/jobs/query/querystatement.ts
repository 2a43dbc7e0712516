import type { DuckDBConnection, DuckDBExtractedStatements, DuckDBPreparedStatement } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { foldName } from '../../lake/viewnames.ts'
import { quoteText } from '../../lake/viewtext.ts'

type Duck = typeof import('@duckdb/node-api')

/*
 * Which statements of a stranger's SQL are run. DuckDB's parser gives a SELECT as JSON (json_serialize_sql) without binding it, and refuses to do so
 * for any other statement: SHOW, DESCRIBE and SUMMARIZE are SELECTs too. A SELECT may still call functions that change the instance or write
 * (enable_logging aborts the process on a bad path), so table functions are on a list. An EXPLAIN is put together here from the word EXPLAIN and the
 * text of one such SELECT, because EXPLAIN ANALYZE runs whatever statement follows it, even COPY.
 */

/** Table functions that read nothing but their arguments, the catalog, or files; which files the lock of querylock.ts decides. */
const TABLE_FUNCTIONS = new Set([
  'range', 'generate_series', 'unnest', 'repeat', 'repeat_row', 'json_each', 'json_tree', 'summary', 'histogram', 'histogram_values',
  'test_all_types', 'test_vector_types', 'pg_timezone_names', 'icu_calendar_names',
  'read_parquet', 'parquet_scan', 'parquet_metadata', 'parquet_file_metadata', 'parquet_full_metadata', 'parquet_kv_metadata', 'parquet_schema',
  'parquet_bloom_probe',
  'duckdb_columns', 'duckdb_constraints', 'duckdb_databases', 'duckdb_dependencies', 'duckdb_extensions', 'duckdb_functions', 'duckdb_indexes',
  'duckdb_keywords', 'duckdb_memory', 'duckdb_optimizers', 'duckdb_schemas', 'duckdb_sequences', 'duckdb_settings', 'duckdb_tables',
  'duckdb_temporary_files', 'duckdb_types', 'duckdb_variables', 'duckdb_views',
  'pragma_collations', 'pragma_database_size', 'pragma_platform', 'pragma_show', 'pragma_table_info', 'pragma_user_agent', 'pragma_version',
])

/** Scalar functions that write to a log, or run a text that was not checked. */
const REFUSED_FUNCTIONS = new Set(['write_log', 'json_serialize_plan'])

/** Pragmas that are a SELECT to DuckDB. */
const PRAGMAS = [
  'collations', 'database_list', 'database_size', 'functions', 'platform', 'show_databases', 'show_tables_expanded', 'user_agent', 'version',
]
const PRAGMA = new RegExp(`^(?:${PRAGMAS.join('|')})\\s*(?:\\(\\s*\\))?\\s*;?\\s*$`, 'i')
/** Pragmas that are written as the SELECT that they are, so that its names are looked at. */
const SHOW_TABLES = /^show_tables\s*;?\s*$/i
const TABLE_INFO = /^table_info\s*\(\s*('(?:[^']|'')*'|(?:(?:"(?:[^"]|"")*"|\w+)\s*(?:\.\s*)?)+)\s*\)\s*;?\s*$/i

/** DuckDB lists the tables of its search path only: public. */
const LIST_TABLES = `SELECT schema_name AS "schema", view_name AS name FROM duckdb_views()
  WHERE NOT internal AND database_name = current_database() ORDER BY schema_name, view_name`

const BLANK = String.raw`(?:\s|--[^\n]*(?:\n|$)|/\*(?:(?!\*/|/\*)[\s\S])*\*/)`
const FIRST_WORD = new RegExp(`^${BLANK}*(\\w+)${BLANK}*`)
const ANALYZE = new RegExp(`^ANALYZE${BLANK}+`, 'i')
const EXPLAIN_OPTIONS = /^\(\s*(?:ANALYZE|FORMAT\s+\w+)(?:\s*,\s*(?:ANALYZE|FORMAT\s+\w+))*\s*\)\s*/i

/**
 * The statements of `sql`. Each one only reads, and no statement has run yet.
 * @throws EnvironmentError query.sql for any other statement, DuckDB's own error for a text it does not understand
 */
export async function extractReading(duck: Duck, connection: DuckDBConnection, sql: string): Promise<ReadingStatements> {
  const [, word = ''] = FIRST_WORD.exec(sql) ?? []
  const rest = sql.replace(FIRST_WORD, '')
  if (/^EXPLAIN$/i.test(word)) return await extractExplain(duck, connection, rest)
  if (/^PRAGMA$/i.test(word)) {
    const select = selectOfPragma(rest)
    if (select !== undefined) return await extractReading(duck, connection, select)
    if (PRAGMA.test(rest)) return new ReadingStatements(duck, await extract(connection, `PRAGMA ${rest}`), 'SELECT', [])
  }
  const selects = await parseSelects(connection, sql)
  if (selects === undefined) throw refused(await kindOf(duck, connection, sql, word), sql)
  refuseFunctions(selects)
  const lists = await extract(connection, LIST_TABLES)
  return new ReadingStatements(duck, await extract(connection, sql), 'SELECT', selects, lists)
}

function selectOfPragma(text: string): string | undefined {
  if (SHOW_TABLES.test(text)) return 'SHOW TABLES'
  const [, table] = TABLE_INFO.exec(text) ?? []
  if (table === undefined) return undefined
  if (table.startsWith("'")) return `SELECT * FROM pragma_table_info(${table})`
  const names = table.match(/"(?:[^"]|"")*"|\w+/g)!.map((name) => (name.startsWith('"') ? name : foldName(name)))
  return `SELECT * FROM pragma_table_info(${quoteText(names.join('.'))})`
}

/** Statements that were checked; each is checked a second time when it is prepared. */
export class ReadingStatements {
  readonly count: number
  /** What json_serialize_sql makes of them. */
  readonly trees: readonly unknown[]
  private readonly duck: Duck
  private readonly extracted: DuckDBExtractedStatements
  private readonly kind: 'SELECT' | 'EXPLAIN'
  private readonly lists: DuckDBExtractedStatements | undefined

  /** @param lists what is run for SHOW TABLES */
  constructor(
    duck: Duck, extracted: DuckDBExtractedStatements, kind: 'SELECT' | 'EXPLAIN', trees: readonly unknown[], lists?: DuckDBExtractedStatements,
  ) {
    this.trees = trees
    this.lists = lists
    this.duck = duck
    this.extracted = extracted
    this.kind = kind
    this.count = extracted.count
  }

  /**
   * @throws EnvironmentError query.sql if DuckDB parses the statement as another kind than ltap did
   */
  async prepare(index: number): Promise<DuckDBPreparedStatement> {
    const prepared = await (this.lists !== undefined && isShowTables(this.trees[index]) ? this.lists.prepare(0) : this.extracted.prepare(index))
    const kind = this.duck.StatementType[prepared.statementType]
    if (kind !== this.kind) throw refused(String(kind))
    return prepared
  }
}

function isShowTables(tree: unknown): boolean {
  const { type, show_type: show, table_name: name } = (tree as { node?: { from_table?: Record<string, unknown> } } | undefined)?.node?.from_table ?? {}
  return type === 'SHOW_REF' && show === 'SHOW_UNQUALIFIED' && name === '"tables"'
}

async function extractExplain(duck: Duck, connection: DuckDBConnection, text: string): Promise<ReadingStatements> {
  const options = EXPLAIN_OPTIONS.exec(text)?.[0] ?? ANALYZE.exec(text)?.[0] ?? ''
  const explained = text.slice(options.length)
  const selects = await parseSelects(connection, explained)
  if (selects?.length !== 1) throw new EnvironmentError('query.sql', 'EXPLAIN takes one SELECT, and must be the only statement')
  refuseFunctions(selects)
  const own = options.startsWith('(') ? options : options === '' ? '' : 'ANALYZE '
  return new ReadingStatements(duck, await extract(connection, `EXPLAIN ${own}${explained}`), 'EXPLAIN', selects)
}

/**
 * The trees of all statements, undefined if one of them is no SELECT.
 * @throws DuckDB's own error for a text it does not understand, EnvironmentError query.sql for an empty one
 */
async function parseSelects(connection: DuckDBConnection, sql: string): Promise<readonly unknown[] | undefined> {
  const prepared = await connection.prepare('SELECT json_serialize_sql($1::VARCHAR)')
  prepared.bindVarchar(1, sql)
  const [row] = await (await prepared.run()).getRows()
  const tree = JSON.parse(String(row?.[0])) as { error: boolean; error_type?: string; statements?: readonly unknown[] }
  if (!tree.error) return tree.statements
  if (tree.error_type !== 'parser') return undefined
  await extract(connection, sql)
  throw new EnvironmentError('query.sql', 'DuckDB does not parse this text the same way twice: write it in another way')
}

/** @throws EnvironmentError query.sql */
function refuseFunctions(statements: readonly unknown[]): void {
  const pending: unknown[] = [...statements]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (typeof node !== 'object' || node === null) continue
    const { type, function: called, function_name: name } = node as { type?: unknown; function?: { function_name?: unknown }; function_name?: unknown }
    const tableFunction = type === 'TABLE_FUNCTION' ? String(called?.function_name).toLowerCase() : undefined
    if (tableFunction !== undefined && !TABLE_FUNCTIONS.has(tableFunction)) throw refusedFunction(tableFunction)
    if (typeof name === 'string' && REFUSED_FUNCTIONS.has(name.toLowerCase())) throw refusedFunction(name)
    pending.push(...Object.values(node).filter((value) => value !== undefined))
  }
}

function refusedFunction(name: string): EnvironmentError {
  return new EnvironmentError('query.sql', `function ${name} is refused: a query reads the lake and nothing else`)
}

/** The kind of the first statement that does more than read. A statement that DuckDB does not prepare has the kind of its first word, if known. */
async function kindOf(duck: Duck, connection: DuckDBConnection, sql: string, word: string): Promise<string> {
  const extracted = await extract(connection, sql)
  for (let i = 0; i < extracted.count; i++) {
    const kind = await extracted.prepare(i).then(({ statementType }) => duck.StatementType[statementType], () => undefined)
    if (kind === undefined) return i === 0 && word !== '' ? word.toUpperCase() : 'a statement of this text'
    if (kind !== 'SELECT') return kind
  }
  return 'this text'
}

/** DuckDB makes an enum of the values that it finds before it runs such a PIVOT. */
const PIVOT = /\bPIVOT(?:_WIDER)?\b/i

function refused(kind: string, sql = ''): EnvironmentError {
  if (kind === 'CREATE' && PIVOT.test(sql) && !/\bCREATE\b/i.test(sql)) {
    const instead = "write the values, PIVOT orders ON status IN ('new', 'paid') USING count(*)"
    return new EnvironmentError('query.sql', `PIVOT without IN (…) is refused, since DuckDB creates a type for it: ${instead}`)
  }
  const reading = 'a lake is only read (SELECT, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN)'
  const advice = kind === 'SET' ? '; memory and threads are options of ltap query, --memory-limit and --threads' : ''
  return new EnvironmentError('query.sql', `${kind} is refused: ${reading}${advice}`)
}

async function extract(connection: DuckDBConnection, sql: string): Promise<DuckDBExtractedStatements> {
  try {
    return await connection.extractStatements(sql)
  } catch (error) {
    // DuckDB has no message of its own for a text of blanks and comments only.
    const isEmpty = error instanceof Error && /^(?:Failed to extract statements: )?Error in native callback/.test(error.message)
    throw isEmpty ? new EnvironmentError('query.sql', 'the text has no SQL statement') : error
  }
}
