import { statSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { readIfThere } from '../disk/files.ts'
import { attachedTo, isAlive, looksLikeServer, processesIn, programOf, startOf, workingDirectory } from '../disk/processes.ts'

/*
 * postmaster.pid (pidfile.h), a line each: process id, negated for a single-user server; data directory; when the server began, in
 * seconds since 1970; port; socket directory; listen address; key and id of the shared memory; status.
 *
 * A process id alone says nothing: a copy, a restart of the machine or a container's volume (where the server was process 1) leave a
 * file whose number is now another program's. A server's working directory is its data directory: where /proc shows it, it decides; otherwise the
 * program's name does. If neither tells, the directory is refused.
 */
const LOCK_FILE = 'postmaster.pid'
/** Clocks are set, and the file is written a moment after the process began. */
const START_TOLERANCE_SECONDS = 60

interface LockFile {
  pid: number
  dataDirectory: string
  /** Undefined if the line is not there. */
  start: number | undefined
  sharedMemory: { key: number; id: number } | undefined
}

/**
 * A file that a server left behind when it crashed is harmless, and remains where it is.
 * @returns why it is stale, for messages; undefined without one
 * @throws EnvironmentError datadir.running if a server works here, or may
 */
export function refuseRunningServer(path: string): string | undefined {
  const file = join(path, LOCK_FILE)
  const bytes = readIfThere(file)
  if (bytes === undefined) return undefined
  const lock = parse(utf8Decode(bytes.subarray(0, 4096)))
  if (lock === undefined) {
    throw refusal(`${LOCK_FILE} names no process; if no server starts here right now, copy the folder, without this file, and name the copy`, file)
  }
  const here = folderOf(path)
  // A server in a container has another process id there than here. Its children live a moment longer than a killed server.
  const servers = processesIn(here).filter(looksLikeServer)
  if (servers.length > 0) {
    const server = servers.includes(lock.pid) ? lock.pid : servers[0]
    throw refusal(`a server runs here (process ${server}); stop it with pg_ctl stop -m fast, or take a base backup`, file)
  }
  const isOwnFile = folderOf(lock.dataDirectory) === here
  if (isOwnFile && lock.sharedMemory !== undefined && attachedTo(lock.sharedMemory) > 0) {
    throw refusal(`process ${lock.pid} is gone, but others of its server still use its shared memory; end them, or wait until they end`, file)
  }
  if (!isAlive(lock.pid)) return `process ${lock.pid} of ${LOCK_FILE} is gone`
  return otherProgram(lock, here, file)
}

/** Why a process that is alive is not the server of the file. @throws EnvironmentError datadir.running if it may be */
function otherProgram(lock: LockFile, here: string | undefined, file: string): string {
  const { pid, dataDirectory, start } = lock
  const program = programOf(pid)
  const stale = `process ${pid} of ${LOCK_FILE} is another program now${program === undefined ? '' : ` (${program})`}`
  if (pid === process.pid || pid === process.ppid) return stale
  const works = workingDirectory(pid)
  if (works !== undefined) {
    // A server of this folder would have been found by processesIn(). A copy of a running server's files has its lock file, too.
    if (!looksLikeServer(pid) || works !== folderOf(dataDirectory)) return stale
    throw refusal(`this is a copy of ${dataDirectory}, whose server runs (process ${pid}): files copied from a running server do not belong to one moment; ` +
      `take a base backup, or, if this is an atomic snapshot, delete ${LOCK_FILE} in it and replay its WAL`, file)
  }
  if (program !== undefined && !looksLikeServer(pid)) return stale
  const began = startOf(pid)
  const isLater = began !== undefined && start !== undefined && began > start + START_TOLERANCE_SECONDS
  if (isLater && folderOf(dataDirectory) !== here) return stale
  throw refusal(`a server may run here (process ${pid}); stop it with pg_ctl stop -m fast; if process ${pid} is another program, ` +
    'run ltap as the owner of the folder, or on a copy of it without this file', file)
}

function parse(text: string): LockFile | undefined {
  const [pid = '', dataDirectory = '', start = '', , , , memory = ''] = text.split('\n').map((line) => line.trim())
  if (!/^-?[1-9]\d{0,9}$/.test(pid)) return undefined
  const ids = /^(\d+)\s+(\d+)$/.exec(memory)
  return {
    pid: Math.abs(Number(pid)), dataDirectory, start: /^\d+$/.test(start) ? Number(start) : undefined,
    sharedMemory: ids === null ? undefined : { key: Number(ids[1]), id: Number(ids[2]) },
  }
}

/** Device and inode: one folder can have many paths, and one path is many folders in containers. */
function folderOf(path: string): string | undefined {
  const found = path === '' ? undefined : statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

function refusal(reason: string, file: string): EnvironmentError {
  return new EnvironmentError('datadir.running', reason, { file })
}
