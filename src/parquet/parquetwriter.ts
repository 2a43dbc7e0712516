import type { RecordBatch, Schema } from 'apache-arrow'
import {
  Compression, Encoding, EnabledStatistics, Table, transformParquetStream, type RecordBatch as WasmBatch, type WriterProperties,
  WriterPropertiesBuilder, WriterVersion, writeParquet,
} from 'parquet-wasm'
import { assert } from '../common/errors.ts'
import type { BytesVector, Vector } from '../vector/vector.ts'
import { arrowBatch } from './arrow.ts'
import { arrowSchema } from './arrowschema.ts'
import { readFooter } from './footer.ts'
import { IpcBuffer } from './ipc.ts'
import type { LakeField } from './lakefield.ts'
import { plainChunkBytes } from './plainchunk.ts'
import { type LargeChunk, spliceFile, SplicedOutput, takeLargeColumns } from './splice.ts'
import { inWasm } from './wasm.ts'

export interface ParquetOptions {
  compression: 'zstd' | 'snappy' | 'none'
  /** Footer key-values. */
  metadata: Readonly<Record<string, string>>
  /** Whether to try a dictionary for a top-level column that has no children; default: always. */
  dictionary?: (column: string) => boolean
  /** Columns whose values take this many bytes in a row group are not encoded by wasm. Default: 64 MiB. */
  largeBytes?: number
}

export interface RowGroupInput {
  columns: readonly Vector[]
  rows: number
}

const COMPRESSIONS = { zstd: Compression.ZSTD, snappy: Compression.SNAPPY, none: Compression.UNCOMPRESSED }

/** Structs that are no user's. */
const OWN_COLUMNS: ReadonlySet<string> = new Set(['_ltap', '_overflow'])

const NO_ROW_LIMIT = 0x7fffffff

/**
 * Settings of the wasm writer. They are made for every call, because a call consumes them.
 * A row-group limit of 1 byte makes each record batch its own row group: the limit is looked at between batches only.
 * PLAIN and dictionary only, V1 pages: older Spark readers refuse the rest.
 */
function writerProperties(fields: readonly LakeField[], options: ParquetOptions): WriterProperties {
  const builder = new WriterPropertiesBuilder()
    .setCreatedBy('ltap')
    .setWriterVersion(WriterVersion.V1)
    .setEncoding(Encoding.PLAIN)
    .setCompression(COMPRESSIONS[options.compression])
    .setKeyValueMetadata(new Map(Object.entries(options.metadata)))
    .setMaxRowGroupSize(NO_ROW_LIMIT)
    .setMaxRowGroupBytes(1)
  return withDictionaries(withStatistics(builder, fields), fields, options).build()
}

/**
 * The writer takes settings for top-level columns only, so all nested ones try a dictionary or none does. Values of `_ltap` never repay
 * one once they are compressed (a quarter less of its bytes, measured); those of a user's lists and structs may.
 */
function withDictionaries(builder: WriterPropertiesBuilder, fields: readonly LakeField[], options: ParquetOptions): WriterPropertiesBuilder {
  const nested = options.compression === 'none' || fields.some(({ name, children }) => children !== undefined && !OWN_COLUMNS.has(name))
  return fields.reduce((settings, { name, children }) => {
    return children === undefined ? settings.setColumnDictionaryEnabled(name, options.dictionary?.(name) !== false) : settings
  }, builder.setDictionaryEnabled(nested))
}

/**
 * Statistics per column chunk, not per page: page ones make small tables' footers larger, and few readers use them.
 * None for floats: the writer leaves NaN out of min and max, and readers to whom NaN is the greatest value, as to Postgres, then skip
 * row groups that have it (DuckDB does). The writer takes settings for top-level columns only, so if a struct holds a float, no
 * nested column has statistics.
 */
