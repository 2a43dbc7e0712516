import type { DuckDBConnection } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { type DatabaseNames, foldName, isUserTable, type NamedRelation, quoteName, renamings } from '../../lake/viewnames.ts'
import type { LakeRelation, Manifest } from '../../lake/manifest.ts'
import { notReadText } from '../../lake/notread.ts'
import { createView, descendants, type ViewColumns, virtualColumnText } from '../../lake/views.ts'
import { globEscape, quoteText } from '../../lake/viewtext.ts'
import { checkLakeFile } from '../lakefile.ts'
import type { ChangeTables } from './changetables.ts'
import type { LogTables } from './logtables.ts'
import type { StateTables } from './statetables.ts'

/** Where a lake has the system columns of Postgres, as SQL. */
const SYSTEM_COLUMNS: Readonly<Record<string, string>> = {
  xmin: '_ltap.xmin', xmax: '_ltap.xmax', ctid: '_ltap.block, _ltap."offset"', cmin: '_ltap.cid', cmax: '_ltap.cid',
}

/**
 * The views a text of SQL needs: a view costs about a millisecond, because DuckDB opens its files. So a user table has a view if its name occurs in
 * the text, or if the text may ask for a list of tables. Anything else (catalogs, TOAST, sequences) has a view only if its name occurs.
 */
export class LakeViews {
  private readonly manifest: Manifest
  readonly names: DatabaseNames
  private readonly root: string
  private readonly sql: string
  private readonly relations: readonly NamedRelation[]
  private readonly problems: string[] = []
  /** A sentence for each thing that a server would show and a view does not. */
  readonly lacking: Set<string> = new Set<string>()
  /** Relations whose files were looked at. */
  private readonly checked = new Set<LakeRelation>()
  private readonly tables: StateTables | undefined
  private readonly logs: LogTables | undefined
  private readonly changes: ChangeTables | undefined

  /** @param lake its folder @param own those of a lake of format 2 */
  constructor(lake: string, manifest: Manifest, names: DatabaseNames, sql: string, own?: { tables: StateTables; logs: LogTables; changes: ChangeTables }) {
    this.tables = own?.tables
    this.logs = own?.logs
    this.changes = own?.changes
    this.manifest = manifest
    this.names = names
    this.root = lake.endsWith('/') ? lake : `${lake}/`
    this.sql = foldName(sql).replaceAll('""', '"')
    const listing = /\b(show|describe|information_schema|duckdb_\w+|pragma)\b/.test(this.sql)
    this.relations = names.relations.filter(({ relation, name }) => {
      return (listing && isUserTable(relation)) || this.mentions(name)
    })
  }

  private mentions(name: string): boolean {
    return this.sql.includes(foldName(name))
  }

