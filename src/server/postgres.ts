/**
 * A throw-away Postgres server for the tests and the demo: initdb, start, stop, kill, copy, start on a copy.
 *
 *     <parentDir>/ltap-pg17-XXXXXX/     owned by the account the server runs as
 *       data/                           the data directory
 *       run/                            the unix socket; no TCP port is opened
 *       server.log
 *       programs/                       only if the installed ones cannot be used where they are
 *
 * Servers are our children, never daemons: they are stopped when this process exits or is interrupted, and when it is killed (parentwatch.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EnvironmentError } from '../common/errors.ts'
import { appendText, createFolder, createScratchFolder, openForAppending } from '../io/disk/create.ts'
import { handleSignals, stopOnEnd } from '../io/process/interruption.ts'
import { ParentWatch } from './parentwatch.ts'
import { type ServerUser, findPostgres, preparePostgres, program, serverSpawnOptions, serverUser } from './postgresbinaries.ts'
import { copyDataDir, giveTo, handOver, isReady, readMajor } from './postgresdatadir.ts'

export { type PostgresBinaries, findPostgres, installedMajors } from './postgresbinaries.ts'

export type StopMode = 'smart' | 'fast' | 'immediate'

export interface ServerOptions {
  /**
   * Folder for the server's files; one that the server's account can enter. Default: the system's temporary folder, and the files
   * are deleted when the process ends.
   */
  parentDir?: string
  /** Server settings by name. */
  settings?: Record<string, string>
  /** initdb and postgres of another build than the npm packages. */
  binDir?: string
}

export interface CreateOptions extends ServerOptions {
  /** Default: the newest installed major. */
  major?: number
  /** As initdb -E names it; default UTF8. */
  encoding?: string
  initdbArgs?: string[]
  /** A data directory that initdb made with the same options: copied, instead of running initdb. The cluster has its system identifier. */
  template?: string
}

export interface AdoptOptions extends ServerOptions {
  dataDir: string
}

/**
 * For tests: no waiting for the disk. full_page_writes stays as it is, it changes what is written. Shared memory of a server that is killed goes with its
 * data directory (pg_dynshmem); by default it would stay in /dev/shm.
 */
export const FAST_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off', shared_buffers: '32MB', max_wal_size: '256MB', dynamic_shared_memory_type: 'mmap',
}

const STOP_SIGNALS: Record<StopMode, NodeJS.Signals> = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' }
const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 60_000
/** Children of a killed postmaster end by themselves, unless they are stuck; those that are not gone by then are killed. */
const ORPHANS_NOTICE_MS = 3_000
const ORPHANS_TIMEOUT_MS = 60_000
const POLL_MS = 10
/** sun_path is 104 bytes on macOS, 108 on Linux; the server adds `/.s.PGSQL.5432`. */
const SOCKET_PATH_MAX = 100

interface Place {
  binDir: string
  baseDir: string
  dataDir: string
  socketDir: string
  user: ServerUser | undefined
  /** The caller did not name this place, so it is removed when the process ends. */
  temporary: boolean
}

export class PostgresServer {
  readonly major: number
  readonly dataDir: string
  /** The server's host for a client. Everyone may connect as `postgres` without a password. */
  readonly socketDir: string
  readonly port = 5432
  readonly logFile: string
  readonly #place: Place
  readonly #settings: Readonly<Record<string, string>>
  #server: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()

  private constructor(major: number, place: Place, settings: Readonly<Record<string, string>>) {
    this.major = major
    this.dataDir = place.dataDir
    this.socketDir = place.socketDir
    this.logFile = join(place.baseDir, 'server.log')
    this.#place = place
    this.#settings = settings
  }

  /** Runs initdb in a new folder, or copies a template. `settings` go into postgresql.conf. Does not start the server. */
  static async create(options: CreateOptions = {}): Promise<PostgresServer> {
    const { major, binDir } = locateBinaries(options.major, options.binDir)
    const place = await makePlace(major, binDir, options.parentDir)
    const server = new PostgresServer(major, place, {})
    try {
      if (options.template === undefined) await initdb(place, options)
      else await copyTemplate(options.template, place)
      const lines = Object.entries(options.settings ?? {}).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
      appendText(join(place.dataDir, 'postgresql.conf'), lines.join(''))
    } catch (error) {
      await server.remove()
      throw error
    }
    return server
  }

  /**
   * A server for a data directory that exists already: a copy or a rebuilt one. The server writes into it and into the tablespaces
   * linked from it, and if we are root the files change owner, so never give it the only copy. `settings` go on the command line.
   * {@link remove} leaves the directory in place.
   */
  static async adopt(options: AdoptOptions): Promise<PostgresServer> {
    const { major, binDir } = locateBinaries(readMajor(options.dataDir), options.binDir)
    const place = await makePlace(major, binDir, options.parentDir, options.dataDir)
    handOver(options.dataDir, place.user)
    return new PostgresServer(major, place, options.settings ?? {})
  }