function withStatistics(builder: WriterPropertiesBuilder, fields: readonly LakeField[]): WriterPropertiesBuilder {
  const { Chunk, None } = EnabledStatistics
  const nested = fields.some((field) => field.type.kind === 'struct' && hasFloat(field)) ? None : Chunk
  return fields.reduce((settings, field) => {
    if (field.children !== undefined) return settings
    return settings.setColumnStatisticsEnabled(field.name, hasFloat(field) ? None : Chunk)
  }, builder.setStatisticsEnabled(nested))
}

/** Floats in lists and maps do not count: no reader skips row groups by those. */
function hasFloat({ type, children }: LakeField): boolean {
  return type.kind === 'float' || type.kind === 'double' || (type.kind === 'struct' && children!.some(hasFloat))
}

/**
 * A whole Parquet file at once, for small ones; each group with rows becomes a row group. `groups` is read one by one, and a group's
 * vectors are free again when the next is asked for; but their Arrow form goes to wasm all together and takes 2.5 times its size
 * of the 4 GiB there. {@link ParquetEncoder} is the way for larger files, and no slower.
 */
export function encodeParquet(fields: readonly LakeField[], options: ParquetOptions, groups: Iterable<RowGroupInput>): Uint8Array {
  const schema = arrowSchema(fields)
  const rowGroupRows: number[] = []
  const large: LargeChunk[] = []
  const ipc = new IpcBuffer().encode(schema, batchesOf(schema, fields, options, groups, rowGroupRows, large))
  const file = inWasm(() => writeParquet(Table.fromIPCStream(ipc), writerProperties(fields, options)))
  checkBorders(file, rowGroupRows)
  return spliceFile(file, large)
}

function* batchesOf(
  schema: Schema, fields: readonly LakeField[], options: ParquetOptions, groups: Iterable<RowGroupInput>, rowGroupRows: number[], large: LargeChunk[],
): Iterable<RecordBatch> {
  for (const { columns, rows } of groups) {
    if (rows === 0) continue
    const taken = takeLargeColumns(fields, columns, rows, options.largeBytes)
    for (const [leaf, vector] of taken.large) large.push({ group: rowGroupRows.length, leaf, chunk: plainChunkBytes(vector, rows) })
    rowGroupRows.push(rows)
    yield arrowBatch(schema, taken.columns, rows)
  }
}

/** The writer merges a row group without any value (all columns NULL) into the next one: never let that pass. */
function checkBorders(tail: Uint8Array, expected: readonly number[]): void {
  const found = readFooter(tail).rowGroupRows
  assert(found.length === expected.length && found.every((rows, i) => rows === expected[i]), `row groups ${found}, not ${expected}`)
}

/**
 * Writes a Parquet file piece by piece: at most three row groups are in memory, and the bytes go to `deliver` in file order (row groups,
 * then the footer), which is awaited. Columns of large values go around wasm, see {@link SplicedOutput}.
 * Await each call before the next, and end with `finish` or `abort`.
 * A panic inside wasm surfaces as an uncaught exception of the thread, not here: wasm raises it in a promise of its own.
 */
export class ParquetEncoder {
  private readonly fields: readonly LakeField[]
  private readonly options: ParquetOptions
  private readonly output: SplicedOutput
  private readonly schema: Schema
  private readonly ipc = new IpcBuffer()
  private source = new BatchSource()
  /** Rows of the row groups of wasm's current file. */
  private streamRows: number[] = []
  private readonly rowGroupRows: number[] = []
  private delivery: Promise<void> | undefined

  constructor(fields: readonly LakeField[], options: ParquetOptions, deliver: (bytes: Uint8Array) => void | Promise<void>) {
    this.fields = fields
    this.options = options
    this.output = new SplicedOutput(deliver)
    this.schema = arrowSchema(fields)
  }

  /** Adds the first `rows` rows of `columns` as a row group; the vectors are free again when it returns. No rows: no row group. */
  async rowGroup(columns: readonly Vector[], rows: number): Promise<void> {
    if (rows === 0) return
    const { columns: usual, large } = takeLargeColumns(this.fields, columns, rows, this.options.largeBytes)
    if (large.size === 0) await this.streamed(usual, rows)
    else await this.spliced(usual, large, rows)
    this.rowGroupRows.push(rows)
  }

