import { closeSync, fsyncSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { JournalDecoder, JournalEncoder } from '../../replay/pagestore/journal.ts'
import type { OpSink, StoreOp } from '../../replay/pagestore/ops.ts'
import { fileError, isMissing, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { createFile, writeFully } from '../disk/create.ts'
import { syncDirectory } from '../disk/syncpath.ts'

/** The file gets its name only when it is complete and durable. So a file of that name with a wrong CRC is damaged. */
export const JOURNAL = 'ltap/journal'
const UNFINISHED = 'ltap/journal.new'
/** 1 MiB, the longest data of one operation, and room for its head. */
const BUFFER_BYTES = (1 << 20) + (1 << 16)

export class JournalWriter {
  private readonly root: string
  private readonly fd: number
  private readonly buffer = new Uint8Array(BUFFER_BYTES)
  private readonly encoder: JournalEncoder
  private used = 0

  /** @throws EnvironmentError file.* */
  constructor(root: string) {
    this.root = root
    this.fd = createFile(join(root, UNFINISHED))
    this.encoder = new JournalEncoder((bytes) => this.append(bytes))
  }

  /** @throws EnvironmentError file.* */
  readonly add: OpSink = (op, data = new Uint8Array(0)) => this.encoder.add(op, data)

  /** The journal is durable and has its name when this returns. @throws EnvironmentError file.* */
  finish(): void {
    this.encoder.end()
    this.guard(() => {
      this.drain()
      fsyncSync(this.fd)
      closeSync(this.fd)
      renameSync(join(this.root, UNFINISHED), join(this.root, JOURNAL))
      syncDirectory(dirname(join(this.root, JOURNAL)))
    })
  }

  private append(bytes: Uint8Array): void {
    if (this.used + bytes.length > BUFFER_BYTES) this.guard(() => this.drain())
    if (bytes.length > BUFFER_BYTES) {
      this.guard(() => writeFully(this.fd, bytes))
      return
    }
    this.buffer.set(bytes, this.used)
    this.used += bytes.length
  }

  private drain(): void {
    writeFully(this.fd, this.buffer.subarray(0, this.used))
    this.used = 0
  }

  private guard<T>(body: () => T): T {
    try {
      return body()
    } catch (error) {
      throw fileError(error, join(this.root, UNFINISHED))
    }
  }
}

/**
 * Goes through a journal from beginning to end.
 * @returns false without one
 * @throws CorruptionError pagestore.journal if it is damaged
 */
export function readJournal(root: string, each: (op: StoreOp, data: Uint8Array) => void): boolean {
  const file = join(root, JOURNAL)
  let fd: number
  try {
    fd = openRegular(file)
  } catch (error) {
    if (isMissing(error)) return false
    throw fileError(error, file)
  }
  try {
    new JournalDecoder((at, into) => readPart(fd, file, at, into), file).read(each)
  } finally {
    closeSync(fd)
  }
  return true
}

function readPart(fd: number, file: string, at: number, into: Uint8Array): number {
  try {
    return readFully(fd, into, 0, into.length, at)
  } catch (error) {
    throw fileError(error, file)
  }
}

/** Called when the changes of the journal are durable in their places. @throws EnvironmentError file.* */
export function removeJournal(root: string): void {
  const file = join(root, JOURNAL)
  try {
    unlinkSync(file)
    syncDirectory(dirname(file))
  } catch (error) {
    throw fileError(error, file)
  }
}

/** Removes the incomplete journal of a flush that was killed: no change of that flush was applied. @throws EnvironmentError file.* */
export function removeUnfinishedJournal(root: string): void {
  const file = join(root, UNFINISHED)
  try {
    rmSync(file, { force: true })
  } catch (error) {
    throw fileError(error, file)
  }
}
