import { AsyncByteQueue, type RecordBatch, RecordBatchStreamWriter, type Schema } from 'apache-arrow'
import { ByteWriter } from '../common/bytes.ts'
import { KEPT_BYTES_MAX } from './encoderfacts.ts'

const START_BYTES = 1 << 16

/**
 * Record batches → Arrow IPC stream bytes, the form in which they enter wasm.
 * Replaces Arrow's tableToIPC: that joins neighbouring chunks that are views of one buffer, and loses bytes if they overlap
 * (one vector given as two columns); and it needs a fresh buffer of the whole size every time.
 */
export class IpcBuffer {
  private out = new ByteWriter(START_BYTES)

  /** Encodes the batches one after another, so that they may be made on the fly. The result is valid until the next call. */
  encode(schema: Schema, batches: Iterable<RecordBatch>): Uint8Array {
    this.out.length = 0
    const writer = new RecordBatchStreamWriter()
    writer.reset(new CopyingQueue(this.out), schema)
    for (const batch of batches) {
      this.out.reserve(batch.data.byteLength)
      writer.write(batch)
    }
    writer.finish()
    return this.out.bytes.subarray(0, this.out.length)
  }

  /** Gives back what only a huge value needed. */
  release(): void {
    if (this.out.bytes.length > KEPT_BYTES_MAX) this.out = new ByteWriter(START_BYTES)
  }
}

/** The writer's sink: takes the bytes at once instead of queueing views. */
class CopyingQueue extends AsyncByteQueue {
  private readonly out: ByteWriter

  constructor(out: ByteWriter) {
    super()
    this.out = out
  }

  override write(chunk: Uint8Array): void {
    this.out.copy(chunk)
  }
}
