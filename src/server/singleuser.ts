import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { EnvironmentError } from '../common/errors.ts'
import { stopOnEnd } from '../io/process/interruption.ts'
import { ParentWatch } from './parentwatch.ts'
import { program, type ServerUser, serverSpawnOptions } from './postgresbinaries.ts'

/** A server of one session without sockets: `postgres --single`. */
export interface SingleUserServer {
  binDir: string
  dataDir: string
  /** A file of settings that counts instead of postgresql.conf. */
  configFile: string
  user: ServerUser | undefined
  /** Do not use the indexes of catalogs (-P). */
  ignoreSystemIndexes?: boolean
}

export interface SessionOutcome {
  /** Values of columns called `ltap`, in order. */
  values: string[]
  /** What the server says of each statement that failed, by the statement. */
  errors: ReadonlyMap<string, string>
  /** Undefined if the server ended as it should; else its last words. */
  crashed: string | undefined
}

/** debugtup (printtup.c): `\t 1: ltap = "value"\t(typeid = 25, …)`. */
const VALUE = /\t *\d+: ltap = "([^"]*)"\t\(typeid/g
const ERROR_AND_STATEMENT = /^ERROR: {2}(.*)\n(?:(?!ERROR: |STATEMENT: ).*\n)*STATEMENT: {2}(.*)$/gm

/**
 * Runs statements one after the other; one that fails does not stop the next ones.
 * @param database its name @param statements each in one line
 * @throws EnvironmentError postgres.single if the program cannot be run
 */
export async function runSingleUser(server: SingleUserServer, database: string, statements: readonly string[]): Promise<SessionOutcome> {
  const flags = server.ignoreSystemIndexes ? ['-F', '-O', '-P'] : ['-F', '-O']
  const args = ['--single', '-D', server.dataDir, ...flags, '-c', `config_file=${server.configFile}`, database]
  const child = spawn(join(server.binDir, program('postgres')), args, { ...serverSpawnOptions(server.user), stdio: ['pipe', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  const log: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => log.push(chunk))
  const forget = stopOnEnd(() => void child.kill('SIGTERM'))
  const watch = child.pid === undefined ? undefined : new ParentWatch(server.dataDir, child.pid)
  try {
    const ended = new Promise<number | string>((done) => {
      child.once('close', (code, signal) => done(signal ?? code ?? 'killed'))
      child.once('error', (error) => done(error.message))
    })
    // A server that ends at once reads nothing.
    child.stdin!.on('error', () => {})
    child.stdin!.end(Buffer.from(statements.map((statement) => `${statement}\n`).join(''), 'latin1'))
    const code = await ended
    const text = Buffer.concat(log).toString('latin1')
    if (child.pid === undefined) throw new EnvironmentError('postgres.single', `cannot run postgres: ${code}`, { file: server.binDir })
    const output = Buffer.concat(out).toString('latin1')
    return {
      values: [...output.matchAll(VALUE)].map((match) => match[1]!),
      errors: new Map([...text.matchAll(ERROR_AND_STATEMENT)].map((match) => [match[2]!, match[1]!])),
      crashed: code === 0 ? undefined : `${typeof code === 'number' ? `exit code ${code}` : code}: ${lastLine(text)}`,
    }
  } finally {
    watch?.end()
    forget()
  }
}

function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  return lines.findLast((line) => /^(?:FATAL|PANIC|ERROR):/.test(line)) ?? lines.at(-1) ?? 'it said nothing'
}
