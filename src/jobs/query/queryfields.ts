import type { DuckDBConnection, DuckDBType } from '@duckdb/node-api'
import { type DatabaseNames, foldName, quoteName } from '../../lake/viewnames.ts'
import { quoteText } from '../../lake/viewtext.ts'
import { type Asked, askedRelations, mistaken } from './querynames.ts'

/**
 * Fields of composites are named like columns: of two names that differ only in case, the second is `<name>_<n>` in the files, and DuckDB gives the
 * first field for both names.
 * @throws EnvironmentError query.name
 */
export async function refuseMistakenFields(connection: DuckDBConnection, asked: Asked, sql: string, names: DatabaseNames): Promise<void> {
  if (asked.fields.length === 0) return
  const relations = askedRelations(asked, names)
  const columns = new Set(relations.flatMap(({ relation }) => relation.columns.map(foldName)))
  const isField = ({ name, of }: Asked['fields'][number]): boolean => of === undefined || columns.has(foldName(of)) || !columns.has(foldName(name))
  const fields = asked.fields.filter(isField).map(({ name }) => (sql.includes(quoteName(name)) || sql.includes(quoteText(name)) ? name : foldName(name)))
  if (fields.length === 0) return
  for (const { schema, name } of relations) {
    const view = await connection.prepare(`FROM ${quoteName(names.catalog)}.${quoteName(schema)}.${quoteName(name)}`)
    for (let i = 0; i < view.columnCount; i++) refuseFields(view.columnType(i), fields)
  }
}

function refuseFields(type: DuckDBType, asked: readonly string[]): void {
  const { entryNames = [], entryTypes = [], valueType } = type as { entryNames?: readonly string[]; entryTypes?: readonly DuckDBType[]; valueType?: DuckDBType }
  for (const name of asked) {
    if (entryNames.includes(name) || !entryNames.some((field) => foldName(field) === foldName(name))) continue
    const meant = entryNames.find((field) => field.startsWith(`${name}_`) && /^\d+$/.test(field.slice(name.length + 1)))
    if (meant !== undefined) throw mistaken(`field ${quoteName(name)}`, quoteName(meant))
  }
  for (const inner of [...entryTypes, ...(valueType === undefined ? [] : [valueType])]) refuseFields(inner, asked)
}
