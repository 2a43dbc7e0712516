/** Real Postgres servers as the oracle: a throw-away cluster, SQL sessions whose values are the server's own text, COPY bytes. */
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { type CreateOptions, FAST_SETTINGS, PostgresServer, installedMajors } from '../../src/server/postgres.ts'
import { drawn, SCOPE } from './scope.ts'
import type { Scope } from './scopename.ts'
import { createFromTemplate } from './template.ts'

/** Settings that fix every output function to its canonical text (ARCHITECTURE.md, Columns). */
const CANONICAL = {
  DateStyle: 'ISO,MDY', IntervalStyle: 'postgres', TimeZone: 'UTC', bytea_output: 'hex', extra_float_digits: '1', lc_monetary: 'C',
}

/** What tests want unless they say otherwise: nothing happens behind their back, prepared transactions are possible. */
const TEST_SETTINGS = { ...FAST_SETTINGS, ...CANONICAL, autovacuum: 'off', max_prepared_transactions: '10', jit: 'off' }

// A test runner that is killed leaves its workers running to the end of their test; ours end, and their servers with them.
process.once('disconnect', () => process.exit(1))

const OUTER_MAJORS = [14, 18]
const INNER_MAJORS = [15, 16, 17]
const ALL_MAJORS = [14, 15, 16, 17, 18]
const MAJORS: Record<Scope, () => number[]> = {
  quick: () => OUTER_MAJORS,
  sample: () => [...drawn(OUTER_MAJORS, 1, 'outer majors'), ...drawn(INNER_MAJORS, 1, 'inner majors')].sort(),
  all: () => ALL_MAJORS,
}

/** Majors to test on, by the scope of the run; LTAP_TEST_MAJORS says others: `14,18` or `all`. Those that are not installed are said on stderr. */
export function majors(): number[] {
  wantedMajors ??= readWanted()
  return wantedMajors
}

/**
 * The majors of a test file that would take long on two: in a quick run one of them, by the seed. Other runs have all of theirs.
 * @param what `majors of history`
 */
export function fewerMajors(what: string): number[] {
  return SCOPE === 'quick' ? drawn(majors(), 1, what) : majors()
}
let wantedMajors: number[] | undefined

function readWanted(): number[] {
  const installed = installedMajors()
  const setting = process.env['LTAP_TEST_MAJORS']
  const wanted = setting === undefined ? MAJORS[SCOPE]() : setting === 'all' ? ALL_MAJORS : setting.split(',').map(Number)
  const missing = wanted.filter(major => !installed.includes(major))
  if (missing.length > 0) console.warn(`SKIPPED: no tests against Postgres ${missing.join(', ')}: not installed`)
  const chosen = wanted.filter(major => installed.includes(major))
  // On most platforms npm has one major only.
  return chosen.length === 0 && setting === undefined ? installed : chosen
}

/** No statement of a test takes that long: a server or a connection that hangs is an error that names the statement. */
const STATEMENT_TIMEOUT_MS = 240_000

/** A statement without an answer. */
export class StuckError extends Error {
  override readonly name = 'StuckError'
}

/** Runs `body`, and once more if a server or a connection hung: that was seen once in CI, and says nothing of ltap. */
export async function unlessStuck<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    if (!(error instanceof StuckError)) throw error
    console.warn(`STUCK, once more: ${error.message}`)
    return await body()
  }
}

export type Row = Record<string, string | null>

/** One connection. Every value is the text the server sent, never parsed. */
export class Session {
  readonly #client: pg.Client

  private constructor(client: pg.Client) {
    this.#client = client
  }

  static async open(cluster: PostgresServer, database: string): Promise<Session> {
    const client = new pg.Client({
      host: cluster.socketDir, port: cluster.port, user: 'postgres', database,
      types: { getTypeParser: () => (value: string) => value },
    })
    // A server that is stopped or killed ends its sessions; the next query reports it.
    client.on('error', () => {})
    const session = new Session(client)
    await session.#inTime('a connection', client.connect())
    return session
  }