  async create(connection: DuckDBConnection): Promise<void> {
    const catalog = quoteName(this.names.catalog)
    const schemas = new Set(this.relations.map(({ schema }) => schema))
    const physical = new Set(this.relations.map(({ physicalSchema }) => physicalSchema).filter((name) => this.mentions(name)))
    await this.tables?.prepare(this.relations.map(({ relation }) => relation), this.readRelations())
    const pgCatalog = this.names.schemas.get('pg_catalog')
    const path = ['public', ...[...schemas].filter((schema) => schema === pgCatalog)]
    const script = [
      "SET TimeZone = 'UTC';\n",
      `ATTACH ':memory:' AS ${catalog};\n`,
      // DuckDB's own pg_catalog would answer for the lake's: with a catalog of that name it is an error instead.
      ...(/\bpg_catalog"?\s*\./.test(this.sql) ? ["ATTACH ':memory:' AS pg_catalog;\n"] : []),
      ...['public', ...schemas, ...physical].map((schema) => `CREATE SCHEMA IF NOT EXISTS ${catalog}.${quoteName(schema)};\n`),
      ...this.relations.map((named) => this.view(named, 'overflow')),
      ...this.relations.filter(({ physicalSchema }) => physical.has(physicalSchema)).map((named) => this.view(named, 'physical')),
      await this.logs?.views(this.sql, this.names.catalog) ?? '',
      await this.changes?.views(this.sql, this.names) ?? '',
      `SET search_path = ${quoteText(path.map((schema) => `${catalog}.${quoteName(schema)}`).join(','))};\n`,
    ]
    try {
      await connection.run(script.join(''))
    } catch (error) {
      throw new EnvironmentError('lake.files', error instanceof Error ? error.message.split('\n')[0]! : String(error))
    }
  }

  /** What the text names, with all whose rows that shows: of these the files are needed. */
  private readRelations(): LakeRelation[] {
    const named = this.relations.filter(({ name }) => this.mentions(name))
    return [...new Set(named.flatMap(({ relation }) => [relation, ...descendants(relation, this.names)]))]
  }

  private view(named: NamedRelation, columns: ViewColumns): string {
    if (columns === 'physical' && named.relation.files.length === 0 && !this.tables?.layered.get(named.relation)?.groups) return ''
    const layered = this.tables && { layered: this.tables.layered }
    const view = createView(named, this.names, { root: this.root, columns, catalog: this.names.catalog, ...layered })
    if (view.problem !== undefined) {
      this.problems.push(view.problem)
      return ''
    }
    if (!this.tables) for (const member of view.members) this.check(member)
    for (const sentence of view.lacking) this.lacking.add(sentence)
    return view.sql
  }

  /** Checks the relation's files: a file of another relation may have the same columns. */
  private check(relation: LakeRelation): void {
    if (this.checked.has(relation)) return
    this.checked.add(relation)
    for (const file of relation.files) checkLakeFile(this.root, this.manifest, relation, file)
  }

  /** Every file that the views read, as a path and as the pattern that stands in a view. */
  files(): string[] {
    const paths = [...this.checked].flatMap(({ files }) => files.flatMap(({ path, hidden }) => (hidden ? [path, hidden.path] : [path])))
    const all = [...paths.map((path) => this.root + path), ...this.tables?.paths ?? [], ...this.logs?.paths ?? [], ...this.changes?.paths ?? []]
    return all.flatMap((path) => (globEscape(path) === path ? [path] : [path, globEscape(path)]))
  }

  /** What helps with a column that was not found: of a relation that the text names, a virtual column. */
  virtualColumnHint(reason: string): string {
    const [, asked = ''] = /(?:Referenced column|does not have a column named|Column with name) "([^"]+)"/.exec(reason) ?? []
    const found = this.relations.flatMap(({ relation }) => relation.virtualColumns ?? []).find(({ name }) => foldName(name) === foldName(asked))
    return found === undefined ? '' : ` (${virtualColumnText(found)})`
  }

  /** What helps with a system column of Postgres. */
  systemColumnHint(reason: string): string {
    const [, asked = ''] = /(?:Referenced column|does not have a column named) "([^"]+)"/.exec(reason) ?? []
    const found = SYSTEM_COLUMNS[foldName(asked)]
    if (found === undefined) return ''
    const read = this.relations.find(({ relation, name }) => isUserTable(relation) && this.mentions(name))
    const from = read === undefined ? 'ltap_<schema>.<table>' : `${quoteName(read.physicalSchema)}.${quoteName(read.name)}`
    return ` (system columns are in _ltap of the tables of all row versions: SELECT ${found} FROM ${from} WHERE _visible)`
  }

  /** What helps with a table that was not found. */
  hints(): string {
    const tables = this.names.relations.filter(({ relation }) => isUserTable(relation))
    const shown = tables.slice(0, 20).map(({ schema, name }) => (schema === 'public' ? name : `${schema}.${name}`))
    const more = tables.length > shown.length ? `, … (${tables.length} in all)` : ''
    const notRead = this.names.notRead.filter((entry) => this.mentions(entry.name))
    return [
      ...notRead.slice(0, 5).map((entry) => `not in the lake: ${notReadText(entry)}`),
      ...this.problems.slice(0, 5),
      `tables of ${this.names.database.name}: ${shown.join(', ') || 'none'}${more}`,
      ...renamings(this.names, this.relations).slice(0, 5),
    ].join('; ')
  }

  /** What helps with pg_catalog.<table>. */
  pgCatalogHint(): string {
    const [, asked = ''] = /\bpg_catalog"?\s*\.\s*"?(\w+)/.exec(this.sql) ?? []
    const found = this.names.relations.find(({ relation, name }) => relation.schema === 'pg_catalog' && foldName(name) === asked)
    const own = "pg_catalog is DuckDB's own schema"
    if (found === undefined) return `${own}, and the lake's has no table ${asked}`
    return `${own}: write ${found.name} alone, or ${quoteName(found.schema)}.${found.name}`
  }
}
