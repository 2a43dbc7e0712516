import { closeSync, fsyncSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bytesEqual, readU32 } from '../../common/bytes.ts'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, withPosition } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { utf8Decode, utf8Encode } from '../../common/utf8.ts'
import { fileError, isMissing, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { parseOp, type StoreOp } from './ops.ts'
import { createFile, writeFully } from '../disk/create.ts'
import { syncDirectory } from './storefiles.ts'

/*
 * ltap/journal: the operations of one flush, little-endian.
 *
 *  0          8             12            16       20
 *  +----------+-------------+-------------+--------+------------+------+-----+ … +---+---+-----------+
 *  | LTAPJRN1 | head length | data length | CRC of | head: JSON | data | pad |   | 0 | 0 | CRC, zero |
 *  +----------+-------------+-------------+--------+------------+------+-----+ … +---+---+-----------+
 *             |<------------ one operation, padded to 4 bytes ------------>|      the end
 *
 * Each CRC-32C covers the CRC before it, the head and the data, so they form a chain: no operation can be missing, or be another journal's.
 * The file gets its name only when it is complete and durable. So a file of that name that does not check is damage.
 */
const MAGIC = utf8Encode('LTAPJRN1')
const FRAME = 12
/** 1 MiB, the longest data of one operation, and room for its head. */
const BUFFER_BYTES = (1 << 20) + (1 << 16)
const DATA_MAX = 1 << 30

export const JOURNAL = 'ltap/journal'
const UNFINISHED = 'ltap/journal.new'

export class JournalWriter {
  private readonly root: string
  private readonly fd: number
  private readonly buffer = new Uint8Array(BUFFER_BYTES)
  private readonly view = new DataView(this.buffer.buffer)
  private used = 0
  private crc = 0

  /** @throws EnvironmentError file.* */
  constructor(root: string) {
    this.root = root
    this.fd = createFile(join(root, UNFINISHED))
    this.append(MAGIC)
  }

  /** @throws EnvironmentError file.* */
  readonly add = (op: StoreOp, data: Uint8Array = new Uint8Array(0)): void => {
    const head = utf8Encode(JSON.stringify(op))
    this.crc = operationCrc(this.crc, head, data)
    this.appendFrame(head.length, data.length, this.crc)
    this.append(head)
    this.append(data)
    this.append(new Uint8Array(-(head.length + data.length) & 3))
  }

  /** The journal is durable and has its name when this returns. @throws EnvironmentError file.* */
  finish(): void {
    this.appendFrame(0, 0, this.crc)
    this.guard(() => {
      this.drain()
      fsyncSync(this.fd)
      closeSync(this.fd)
      renameSync(join(this.root, UNFINISHED), join(this.root, JOURNAL))
      syncDirectory(dirname(join(this.root, JOURNAL)))
    })
  }

  private appendFrame(headLength: number, dataLength: number, crc: number): void {
    if (this.used + FRAME > BUFFER_BYTES) this.guard(() => this.drain())
    this.view.setUint32(this.used, headLength, true)
    this.view.setUint32(this.used + 4, dataLength, true)
    this.view.setUint32(this.used + 8, crc, true)
    this.used += FRAME
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

function operationCrc(previous: number, head: Uint8Array, data: Uint8Array): number {
  const chain = new Uint32Array([previous, crc32c(head), crc32c(data)])
  return crc32c(new Uint8Array(chain.buffer))
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
    new JournalReader(fd, file).read(each)
  } finally {
    closeSync(fd)
  }
  return true
}

class JournalReader {
  private readonly fd: number
  private readonly file: string
  private at = 0
  private readonly frame = new Uint8Array(FRAME)
  private data = new Uint8Array(1 << 20)

  constructor(fd: number, file: string) {
    this.fd = fd
    this.file = file
  }

  read(each: (op: StoreOp, data: Uint8Array) => void): void {
    if (!bytesEqual(this.take(new Uint8Array(MAGIC.length)), MAGIC)) throw this.damaged('it does not begin as a journal')
    for (let crc = 0; ; ) {
      this.take(this.frame)
      const headLength = readU32(this.frame, 0)
      const dataLength = readU32(this.frame, 4)
      const expected = readU32(this.frame, 8)
      if (headLength === 0 && dataLength === 0) {
        if (expected !== crc) throw this.damaged('wrong CRC at its end')
        return
      }
      if (headLength > 1 << 16 || dataLength > DATA_MAX) throw this.damaged(`an operation of ${headLength} and ${dataLength} bytes`)
      const head = this.take(new Uint8Array(headLength))
      const data = this.takeData(dataLength)
      this.take(new Uint8Array(-(headLength + dataLength) & 3))
      crc = operationCrc(crc, head, data)
      if (crc !== expected) throw this.damaged('wrong CRC')
      each(this.operation(head, dataLength), data)
    }
  }

  private operation(head: Uint8Array, dataLength: number): StoreOp {
    let text: string
    try {
      text = utf8Decode(head)
    } catch {
      throw this.damaged('an operation is not UTF-8')
    }
    const op = withPosition({ file: this.file, byte: this.at }, () => parseOp(text))
    const first = op.op === 'write-pages' ? op.first : undefined
    if (first !== undefined && (dataLength % BLOCK_SIZE !== 0 || (first % SEGMENT_BLOCKS) + dataLength / BLOCK_SIZE > SEGMENT_BLOCKS)) {
      throw this.damaged(`${dataLength} bytes of pages from block ${first} on`)
    }
    return op
  }

  private takeData(length: number): Uint8Array {
    if (length > this.data.length) this.data = new Uint8Array(length)
    return this.take(this.data.subarray(0, length))
  }

  private take(into: Uint8Array): Uint8Array {
    let count: number
    try {
      count = readFully(this.fd, into, 0, into.length, this.at)
    } catch (error) {
      throw fileError(error, this.file)
    }
    if (count < into.length) throw this.damaged('it ends too early')
    this.at += count
    return into
  }

  private damaged(reason: string): CorruptionError {
    return new CorruptionError('pagestore.journal', `the journal is damaged: ${reason}; seed the page store again`, { file: this.file, byte: this.at })
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
