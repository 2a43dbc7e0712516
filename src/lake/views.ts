import type { VirtualColumn } from '../catalog/virtualcolumns.ts'
import { LTAP_FIELD } from '../columnar/physical.ts'
import { CorruptionError } from '../common/errors.ts'
import { printable } from '../common/printable.ts'
import type { LakeDatabase, LakeFile, LakeRelation, Manifest } from './manifest.ts'
import { freeName, type LayeredColumns, type LayeredRelation, layeredRows, typedNoRows } from './layeredviews.ts'
import { notReadText } from './notread.ts'
import {
  type DatabaseNames, databaseNames, foldName, isUserTable, type NamedRelation, quoteName, renamings, userDatabases,
} from './viewnames.ts'
import { globEscape, isTuple, quoteText } from './viewtext.ts'

/**
 * Which columns a view shows: `user` the user columns; `overflow` these and `_overflow`; `physical` these, `_ltap` and a boolean
 * `_visible`, of all tuples, dead ones too, but not of structure rows.
 */
export type ViewColumns = 'user' | 'overflow' | 'physical'

export interface ViewOptions {
  /** Put before every file path: '' where queries run in the lake's folder, else the lake's path with a `/` at its end. */
  root: string
  columns: ViewColumns
  /** DuckDB catalog; undefined for the current one. */
  catalog?: string
  /** Relations of a lake of format 2 that have columns and, those that are read, files. */
  layered?: ReadonlyMap<LakeRelation, LayeredRelation>
}

/**
 * The `CREATE VIEW` statement of one relation, the relations whose files it reads, and a sentence for each descendant that it cannot read; or the
 * reason why the relation has no view.
 */
export type ViewText = { sql: string; members: readonly LakeRelation[]; lacking: readonly string[]; problem?: undefined } | { sql?: undefined; problem: string }

const PARQUET_SUFFIX = '.parquet'
const HIDDEN_SUFFIX = '.hidden.parquet'
/** Length of a data file's name without `.parquet` (dataFileName). */
const DATA_NAME_LENGTH = 10

/**
 * The view of `named`. A parent, partitioned or inherited, shows its own columns of its own rows and of all its descendants'.
 * @param names of the database that `named` belongs to
 * @throws CorruptionError lake.manifest
 */
export function createView(named: NamedRelation, names: DatabaseNames, options: ViewOptions): ViewText {
  const { relation } = named
  const view = qualifiedName(named, options)
  if (relation.populated === false && options.columns !== 'physical') return { problem: unpopulated(relation) }
  const family = [relation, ...descendants(relation, names)]
  const members = family.filter((member) => member.files.length > 0 || options.layered?.get(member)?.groups !== undefined)
  for (const member of members) {
    const missing = relation.columns.find((column) => !member.columns.includes(column))
    if (missing === undefined) continue
    return { problem: `${view} has no view: its column ${quoteName(missing)} has another name in ${quoteName(member.name)}` }
  }
  const overflow = members.some((member) => member.overflow)
  const lacking = lackingRows(relation, family, names)
  if (options.layered) return { sql: `CREATE OR REPLACE VIEW ${view} AS\n${layeredBody(relation, members, options)};\n`, members, lacking }
  const columns = options.columns === 'user' || !overflow ? relation.columns : [...relation.columns, '_overflow']
  const selects = members.flatMap((member) => memberRows(member, columns, options))
  const body = selects.length === 0 ? noRows(columns) : selects.join('\nUNION ALL\n')
  return { sql: `CREATE OR REPLACE VIEW ${view} AS\n${body};\n`, members, lacking }
}

