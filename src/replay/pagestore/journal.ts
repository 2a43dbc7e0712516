import { bytesEqual, readU32 } from '../../common/bytes.ts'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, withPosition } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { utf8Decode, utf8Encode } from '../../common/utf8.ts'
import { parseOp, type StoreOp } from './ops.ts'

/*
 * A journal: the operations of one flush, little-endian.
 *
 *  0          8             12            16       20
 *  +----------+-------------+-------------+--------+------------+------+-----+ … +---+---+-----------+
 *  | LTAPJRN1 | head length | data length | CRC of | head: JSON | data | pad |   | 0 | 0 | CRC, zero |
 *  +----------+-------------+-------------+--------+------------+------+-----+ … +---+---+-----------+
 *             |<------------ one operation, padded to 4 bytes ------------>|      the end
 *
 * Each CRC-32C covers the CRC before it, the head and the data, so they form a chain: no operation can be missing, or be another journal's.
 */
const MAGIC = utf8Encode('LTAPJRN1')
const FRAME = 12
const HEAD_MAX = 1 << 16
const DATA_MAX = 1 << 30

/** Makes the bytes of a journal, operation by operation. */
export class JournalEncoder {
  private readonly write: (bytes: Uint8Array) => void
  private readonly frame = new Uint8Array(FRAME)
  private readonly view = new DataView(this.frame.buffer)
  private crc = 0

  /** @param write takes the next bytes, which are valid during the call */
  constructor(write: (bytes: Uint8Array) => void) {
    this.write = write
    write(MAGIC)
  }

  add(op: StoreOp, data: Uint8Array): void {
    const head = utf8Encode(JSON.stringify(op))
    this.crc = operationCrc(this.crc, head, data)
    this.writeFrame(head.length, data.length)
    this.write(head)
    this.write(data)
    this.write(new Uint8Array(-(head.length + data.length) & 3))
  }

  end(): void {
    this.writeFrame(0, 0)
  }

  private writeFrame(headLength: number, dataLength: number): void {
    this.view.setUint32(0, headLength, true)
    this.view.setUint32(4, dataLength, true)
    this.view.setUint32(8, this.crc, true)
    this.write(this.frame)
  }
}

function operationCrc(previous: number, head: Uint8Array, data: Uint8Array): number {
  const chain = new Uint32Array([previous, crc32c(head), crc32c(data)])
  return crc32c(new Uint8Array(chain.buffer))
}

/** Goes through the bytes of a journal from beginning to end. */
export class JournalDecoder {
  private readonly readAt: (at: number, into: Uint8Array) => number
  private readonly file: string
  private at = 0
  private readonly frame = new Uint8Array(FRAME)
  private data = new Uint8Array(1 << 20)

  /** @param readAt reads bytes of the journal, and returns how many there were @param file for messages */
  constructor(readAt: (at: number, into: Uint8Array) => number, file: string) {
    this.readAt = readAt
    this.file = file
  }

  /**
   * @param each takes an operation and its data, which is valid during the call; what it was given is right, but more may be damaged
   * @throws CorruptionError pagestore.journal if the journal is damaged
   */
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
      if (headLength > HEAD_MAX || dataLength > DATA_MAX) throw this.damaged(`an operation of ${headLength} and ${dataLength} bytes`)
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
    const count = this.readAt(this.at, into)
    if (count < into.length) throw this.damaged('it ends too early')
    this.at += count
    return into
  }

  private damaged(reason: string): CorruptionError {
    return new CorruptionError('pagestore.journal', `the journal is damaged: ${reason}; seed the page store again`, { file: this.file, byte: this.at })
  }
}
