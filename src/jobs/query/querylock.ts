import type { DuckDBConnection } from '@duckdb/node-api'
import { quoteText } from '../../lake/viewtext.ts'

/*
 * What is closed in DuckDB 1.5; test/jobs/querylock.test.ts tries it statement by statement. A closed instance reads the lake's files that its views
 * need, and spills to the folder of this run. It could still run COPY … TO one of these files, ATTACH one, and call functions that change settings:
 * querystatement.ts runs nothing but SELECT.
 */

/** Settings of an instance, from its start: no extension is loaded or installed, no secret of the user's is read or kept. */
export const CLOSED_SETTINGS = {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_persistent_secrets: 'false',
} as const

/**
 * Closes a connection's instance for good: after this only `files` and the temporary folder can be opened, and no setting changes.
 * @param files absolute paths, and paths as glob patterns where they are asked for as such
 */
export async function lockDuckDB(connection: DuckDBConnection, files: readonly string[]): Promise<void> {
  await connection.run(`SET allowed_paths = [${files.map(quoteText).join(', ')}];\nSET enable_external_access = false;\nSET lock_configuration = true;\n`)
}