function layeredBody(relation: LakeRelation, members: readonly LakeRelation[], options: ViewOptions): string {
  const found = new Map(members.map((member) => [member, options.layered!.get(member)!]))
  const own = options.layered!.get(relation)!
  const children = new Set([...found.values()].flatMap(({ groups = [] }) => groups.flatMap(({ overflow }) => [...overflow.keys()])))
  const overflow = relation.columns.filter((column) => children.has(column))
  const columns: LayeredColumns = {
    names: relation.columns, overflow: options.columns === 'user' || overflow.length === 0 ? undefined : overflow,
    visible: options.columns === 'physical' ? freeName('_visible', relation.columns) : undefined,
  }
  if (own.groups === undefined && relation.relkind !== 'p') return typedNoRows(own, columns, `error(${quoteText(onlyListed(relation))}) IS NULL`)
  const selects = [...found.values()].flatMap((member) => layeredRows({ ...member, types: own.types }, columns))
  return selects.join('\nUNION ALL\n') || typedNoRows(own, columns)
}

function onlyListed({ schema, name }: LakeRelation): string {
  return `${schema}.${name} is only listed here: a query names each table that it reads, in its text`
}

/** A sentence for each child that is not in the lake: a server would show its rows, too. */
function lackingRows({ schema, name }: LakeRelation, family: readonly LakeRelation[], { notRead }: DatabaseNames): string[] {
  const oids = new Set(family.map(({ oid }) => oid))
  return notRead.filter(({ parents = [] }) => parents.some((oid) => oids.has(oid)))
    .map((entry) => `${schema}.${name} lacks the rows of ${notReadText(entry)}`)
}

/** The message for a materialized view that was never filled, in a server's words. */
function unpopulated({ schema, name }: LakeRelation): string {
  return `materialized view ${quoteName(schema)}.${quoteName(name)} has not been populated: use REFRESH MATERIALIZED VIEW on the server, then transcode again`
}

function qualifiedName(named: NamedRelation, { catalog, columns }: ViewOptions): string {
  const schema = columns === 'physical' ? named.physicalSchema : named.schema
  return `${catalog === undefined ? '' : `${quoteName(catalog)}.`}${quoteName(schema)}.${quoteName(named.name)}`
}

/** find_all_inheritors (pg_inherits.c): each descendant once, however many ways lead to it. */
export function descendants(relation: LakeRelation, names: DatabaseNames): LakeRelation[] {
  const found = new Set<LakeRelation>([relation])
  for (const ancestor of found) {
    for (const child of names.children.get(ancestor.oid) ?? []) if (child.database === ancestor.database) found.add(child)
  }
  found.delete(relation)
  return [...found]
}

function noRows(columns: readonly string[]): string {
  const list = columns.length === 0 ? 'NULL AS "_no_columns"' : columns.map((column) => `NULL AS ${quoteName(column)}`).join(', ')
  return `SELECT ${list} WHERE false`
}

/** Selects of one relation's rows: files without hidden rows are scanned plainly, the others less their hidden rows. */
function memberRows(member: LakeRelation, columns: readonly string[], options: ViewOptions): string[] {
  const plain = member.files.filter(({ hidden }) => hidden === null)
  const holed = member.files.filter(({ hidden }) => hidden !== null)
  const fileRowNumberTaken = member.columns.some((column) => foldName(column) === 'file_row_number')
  const selects: string[] = []
  if (plain.length > 0) selects.push(plainRows(plain, member, columns, options))
  const alike = holed.every((file) => isUnderscored(file) === isUnderscored(holed[0]!))
  if (holed.length > 1 && !fileRowNumberTaken && alike) selects.push(holedFiles(holed, member, columns, options))
  else selects.push(...holed.map((file) => holedFile(file, member, columns, fileRowNumberTaken, options)))
  return selects
}

function plainRows(files: readonly LakeFile[], member: LakeRelation, columns: readonly string[], options: ViewOptions): string {
  const from = `read_parquet(${fileList(files.map(({ path }) => path), options)}, hive_partitioning = false) AS "_row"`
  if (options.columns !== 'physical') return `SELECT ${columnList(columns, member)}\nFROM ${from}`
  return `SELECT ${columnList(columns, member)}, ${physicalList(member, 'true')}\nFROM ${from}\nWHERE ${isTuple(LTAP_FIELD)}`
}

