import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The bin folder of an installed Postgres 15, LTAP_SYSTEM_POSTGRES: the npm binaries have no pg_waldump, no pg_basebackup and no lz4. Undefined if
 * no server is installed; a line on stderr says what is not tested then.
 */
export function systemPostgres(): string | undefined {
  const dir = process.env['LTAP_SYSTEM_POSTGRES']
  if (dir !== undefined && existsSync(join(dir, 'pg_waldump'))) return dir
  if (!warned) console.warn('SKIPPED: pg_waldump, pg_basebackup, lz4 and zstd of a server; set LTAP_SYSTEM_POSTGRES to the bin folder of a Postgres 15')
  warned = true
  return undefined
}
let warned = false

/** Programs of pg_waldump by major: that of {@link systemPostgres}, and those beside the servers that LTAP_POSTGRES_<major> names. */
export function pgWaldumps(): [major: number, program: string][] {
  const system = process.env['LTAP_POSTGRES_15'] === undefined ? systemPostgres() : undefined
  const chosen = [14, 15, 16, 17, 18].map((major): [number, string] => [major, join(process.env[`LTAP_POSTGRES_${major}`] ?? '', 'pg_waldump')])
  return [...(system === undefined ? [] : [[15, join(system, 'pg_waldump')] as [number, string]]), ...chosen.filter(([, program]) => existsSync(program))]
}
