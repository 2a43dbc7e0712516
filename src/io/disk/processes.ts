import { readdirSync, readFileSync, statSync } from 'node:fs'

/** What is known of the processes of this machine: where the system has /proc, what this user may see there. */

/** Ticks per second of /proc/<pid>/stat (USER_HZ): the same on every architecture. */
const TICKS_PER_SECOND = 100

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM means that the process is alive and another user's. Only ESRCH, "no such process", means that it has ended.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** The name of the executable, 15 letters of it; undefined if that cannot be seen. */
export function programOf(pid: number): string | undefined {
  return readProc(`${pid}/comm`)?.trim()
}

/** `postgres`, `postmaster`, `edb-postgres`. */
export function looksLikeServer(pid: number): boolean {
  return /postgres|postmaster/.test(programOf(pid) ?? '')
}

/** Device and inode of a process's working directory; undefined if that cannot be seen. */
export function workingDirectory(pid: number): string | undefined {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/cwd`, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** Processes whose working directory is a folder, given by device and inode; empty if /proc is missing or does not tell. */
export function processesIn(folder: string | undefined): number[] {
  if (folder === undefined) return []
  let names: string[]
  try {
    names = readdirSync('/proc')
  } catch {
    return []
  }
  return names.filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => workingDirectory(pid) === folder)
}

/**
 * When a process began, in seconds since 1970, computed from this machine's clock: wrong if the clock was set since. Undefined if that cannot be
 * seen.
 */
export function startOf(pid: number): number | undefined {
  const boot = /^btime (\d+)$/m.exec(readProc('stat') ?? '')?.[1]
  // The name in parentheses may have blanks and parentheses of its own; starttime is the 22nd field, the 20th behind the name.
  const ticks = readProc(`${pid}/stat`)?.replace(/^.*\) /s, '').split(' ')[19]
  return boot === undefined || ticks === undefined ? undefined : Number(boot) + Number(ticks) / TICKS_PER_SECOND
}

/** How many processes are attached to a System V shared memory segment; 0 also without a segment, or if /proc does not tell. */
export function attachedTo({ key, id }: { key: number; id: number }): number {
  const [heading = '', ...lines] = (readProc('sysvipc/shm') ?? '').split('\n').map((line) => line.trim().split(/\s+/))
  const [keyAt, idAt, attachedAt] = ['key', 'shmid', 'nattch'].map((name) => heading.indexOf(name))
  const segment = lines.find((fields) => Number(fields[idAt!]) === id && Number(fields[keyAt!]) >>> 0 === key >>> 0)
  return segment === undefined ? 0 : Number(segment[attachedAt!])
}

function readProc(name: string): string | undefined {
  try {
    return readFileSync(`/proc/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
