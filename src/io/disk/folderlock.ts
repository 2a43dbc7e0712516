import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { EnvironmentError } from '../../common/errors.ts'
import { createWhole } from './create.ts'
import { judgeProcess, ownIdentity, type ProcessIdentity, type Verdict } from './processidentity.ts'
import { fileError, isMissing, readIfThere } from './files.ts'
import { onEnd } from '../process/interruption.ts'

/*
 * A lock is a file in the folder that one process at a time may write. It says who holds it:
 *
 *   {"pid":1,"start":"84211","boot":"0d6e…","namespace":"pid:[4026531836]","host":"db1","nonce":"…"}
 *
 * If the process is of this machine and container, the processes there tell whether it lives. If it is not, the file's age tells: its holder rewrites it
 * every few seconds.
 */
interface Holder extends ProcessIdentity {
  readonly nonce: string
}

const BEAT_EVERY_MS = 5_000
/** A lock file that is older than this has no holder. */
const DEAD_AFTER_MS = 60_000
/** The end of the name of a lock that is not in its place yet: its nonce. */
const UNFINISHED = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Name of the lock file in a folder that is no page store. */
export const LOCK_NAME = '.ltap-lock'

/**
 * Rewrites the locks of this process every few seconds. A thread of its own does so, since jobs keep the main thread busy. It writes to the file that
 * it opened: another process that takes a lock over makes a new file.
 */
const HEART = `
  const { closeSync, openSync, writeSync } = require('node:fs')
  const files = new Map()
  require('node:worker_threads').parentPort.on('message', ({ file, text }) => {
    try {
      if (text === null) closeSync(files.get(file).fd)
      else files.set(file, { fd: openSync(file, 'r+'), text })
    } catch {}
    if (text === null) files.delete(file)
  })
  setInterval(() => {
    for (const { fd, text } of files.values()) try { writeSync(fd, text, 0) } catch {}
  }, ${BEAT_EVERY_MS})`
let beating: Worker | undefined

function heart(): Worker {
  if (beating === undefined) {
    beating = new Worker(HEART, { eval: true, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 16 } })
    beating.unref()
    beating.on('exit', () => (beating = undefined))
  }
  return beating
}

/** A lock of a folder, held until {@link release}. The lock of a process that has ended counts for nothing. */
export class FolderLock {
  private readonly file: string
  private readonly holder: Holder
  private readonly forget: () => void
  private held = true

  /**
   * @param folder for messages @param file its lock, in it; its folder exists
   * @throws EnvironmentError folder.locked, file.*
   */
  constructor(folder: string, file: string) {
    this.file = file
    this.holder = { ...ownIdentity(), nonce: randomUUID() }
    if (!create(file, this.holder)) takeOver(folder, file, this.holder)
    removeUnfinished(file)
    heart().postMessage({ file, text: JSON.stringify(this.holder) })
    this.forget = onEnd(() => this.release())
  }

  release(): void {
    if (!this.held) return
    this.held = false
    this.forget()
    heart().postMessage({ file: this.file, text: null })
    if (read(this.file)?.nonce === this.holder.nonce) remove(this.file)
  }
}

/** The process that holds a lock, as far as the processes of this machine tell; undefined if there is no lock. @throws EnvironmentError file.* */
export function lockHolder(file: string): Verdict | 'unknown' | undefined {
  const holder = read(file)
  return holder === undefined ? undefined : judgeProcess(holder) ?? 'unknown'
}

/** @returns whether the lock was free */
function create(file: string, holder: Holder): boolean {
  return createWhole(file, `${file}.${holder.nonce}`, JSON.stringify(holder))
}

/** Removes locks of processes that were killed before they put their lock in its place. The file of a process that is alive stays. */
function removeUnfinished(file: string): void {
  const folder = dirname(file)
  const isUnfinished = (name: string): boolean => name.startsWith(`${basename(file)}.`) && UNFINISHED.test(name)
  try {
    for (const path of readdirSync(folder).filter(isUnfinished).map((name) => join(folder, name))) {
      const holder = read(path)
      if (holder !== undefined && (judgeProcess(holder) ?? judgeAge(path, file)) === 'gone') remove(path)
    }
  } catch {
    // These files do no harm.
  }
}

/** Two processes that find the same lock of a dead process must not both believe that they replaced it. So one process at a time may try. */
function takeOver(folder: string, file: string, holder: Holder): void {
  const old = read(file)
  if (old !== undefined && judgeProcess(old) === 'alive') throw locked(folder, file, old)
  const guard = `${file}.taking`
  if (!create(guard, holder)) {
    const other = read(guard)
    if (other !== undefined && judgeProcess(other) !== 'gone') throw locked(folder, file, other)
    remove(guard)
    if (!create(guard, holder)) throw locked(folder, file, other)
  }
  try {
    const found = read(file)
    if (found !== undefined && (judgeProcess(found) ?? judgeAge(file, guard)) === 'alive') throw locked(folder, file, found)
    remove(file)
    if (!create(file, holder)) throw locked(folder, file, read(file))
  } finally {
    remove(guard)
  }
}

/** Judges a lock by the age of its file, on the clock of the file system that both files are in. */
function judgeAge(file: string, guard: string): Verdict {
  const [written, now] = [file, guard].map(modified)
  return written === undefined || now === undefined || now - written <= DEAD_AFTER_MS ? 'alive' : 'gone'
}

function modified(file: string): number | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false })?.mtimeMs
  } catch (error) {
    throw fileError(error, file)
  }
}

function read(file: string): Holder | undefined {
  const bytes = readIfThere(file)
  if (bytes === undefined) return undefined
  const nobody: Holder = { pid: 0, start: null, boot: null, namespace: null, host: '', nonce: '' }
  try {
    const found = JSON.parse(new TextDecoder().decode(bytes.subarray(0, 4096))) as Partial<Holder> | null
    const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
    if (found === null || typeof found !== 'object' || !Number.isSafeInteger(found.pid) || found.pid! <= 0) return nobody
    return {
      pid: found.pid!, start: text(found.start), boot: text(found.boot), namespace: text(found.namespace), host: text(found.host) ?? '',
      nonce: text(found.nonce) ?? '',
    }
  } catch {
    // The file is being written just now, or an older ltap wrote it: its age decides.
    return nobody
  }
}

function locked(folder: string, file: string, holder: Holder | undefined): EnvironmentError {
  const verdict = holder && judgeProcess(holder)
  const who = holder === undefined || holder.pid === 0 ? 'another process' : verdict === undefined ? `process ${holder.pid} of ${holder.host}`
    : holder.pid === process.pid ? 'this process' : `process ${holder.pid}`
  const later = verdict === 'alive' ? '' : `; if it was killed, the lock ends ${DEAD_AFTER_MS / 1000} seconds after its last sign of life`
  return new EnvironmentError('folder.locked', `${who} works on the folder ${folder}; wait for it or end it${later}`, { file })
}

function remove(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (!isMissing(error)) throw fileError(error, file)
  }
}