/** One file: the position alone is the key. A column named file_row_number hides DuckDB's own: then the view counts the rows. */
function holedFile(
  file: LakeFile, member: LakeRelation, columns: readonly string[], fileRowNumberTaken: boolean, options: ViewOptions,
): string {
  const hidden = `read_parquet(${fileName(hiddenPath(file), options)}, hive_partitioning = false) AS "_hidden"`
  const data = fileName(file.path, options)
  if (!fileRowNumberTaken) {
    const rows = `read_parquet(${data}, file_row_number = true, hive_partitioning = false) AS "_row"`
    return visibleRows(rows, hidden, '"_row".file_row_number = "_hidden".pos', member, columns, options)
  }
  const position = quoteName(freeColumn('_position', member))
  const rows = `(SELECT *, row_number() OVER () - 1 AS ${position} FROM read_parquet(${data}, hive_partitioning = false)) AS "_row"`
  return visibleRows(rows, hidden, `"_row".${position} = "_hidden".pos`, member, columns, options)
}

/** Many files: file and position are the key. One join over all of them plans and runs faster than one join per file. */
function holedFiles(files: readonly LakeFile[], member: LakeRelation, columns: readonly string[], options: ViewOptions): string {
  const file = freeColumn('_file', member)
  const data = fileList(files.map(({ path }) => path), options)
  const hidden = fileList(files.map(hiddenPath), options)
  const rows = `read_parquet(${data}, file_row_number = true, filename = '${file}', hive_partitioning = false) AS "_row"`
  const stem = `left(filename, -${HIDDEN_SUFFIX.length})`
  const name = isUnderscored(files[0]!) ? `left(${stem}, -${DATA_NAME_LENGTH + 1}) || right(${stem}, ${DATA_NAME_LENGTH})` : stem
  const positions =
    `(SELECT ${name} || '${PARQUET_SUFFIX}' AS file, pos\n` +
    `  FROM read_parquet(${hidden}, filename = true, hive_partitioning = false)) AS "_hidden"`
  const key = `"_row".file_row_number = "_hidden".pos AND "_row".${quoteName(file)} = "_hidden".file`
  return visibleRows(rows, positions, key, member, columns, options)
}

function visibleRows(
  rows: string, hidden: string, key: string, member: LakeRelation, columns: readonly string[], options: ViewOptions,
): string {
  const list = columnList(columns, member)
  if (options.columns !== 'physical') return `SELECT ${list}\nFROM ${rows}\nANTI JOIN ${hidden}\n  ON ${key}`
  const physical = physicalList(member, '"_hidden".pos IS NULL')
  return `SELECT ${list}, ${physical}\nFROM ${rows}\nLEFT JOIN ${hidden}\n  ON ${key}\nWHERE ${isTuple(LTAP_FIELD)}`
}

function columnList(columns: readonly string[], member: LakeRelation): string {
  if (columns.length === 0) return 'NULL AS "_no_columns"'
  return columns
    .map((column) => (column === '_overflow' && !member.overflow ? 'NULL AS "_overflow"' : `"_row".${quoteName(column)}`))
    .join(', ')
}

function physicalList(member: LakeRelation, visible: string): string {
  return `"_row"."_ltap", ${visible} AS ${quoteName(freeColumn('_visible', member))}`
}

function freeColumn(name: string, { columns }: LakeRelation): string {
  return freeName(name, columns)
}

/** Whether the name has DATA_NAME_LENGTH digits. The name of any other file is found in a slower way. */
function isUnderscored({ path, hidden }: LakeFile): boolean {
  const [, folder, name] = /^(.*\/)?(\d+)\.parquet$/.exec(path) ?? []
  return name?.length === DATA_NAME_LENGTH && hidden?.path === `${folder ?? ''}_${name}${HIDDEN_SUFFIX}`
}

