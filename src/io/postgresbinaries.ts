/**
 * Where the Postgres server programs come from: npm packages that carry one build each.
 *
 *     node_modules/pg17/                      alias of a package for Linux x64, one per major
 *     node_modules/pg17-darwin-arm64/         the same for other platforms
 *       native/bin/{initdb,pg_ctl,postgres}
 *       native/lib/*.so.1.2                   tarballs hold no symlinks,
 *       native/pg-symlinks.json               so the package's install script makes libx.so.1 → libx.so.1.2 from this list
 *
 * Install scripts may have been skipped, node_modules may be read-only, and the user the server runs as may not be able to
 * reach the checkout. {@link preparePostgres} repairs all three.
 */
import { type SpawnOptions, execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EnvironmentError } from '../common/errors.ts'

/** Programs of one major version; `binDir` holds initdb and postgres. */
export interface PostgresBinaries {
  major: number
  binDir: string
}

/** The account servers run as when we are root, which Postgres refuses to be. */
export interface ServerUser {
  uid: number
  gid: number
}

const NEWEST_MAJOR = 18
const OLDEST_MAJOR = 14

/** Majors whose programs are in reach, ascending. */
export function installedMajors(): number[] {
  const majors: number[] = []
  for (let major = OLDEST_MAJOR; major <= NEWEST_MAJOR; major++) {
    if (findPostgres(major) !== undefined) majors.push(major)
  }
  return majors
}

/** Finds the programs of `major`, or of the newest major there is. Searches node_modules upward from the working directory and from here. */
export function findPostgres(major?: number): PostgresBinaries | undefined {
  if (major === undefined) {
    const newest = installedMajors().at(-1)
    return newest === undefined ? undefined : findPostgres(newest)
  }
  const starts = [process.cwd(), dirname(fileURLToPath(import.meta.url))]
  for (const start of starts) {
    for (const folder of ancestors(start)) {
      for (const name of packageNames(major)) {
        const binDir = join(folder, 'node_modules', name, 'native', 'bin')
        if (existsSync(join(binDir, program('postgres')))) return { major, binDir }
      }
    }
  }
  return undefined
}

function packageNames(major: number): string[] {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const target = `${platform}-${process.arch}`
  return target === 'linux-x64' ? [`pg${major}`, `pg${major}-${target}`] : [`pg${major}-${target}`]
}

function ancestors(start: string): string[] {
  const folders = [start]
  for (let folder = start; dirname(folder) !== folder; folder = dirname(folder)) folders.push(dirname(folder))
  return folders
}

export function program(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name
}

/** The account to run servers as: undefined means ourselves; as root it is `postgres` if it exists, else `nobody`. */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const uid = idOf('-u', name)
    const gid = idOf('-g', name)
    if (uid !== undefined && gid !== undefined) return { uid, gid }
  }
  throw new EnvironmentError('postgres.user', 'Postgres refuses to run as root and there is no user postgres or nobody; run as another user')
}

function idOf(flag: string, user: string): number | undefined {
  try {
    return Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }))
  } catch {
    return undefined
  }
}

/** Nothing of our own environment reaches the server: PG* variables, locale and paths would change what it does. */
export function serverSpawnOptions(user: ServerUser | undefined): SpawnOptions {
  const locale = process.platform === 'linux' ? 'C.UTF-8' : 'C'
  return { cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: locale, TZ: 'UTC', HOME: '/' }, ...user }
}

const prepared = new Map<string, string>()

/**
 * Makes sure that `user` can run the programs in `binDir`; returns the folder to run them from, which is a temporary copy if the
 * original cannot be repaired or reached. The answer is kept for the life of the process.
 */
export function preparePostgres(binDir: string, user: ServerUser | undefined): string {
  const known = prepared.get(binDir)
  if (known !== undefined) return known
  const usable = findRunnable(binDir, user)
  prepared.set(binDir, usable)
  return usable
}

function findRunnable(binDir: string, user: ServerUser | undefined): string {
  if (whyNotRunnable(binDir, user) === undefined) return binDir
  const native = dirname(binDir)
  if (!existsSync(join(native, 'pg-symlinks.json'))) {
    throw new EnvironmentError('postgres.binaries', `cannot run ${join(binDir, 'postgres')}: ${whyNotRunnable(binDir, user) ?? ''}`)
  }
  hydrateSymlinks(native)
  if (whyNotRunnable(binDir, user) === undefined) return binDir
  const copy = copyForUser(native)
  const reason = whyNotRunnable(join(copy, 'bin'), user)
  if (reason !== undefined) throw new EnvironmentError('postgres.binaries', `cannot run ${join(binDir, 'postgres')}: ${reason}`)
  return join(copy, 'bin')
}

function whyNotRunnable(binDir: string, user: ServerUser | undefined): string | undefined {
  for (const name of ['postgres', 'initdb']) {
    const run = spawnSync(join(binDir, program(name)), ['--version'], { ...serverSpawnOptions(user), encoding: 'utf8' })
    if (run.error !== undefined) return run.error.message
    if (run.status !== 0) return run.stderr.trim().split('\n')[0] ?? `exit ${run.status}`
  }
  return undefined
}

/** Does what the package's own install script does. Failing is fine: the caller tries to run the programs next. */
function hydrateSymlinks(native: string): void {
  const root = dirname(native)
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    try {
      symlinkSync(relative(dirname(target), source), join(root, target))
    } catch {
      // It exists, or the folder is read-only.
    }
  }
}

/** Copies `native` to where any user can read it (60 MB); removed when the process ends. */
function copyForUser(native: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-postgres-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const copy = join(folder, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  hydrateSymlinks(copy)
  return copy
}
