/**
 * Where the Postgres server programs come from: npm packages that carry one build each, or for a major the folder that LTAP_POSTGRES_<major> names.
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
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
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

/**
 * Finds the programs of `major`, default the newest there is: those of LTAP_POSTGRES_<major>, else in node_modules folders upward from the working
 * directory and from here.
 */
export function findPostgres(major?: number): PostgresBinaries | undefined {
  if (major === undefined) {
    const newest = installedMajors().at(-1)
    return newest === undefined ? undefined : findPostgres(newest)
  }
  const chosen = process.env[`LTAP_POSTGRES_${major}`]
  if (chosen !== undefined) return { major, binDir: chosen }
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
  throw new EnvironmentError('postgres.user', 'Postgres refuses to run as root, and no user postgres or nobody exists')
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

const runnable = new Set<string>()

/**
 * Makes sure that `user` can run the programs in `binDir`; returns the folder to run them from: the same one, or if it cannot be
 * repaired or reached, a copy (60 MB) in the new folder `copyDir`.
 */
export async function preparePostgres(binDir: string, user: ServerUser | undefined, copyDir: string): Promise<string> {
  if (runnable.has(binDir)) return binDir
  const native = dirname(binDir)
  const isPackage = existsSync(join(native, 'pg-symlinks.json'))
  if (isPackage && whyNotRunnable(binDir, user) !== undefined) hydrateSymlinks(native)
  const reason = whyNotRunnable(binDir, user)
  if (reason === undefined) {
    runnable.add(binDir)
    return binDir
  }
  if (!isPackage) throw notRunnable(binDir, reason)
  await cp(native, copyDir, { recursive: true, verbatimSymlinks: true })
  hydrateSymlinks(copyDir)
  const copied = join(copyDir, 'bin')
  const copyReason = whyNotRunnable(copied, user)
  if (copyReason !== undefined) throw notRunnable(copied, copyReason)
  return copied
}

function notRunnable(binDir: string, reason: string): EnvironmentError {
  return new EnvironmentError('postgres.binaries', `cannot run the programs in ${binDir}: ${reason}`)
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
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    try {
      symlinkSync(relative(dirname(target), source), join(native, relative('native', target)))
    } catch {
      // It exists, or the folder is read-only.
    }
  }
}