  private async streamed(columns: readonly Vector[], rows: number): Promise<void> {
    this.delivery ??= this.start()
    await Promise.race([this.source.wanted(), this.delivery])
    await this.throwIfAborted()
    const ipc = this.ipc.encode(this.schema, [arrowBatch(this.schema, columns, rows)])
    this.streamRows.push(rows)
    this.source.put(inWasm(() => onlyBatch(ipc)))
    this.ipc.release()
  }

  /** Large columns are put between two files that wasm writes, so the columns before them make a file of their own. */
  private async spliced(columns: readonly Vector[], large: ReadonlyMap<number, BytesVector>, rows: number): Promise<void> {
    await this.throwIfAborted()
    if (this.delivery !== undefined) {
      this.source.end()
      await this.delivery
      await this.output.endFile()
      this.delivery = undefined
      this.source = new BatchSource()
      this.streamRows = []
    }
    for (const [leaf, vector] of large) await this.output.splice(leaf, vector, rows)
    await this.output.add(encodeParquet(this.fields, { ...this.options, largeBytes: Infinity }, [{ columns, rows }]))
    await this.output.endFile()
  }

  private async throwIfAborted(): Promise<void> {
    if (this.source.aborted) await this.delivery
    assert(!this.source.aborted, 'a row group after abort')
  }

  /** Writes the footer. Resolves when the last byte was delivered, with the rows of each row group. */
  async finish(): Promise<number[]> {
    if (this.rowGroupRows.length === 0) await this.output.add(encodeParquet(this.fields, this.options, []))
    this.source.end()
    await this.delivery
    await this.output.finish()
    return this.rowGroupRows
  }

  /** Ends a file that will not be finished and frees its memory; nothing more is delivered. */
  async abort(): Promise<void> {
    this.source.abort()
    await this.delivery?.catch(() => {})
  }

  private start(): Promise<void> {
    const delivery = this.run()
    delivery.catch(() => {})
    return delivery
  }

  /** After a failed delivery the rest is made and thrown away: a cancelled stream would panic in wasm. */
  private async run(): Promise<void> {
    const { source, streamRows } = this
    const output = await transformParquetStream(source.stream, writerProperties(this.fields, this.options))
    const reader = output.getReader() as ReadableStreamDefaultReader<Uint8Array>
    let footer: Uint8Array | undefined
    let failure: { error: unknown } | undefined
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      footer = value
      if (failure !== undefined || source.aborted) continue
      try {
        await this.output.add(value)
      } catch (error) {
        failure = { error }
        source.abort()
      }
    }
    if (failure !== undefined) throw failure.error
    if (!source.aborted) checkBorders(footer ?? new Uint8Array(0), streamRows)
  }
}

function onlyBatch(ipc: Uint8Array): WasmBatch {
  const table = Table.fromIPCStream(ipc)
  const batch = table.recordBatch(0)
  table.free()
  assert(batch !== undefined, 'a batch is lost')
  return batch
}

/** Hands batches to the wasm writer one by one, each only when it asks. */
class BatchSource {
  aborted = false
  readonly stream: ReadableStream<WasmBatch>
  private readonly controller: ReadableStreamDefaultController<WasmBatch>
  private ended = false
  private asked = false
  private wake: (() => void) | undefined

  constructor() {
    let controller: ReadableStreamDefaultController<WasmBatch> | undefined
    this.stream = new ReadableStream<WasmBatch>({ start: (own) => void (controller = own), pull: () => this.ask() }, { highWaterMark: 0 })
    this.controller = controller!
  }

  /** Resolves when the writer asks for a batch. */
  wanted(): Promise<void> {
    return this.asked ? Promise.resolve() : new Promise((resolve) => (this.wake = resolve))
  }

  put(batch: WasmBatch): void {
    this.asked = false
    this.controller.enqueue(batch)
  }

  end(): void {
    if (!this.ended) this.controller.close()
    this.ended = true
  }

  abort(): void {
    this.aborted = true
    this.end()
  }

  private ask(): void {
    this.asked = true
    this.wake?.()
  }
}
