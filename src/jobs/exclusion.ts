import { noTableHint, type TableIdentity, tablesLike } from '../catalog/tablename.ts'
import { EnvironmentError } from '../common/errors.ts'
import { SYSTEM_SCHEMAS } from '../lake/viewnames.ts'

/**
 * Tables that match patterns of --exclude, each with its pattern. A pattern matches the server's own tables only if it begins with the name of their
 * schema: `p*` is meant for users' tables, `pg_catalog.pg_auth*` for the server's.
 * @param mayBeGone patterns of an earlier run, whose tables may have been dropped since
 * @throws EnvironmentError selection.exclude for a pattern that matches no table: a misspelt name must not go unnoticed
 */
export function excludedTables<T extends TableIdentity>(tables: readonly T[], patterns: readonly string[], mayBeGone = false): Map<T, string> {
  const excluded = new Map<T, string>()
  for (const pattern of patterns) {
    const found = tablesLike(tables, pattern).filter(({ schema }) => !SYSTEM_SCHEMAS.has(schema) || pattern.startsWith(`${schema}.`))
    if (found.length === 0 && !mayBeGone) {
      const hint = `${noTableHint(tables, pattern)}; * stands for any characters, ? for one`
      throw new EnvironmentError('selection.exclude', `--exclude '${pattern}' matches no table; ${hint}`)
    }
    for (const table of found) if (!excluded.has(table)) excluded.set(table, pattern)
  }
  return excluded
}

/** The reason of a NotRead. */
export function exclusionReason(pattern: string): string {
  return `left out by --exclude ${pattern}`
}