  get isRunning(): boolean {
    return this.#server !== undefined
  }

  /** Process id of the postmaster. */
  get pid(): number | undefined {
    return this.#server?.pid
  }

  /** Starts the server and waits until it accepts connections; crash recovery included. `extra` settings hold for this run only. */
  async start(extra: Record<string, string> = {}): Promise<void> {
    if (this.isRunning) return
    const settings = { listen_addresses: '', unix_socket_directories: this.socketDir, ...this.#settings, ...extra, port: String(this.port) }
    const args = ['-D', this.dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
    const log = openForAppending(this.logFile)
    try {
      // Every server process inherits the stdout pipe: 'close' tells that the last of them is gone, not only the postmaster.
      this.#server = spawn(join(this.#place.binDir, program('postgres')), args, {
        ...serverSpawnOptions(this.#place.user), stdio: ['ignore', 'pipe', log],
      })
    } finally {
      closeSync(log)
    }
    this.#watch(this.#server)
    await this.#waitUntilReady(this.#server)
  }

  /** Stops the server and waits until all its processes are gone. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    if (this.#server === undefined) return
    this.#server.kill(STOP_SIGNALS[mode])
    if (await this.#isGoneWithin(STOP_TIMEOUT_MS)) return
    await this.kill()
    throw this.#failure(`the server did not stop (${mode}) in ${STOP_TIMEOUT_MS / 1000} s and was killed`)
  }

  /** Crashes the server: SIGKILL, no checkpoint. Waits until its children noticed; those that do not are killed, too. */
  async kill(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    const children = childrenOf(server.pid)
    server.kill('SIGKILL')
    if (await this.#isGoneWithin(ORPHANS_NOTICE_MS)) return
    for (const pid of children) killIfThere(pid)
    if (await this.#isGoneWithin(ORPHANS_TIMEOUT_MS)) return
    throw this.#failure(`the server was killed, but processes of it are still there ${ORPHANS_TIMEOUT_MS / 1000} s later`)
  }

  /**
   * Copies the data directory of a stopped or crashed server to `to`, which must not exist. Tablespaces are copied too, into
   * `<to>.tblspc/<oid>`, so that a server on the copy never touches the original's.
   */
  async copyDataDir(to: string): Promise<void> {
    if (this.isRunning) throw this.#failure('stop the server before copying its data directory')
    await copyDataDir(this.dataDir, to)
  }

  /** A new empty folder beside the data directory that the server can write to, for a tablespace or a file. */
  async makeDir(name: string): Promise<string> {
    const dir = join(this.#place.baseDir, name)
    makeOwnDir(dir, this.#place.user)
    return dir
  }

  /** Stops the server if it runs and deletes its files; an adopted data directory stays. */
  async remove(): Promise<void> {
    await this.stop('immediate')
    this.#removeFiles()
  }

  /** For a process that is exiting and cannot wait: asks the server to end at once. */
  abandon(): void {
    this.#server?.kill('SIGQUIT')
    if (this.#place.temporary) this.#removeFiles()
  }

  /** For a process that was interrupted: a clean stop, so that files someone asked for stay good. */
  async dismiss(): Promise<void> {
    await this.stop(this.#place.temporary ? 'immediate' : 'fast')
    if (this.#place.temporary) this.#removeFiles()
  }

  #removeFiles(): void {
    rmSync(this.#place.baseDir, { recursive: true, force: true, maxRetries: 3 })
    rmSync(this.socketDir, { recursive: true, force: true })
  }

  #watch(server: ChildProcess): void {
    server.stdout?.resume()
    const watch = server.pid === undefined ? undefined : new ParentWatch(this.dataDir, server.pid)
    this.#gone = new Promise(resolve => {
      const forget = (): void => {
        watch?.end()
        if (this.#server === server) this.#server = undefined
        untrack(this)
        resolve()
      }
      server.once('close', forget)
      server.once('error', forget)
    })
    track(this)
  }

  async #waitUntilReady(server: ChildProcess): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!isReady(this.dataDir, server.pid)) {
      if (this.#server !== server || server.exitCode !== null) {
        await this.#gone
        throw this.#failure('the server did not start')
      }
      if (performance.now() > deadline) {
        await this.kill()
        throw this.#failure(`the server was not ready after ${START_TIMEOUT_MS / 1000} s`)
      }
      await sleep(POLL_MS)
    }
  }

  async #isGoneWithin(milliseconds: number): Promise<boolean> {
    const timer = new AbortController()
    const late = sleep(milliseconds, false, { signal: timer.signal }).catch(() => false)
    const gone = await Promise.race([this.#gone.then(() => true), late])
    timer.abort()
    return gone
  }

  #failure(reason: string): EnvironmentError {
    return new EnvironmentError('postgres.server', `Postgres ${this.major}: ${reason}${logTail(this.logFile)}`)
  }
}

function locateBinaries(major: number | undefined, binDir: string | undefined): { major: number; binDir: string } {
  if (process.platform === 'win32') throw new EnvironmentError('postgres.platform', 'running a Postgres server on Windows is not supported')
  if (binDir !== undefined && major !== undefined) return { major, binDir }
  const found = findPostgres(major)
  if (found !== undefined) return found
  const which = major === undefined ? 'any version of Postgres' : `Postgres ${major}`
  throw new EnvironmentError('postgres.binaries', `no programs of ${which} for ${process.platform}-${process.arch} in node_modules`)
}

async function makePlace(major: number, binDir: string, parentDir?: string, dataDir?: string): Promise<Place> {
  const user = serverUser()
  const parent = parentDir ?? tmpdir()
  const baseDir = createScratchFolder(join(parent, `ltap-pg${major}-`))
  try {
    giveTo(baseDir, user)
    const runnable = await preparePostgres(binDir, user, join(baseDir, 'programs'))
    const socketDir = makeSocketDir(baseDir, user)
    return { binDir: runnable, baseDir, dataDir: dataDir ?? join(baseDir, 'data'), socketDir, user, temporary: parentDir === undefined }
  } catch (error) {
    rmSync(baseDir, { recursive: true, force: true })
    throw error
  }
}

function makeSocketDir(baseDir: string, user: ServerUser | undefined): string {
  const dir = join(baseDir, 'run')
  if (Buffer.byteLength(join(dir, '.s.PGSQL.5432')) < SOCKET_PATH_MAX) {
    makeOwnDir(dir, user)
    return dir
  }
  const short = createScratchFolder('/tmp/ltap-run-')
  giveTo(short, user)
  return short
}

function makeOwnDir(dir: string, user: ServerUser | undefined): void {
  createFolder(dir)
  giveTo(dir, user)
}

async function initdb(place: Place, options: CreateOptions): Promise<void> {
  const encoding = options.encoding ?? 'UTF8'
  const args = ['-D', place.dataDir, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', encoding]
  if (encoding !== 'UTF8') args.push('--locale=C')
  const child = spawn(join(place.binDir, program('initdb')), [...args, ...(options.initdbArgs ?? [])], {
    ...serverSpawnOptions(place.user), stdio: ['ignore', 'ignore', 'pipe'],
  })
  const output: Buffer[] = []
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk))
  const code = await new Promise<number | string | null>(resolve => {
    child.once('close', resolve)
    child.once('error', error => resolve(error.message))
  })
  if (code === 0) return
  throw new EnvironmentError('postgres.initdb', `initdb failed (${code})${tail(Buffer.concat(output).toString())}`)
}

async function copyTemplate(template: string, { dataDir, user }: Place): Promise<void> {
  await copyDataDir(template, dataDir)
  handOver(dataDir, user)
}

/** Child processes of a process; empty if the system has no /proc. */
function childrenOf(pid: number | undefined): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(text => text !== '').map(Number)
  } catch {
    return []
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function logTail(file: string): string {
  try {
    return tail(readFileSync(file, 'utf8'))
  } catch {
    return ''
  }
}

/** The last lines as part of one line. */
function tail(text: string): string {
  const lines = text.split('\n').map(line => line.trim()).filter(line => line !== '')
  return lines.length === 0 ? '' : `: ${lines.slice(-4).join(' | ')}`
}

const running = new Set<PostgresServer>()
let untouch = (): void => {}

function track(server: PostgresServer): void {
  if (running.size === 0) {
    process.on('exit', abandonAll)
    const forget = stopOnEnd(async () => void await Promise.allSettled([...running].map(each => each.dismiss())))
    const ignoreSignals = handleSignals(signal => {
      ignoreSignals()
      process.kill(process.pid, signal)
    })
    untouch = () => {
      forget()
      ignoreSignals()
    }
  }
  running.add(server)
}

function untrack(server: PostgresServer): void {
  running.delete(server)
  if (running.size > 0) return
  process.off('exit', abandonAll)
  untouch()
}

function abandonAll(): void {
  for (const server of running) {
    try {
      server.abandon()
    } catch {
      // The server was still writing into the files being deleted; the system cleans its temporary folder.
    }
  }
}