function hiddenPath({ path, hidden }: LakeFile): string {
  const stem = path.slice(0, -PARQUET_SUFFIX.length)
  const known = [stem.replace(/[^/]*$/, '_$&'), stem].map((name) => name + HIDDEN_SUFFIX)
  if (hidden !== null && known.includes(hidden.path)) return hidden.path
  throw new CorruptionError('lake.manifest', `hidden rows of ${path} are in ${String(hidden?.path)}, expected ${known.join(' or ')}`)
}

function fileList(paths: readonly string[], options: ViewOptions): string {
  return `[${paths.map((path) => fileName(path, options)).join(', ')}]`
}

/** A path as DuckDB's glob takes it for itself. */
function fileName(path: string, { root }: ViewOptions): string {
  return quoteText(globEscape(root + path))
}

/** How the views name a virtual generated column, which no file has. */
export function virtualColumnText({ name, type, expression }: VirtualColumn): string {
  return `generated column ${quoteName(name)} ${type} is not stored; Postgres computes it as ${expression.replace(/\s+/g, ' ').trim()}`
}

/** `<lake>/views.sql`: user tables' visible rows in stock DuckDB, paths relative to the lake's folder. */
export function* viewsFile(manifest: Manifest): Generator<string> {
  const databases = userDatabases(manifest)
  const several = databases.length > 1
  yield viewsHead(manifest, databases, several)
  for (const database of databases) {
    const names = databaseNames(manifest, database)
    yield* databaseViews(names, several ? names.catalog : undefined)
  }
}

function viewsHead(manifest: Manifest, databases: readonly LakeDatabase[], several: boolean): string {
  const named = several ? 'each database is a catalog: "database".schema.table' : 'tables are found by their Postgres names'
  return [
    `-- Postgres ${manifest.major}, system ${manifest.systemIdentifier}, as of LSN ${manifest.lsn}: the rows that were visible then.`,
    '-- For DuckDB 1.1 or newer, started in the folder of this file, because paths are relative to it:',
    '--   duckdb -init views.sql        or, inside DuckDB:   .read views.sql',
    `-- ${databases.map(({ name }) => comment(name)).join(', ') || 'No database has a user table'}: ${named}.`,
    ...manifest.notRead.map((entry) => `-- Not in the lake: ${comment(notReadText(entry))}`),
    '',
    '',
  ].join('\n')
}

function* databaseViews(names: DatabaseNames, catalog: string | undefined): Generator<string> {
  const tables = names.relations.filter(({ relation }) => isUserTable(relation))
  const prefix = catalog === undefined ? '' : `${quoteName(catalog)}.`
  const options: ViewOptions = { root: '', columns: 'user', ...(catalog === undefined ? {} : { catalog }) }
  const used = [...new Set(tables.map(({ schema }) => schema))]
  yield* renamings(names, tables).filter((note) => catalog !== undefined || !note.startsWith('database ')).map(commentLine)
  for (const { schema, name, relation } of tables) {
    for (const column of relation.virtualColumns ?? []) yield commentLine(`${quoteName(schema)}.${quoteName(name)}: ${virtualColumnText(column)}`)
  }
  if (catalog !== undefined) yield `ATTACH IF NOT EXISTS ':memory:' AS ${quoteName(catalog)};\n`
  yield* used.map((schema) => `CREATE SCHEMA IF NOT EXISTS ${prefix}${quoteName(schema)};\n`)
  for (const table of tables) {
    const view = createView(table, names, options)
    yield `\n${view.sql === undefined ? commentLine(view.problem) : view.lacking.map(commentLine).join('') + view.sql}`
  }
  if (catalog === undefined && used.includes('public')) yield '\nUSE "public";\n'
  yield '\n'
}

function commentLine(text: string): string {
  return `-- ${comment(text)}\n`
}

/** Names may hold anything, a line end too. */
function comment(text: string): string {
  return printable(text)
}