  /** Rows as objects. */
  async query(text: string, values?: unknown[]): Promise<Row[]> {
    return (await this.#inTime(text, this.#client.query<Row>(text, values))).rows
  }

  /** Rows as arrays, for queries with equal column names. */
  async rows(text: string, values: unknown[] = []): Promise<(string | null)[][]> {
    return (await this.#inTime(text, this.#client.query<(string | null)[]>({ text, values, rowMode: 'array' }))).rows
  }

  /** The only value of a one-row query. */
  async value(text: string, values?: unknown[]): Promise<string | null> {
    const found = await this.rows(text, values)
    if (found.length !== 1 || found[0]?.length !== 1) throw new Error(`not exactly one value: ${text}`)
    return found[0][0] ?? null
  }

  /** Any number of statements, separated by `;`. Several statements are one transaction unless they say BEGIN and COMMIT. */
  async exec(text: string): Promise<void> {
    await this.#inTime(text, this.#client.query(text))
  }

  /** Statements of a script one by one, as psql does it: needed for VACUUM, CREATE DATABASE and the like. */
  async script(text: string): Promise<void> {
    for (const statement of splitStatements(text)) {
      try {
        await this.exec(statement)
      } catch (error) {
        throw new Error(`${(error as Error).message}\nin: ${statement.trim().slice(0, 400)}`, { cause: error })
      }
    }
  }

  /** The bytes of COPY … TO STDOUT, text format unless `options` says another. `what` is a table name or a query in parentheses. */
  async copyOut(what: string, options = ''): Promise<Buffer> {
    const text = `COPY ${what} TO STDOUT ${options === '' ? '' : `(${options})`}`
    const stream = this.#client.query(copyTo(text))
    return this.#inTime(text, stream.toArray().then(chunks => Buffer.concat(chunks as Buffer[])))
  }

  /** COPY … FROM STDIN; `what` is a table with an optional column list, `options` goes after STDIN. */
  async copyIn(what: string, data: Buffer | string, options = ''): Promise<void> {
    const stream = this.#client.query(copyFrom(`COPY ${what} FROM STDIN ${options}`))
    await this.#inTime(`COPY ${what}`, pipeline(Readable.from([typeof data === 'string' ? Buffer.from(data) : data]), stream))
  }

  async close(): Promise<void> {
    await this.#inTime('the end of a session', this.#client.end()).catch((error: unknown) => console.warn(String(error)))
  }

  async #inTime<T>(text: string, result: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new StuckError(`no answer in ${STATEMENT_TIMEOUT_MS / 1000} s: ${text.slice(0, 400)}`)), STATEMENT_TIMEOUT_MS)
    })
    return Promise.race([result, late]).finally(() => clearTimeout(timer))
  }
}

const sessions = new WeakMap<PostgresServer, Set<Session>>()

/** Opens another session; closed by {@link withCluster} at the end, or by you. */
export async function connect(cluster: PostgresServer, database = 'postgres'): Promise<Session> {
  const session = await Session.open(cluster, database)
  const open = sessions.get(cluster) ?? new Set()
  sessions.set(cluster, open.add(session))
  return session
}

/** A started cluster with the test settings; the caller removes it (or uses {@link withCluster}). */
export async function createCluster(major: number, options: Omit<CreateOptions, 'major'> = {}): Promise<PostgresServer> {
  const cluster = await createFromTemplate({ ...options, major, settings: { ...TEST_SETTINGS, ...options.settings } })
  try {
    await cluster.start()
  } catch (error) {
    await cluster.remove()
    throw error
  }
  return cluster
}

/** Runs `body` with a fresh running cluster and a session on it, then closes every session and removes the cluster. */
export async function withCluster<T>(
  major: number, options: Omit<CreateOptions, 'major'>, body: (cluster: PostgresServer, sql: Session) => Promise<T>,
): Promise<T> {
  const cluster = await createCluster(major, options)
  try {
    return await body(cluster, await connect(cluster))
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
  }
}

export async function closeSessions(cluster: PostgresServer): Promise<void> {
  const open = sessions.get(cluster) ?? new Set<Session>()
  sessions.delete(cluster)
  await Promise.all([...open].map(session => session.close()))
}

/** Runs `body` with a server on a copied or rebuilt data directory; removes the server, not the directory. */
export async function withAdopted<T>(
  dataDir: string, body: (cluster: PostgresServer, sql: Session) => Promise<T>, settings: Record<string, string> = {},
): Promise<T> {
  const cluster = await PostgresServer.adopt({ dataDir, settings: { ...FAST_SETTINGS, ...settings } })
  try {
    await cluster.start()
    return await body(cluster, await connect(cluster))
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
  }
}

/** Splits at `;`, minding quotes, dollar quotes and comments; not BEGIN ATOMIC bodies. */
function splitStatements(text: string): string[] {
  const token = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\/|;/gi
  const statements: string[] = []
  let start = 0
  for (const match of text.matchAll(token)) {
    if (match[0] !== ';') continue
    statements.push(text.slice(start, match.index))
    start = match.index + 1
  }
  statements.push(text.slice(start))
  return statements.filter(statement => statement.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim() !== '')
}
