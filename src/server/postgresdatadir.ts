/**
 * What the harness does with the files of a data directory, never while a server runs on it:
 *
 *     PG_VERSION            `17`
 *     postmaster.pid        line 1: process id; line 2: the data directory; line 8: status, `ready   ` when sessions are welcome
 *     pg_tblspc/<oid>       a symlink to the tablespace's folder, or a folder if it was made in place
 */
import { chmodSync, chownSync, existsSync, lstatSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { cp, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { EnvironmentError } from '../common/errors.ts'
import type { ServerUser } from './postgresbinaries.ts'

export function readMajor(dataDir: string): number {
  try {
    return Number.parseInt(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8'), 10)
  } catch {
    throw new EnvironmentError('postgres.datadir', `${dataDir} is not a Postgres data directory: it has no file PG_VERSION`)
  }
}

/** Whether the server with this process id accepts sessions. */
export function isReady(dataDir: string, pid: number | undefined): boolean {
  const lines = readLockFile(dataDir)
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
}

function readLockFile(dataDir: string): string[] {
  try {
    return readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
  } catch {
    return []
  }
}

/** Copies a data directory and, into `<to>.tblspc/<oid>`, its linked tablespaces; neither may exist. */
export async function copyDataDir(from: string, to: string): Promise<void> {
  await copyTree(from, to)
  for (const link of linkedTablespaces(to)) {
    const copy = join(`${to}.tblspc`, basename(link))
    await copyTree(realpathSync(link), copy)
    await rm(link)
    await symlink(copy, link)
  }
  rmSync(join(to, 'postmaster.pid'), { force: true })
}

function copyTree(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, verbatimSymlinks: true, errorOnExist: true, force: false })
}

function linkedTablespaces(dataDir: string): string[] {
  const folder = join(dataDir, 'pg_tblspc')
  return readdirSync(folder).map(oid => join(folder, oid)).filter(path => lstatSync(path).isSymbolicLink())
}

/** Makes a data directory usable for a server that runs as `user`. */
export function handOver(dataDir: string, user: ServerUser | undefined): void {
  // A copy of a running server's directory holds the lock file of the original.
  if (existsSync(join(dataDir, 'postmaster.pid')) && readLockFile(dataDir)[1] !== dataDir) rmSync(join(dataDir, 'postmaster.pid'))
  giveTo(dataDir, user)
  for (const link of linkedTablespaces(dataDir)) giveTo(realpathSync(link), user)
  chmodSync(dataDir, 0o700)
}

/** chown -R, only if we are root. */
export function giveTo(path: string, user: ServerUser | undefined): void {
  if (user === undefined) return
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return
  chownSync(path, user.uid, user.gid)
  if (stat.isDirectory()) for (const name of readdirSync(path)) giveTo(join(path, name), user)
}
