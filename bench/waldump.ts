/** pg_waldump of Debian's Postgres 15, or of LTAP_SYSTEM_POSTGRES: no package of npm has one. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { formatWalPosition } from '../src/common/ids.ts'
import type { Side } from './measure.ts'

/** The only major whose WAL it reads. */
export const WALDUMP_MAJOR = 15

/** Reads and counts all records of a range with `pg_waldump --stats`; undefined, with a line on stderr, without a pg_waldump. */
export function waldumpSide(dir: string, from: number, to: number): Side | undefined {
  const program = join(process.env['LTAP_SYSTEM_POSTGRES'] ?? '/usr/lib/postgresql/15/bin', 'pg_waldump')
  if (!existsSync(program)) {
    process.stderr.write(`SKIPPED: no ${program}; set LTAP_SYSTEM_POSTGRES to the bin folder of a Postgres 15\n`)
    return undefined
  }
  const args = ['--stats', '-p', dir, '-s', formatWalPosition(from), '-e', formatWalPosition(to)]
  return { name: 'pg_waldump', run: () => void execFileSync(program, args, { stdio: ['ignore', 'pipe', 'ignore'] }) }
}
