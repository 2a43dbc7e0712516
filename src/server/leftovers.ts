import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, looksLikeServer, processesIn } from '../io/disk/processes.ts'

const STOP_TIMEOUT_MS = 10_000
const POLL_MS = 20

/**
 * Ends the servers that a killed process left in its folder, by what they are: programs of Postgres whose working directory is a data directory there
 * and that belong to the folder's owner. A lock file's process id is not asked.
 * @param place has folders of servers: `<place>/<server>/<data directory>`
 */
export function endServersIn(place: string): void {
  const found = dataDirectories(place).flatMap((path) => serversIn(path))
  for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
    for (const pid of found) send(pid, signal)
    const deadline = Date.now() + STOP_TIMEOUT_MS
    while (found.some(isAlive) && Date.now() < deadline) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS)
  }
}

function dataDirectories(place: string): string[] {
  return folders(place).flatMap(folders).filter((path) => {
    try {
      return statSync(join(path, 'PG_VERSION')).isFile()
    } catch {
      return false
    }
  })
}

function folders(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name))
  } catch {
    return []
  }
}

function serversIn(path: string): number[] {
  const { dev, ino, uid } = statSync(path, { bigint: true })
  const isOwners = (pid: number): boolean => {
    try {
      return statSync(`/proc/${pid}`, { bigint: true }).uid === uid
    } catch {
      return false
    }
  }
  return processesIn(`${dev}:${ino}`).filter((pid) => looksLikeServer(pid) && isOwners(pid))
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
