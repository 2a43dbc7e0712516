import { ByteWriter } from '../common/bytes.ts'
import { dataBytes } from '../vector/databytes.ts'
import { BytesVector, type Vector } from '../vector/vector.ts'
import { fileMetaData, footerBytes } from './footer.ts'
import type { LakeField } from './lakefield.ts'
import { PLAIN, plainChunk, RLE } from './plainchunk.ts'
import { fileFields, MAGIC_BYTES, movedChunk, plainChunkAt, type RowGroupFields, rowGroupsOf, withRowGroups } from './rowgroups.ts'
import type { Field } from './thrift.ts'

/**
 * Values of one column and row group beyond this size go around wasm, which would hold them eight times over and panic from some 450 MB
 * on: their column chunk is written here, PLAIN and not compressed, and wasm writes a column of NULLs whose place in the footer it takes.
 */
const SPLICED_BYTES_MIN = 64 << 20
/**
 * What a row group may have in wasm, which takes up to eight times as much. Where the values of one page are more, in many columns, the largest
 * columns go around it, too, those of so many bytes.
 */
const WASM_BYTES_MAX = 128 << 20
const SPLICED_SMALL_MIN = 1 << 20

type Deliver = (bytes: Uint8Array) => void | Promise<void>

/** Where the chunk of a leaf column lies; leaves count through the whole schema. */
interface LargePlace {
  leaf: number
  start: number
  size: number
}

/** A column chunk of large values of row group `group`. */
export interface LargeChunk {
  group: number
  leaf: number
  chunk: Uint8Array
}

/** Leaf columns of a field. */
export function leavesOf({ children }: LakeField): number {
  return children === undefined ? 1 : children.reduce((sum, child) => sum + leavesOf(child), 0)
}

/** The vectors that are too large for wasm, by leaf; `columns` gets NULLs in their place, and no deferred values. */
export function takeLargeColumns(
  fields: readonly LakeField[], columns: readonly Vector[], rows: number, largeBytes: number = SPLICED_BYTES_MIN,
): { columns: Vector[]; large: Map<number, BytesVector> } {
  const large = new Map<number, BytesVector>()
  const taken = largeColumns(columns, rows, largeBytes)
  let leaf = 0
  const rest = fields.map((field, i) => {
    const vector = columns[i]!
    const at = leaf
    leaf += leavesOf(field)
    if (!(vector instanceof BytesVector)) return vector
    if (!taken.has(vector)) return vector.laterBytes > 0 ? inMemory(vector, rows) : vector
    large.set(at, vector)
    const nulls = new BytesVector()
    nulls.padTo(rows)
    return nulls
  })
  return { columns: rest, large }
}

function largeColumns(columns: readonly Vector[], rows: number, largeBytes: number): Set<BytesVector> {
  const bytes = columns.filter((vector) => vector instanceof BytesVector && vector.length >= rows) as BytesVector[]
  const taken = new Set(bytes.filter((vector) => vector.end(rows - 1) + vector.laterBytes >= largeBytes))
  if (largeBytes === Infinity) return taken
  let inWasm = columns.reduce((sum, vector) => sum + (taken.has(vector as BytesVector) ? 0 : dataBytes(vector)), 0)
  for (const vector of bytes.filter((other) => !taken.has(other)).sort((a, b) => dataBytes(b) - dataBytes(a))) {
    if (inWasm <= WASM_BYTES_MAX || dataBytes(vector) < SPLICED_SMALL_MIN) break
    taken.add(vector)
    inWasm -= dataBytes(vector)
  }
  return taken
}

function inMemory(vector: BytesVector, rows: number): BytesVector {
  const whole = new BytesVector()
  whole.reserve(rows)
  for (let row = 0; row < rows; row++) {
    if (vector.isNull(row)) whole.pushNull()
    else whole.push(vector.value(row))
  }
  return whole
}

/**
 * One file made of several that wasm wrote, and of the column chunks of large values between them: their row groups behind each other, and a
 * footer that says where everything is. What wasm writes as one file is delivered as it comes, but for the last piece, which has the footer.
 * Pieces end anywhere, so a chunk of large values lies between two files of wasm's only. A file of one piece alone stays as it is.
 */
export class SplicedOutput {
  private readonly deliver: Deliver
  private readonly groups: RowGroupFields[] = []
  private footer: Field[] | undefined
  private readonly large: LargePlace[] = []
  private held: Uint8Array | undefined
  /** The current file of wasm's: how many of its bytes were delivered, and how far they are moved. */
  private taken = 0
  private moved = 0
  private written = 0

  constructor(deliver: Deliver) {
    this.deliver = deliver
  }

  /** The next bytes of wasm's current file. */
  async add(bytes: Uint8Array): Promise<void> {
    const { held } = this
    this.held = bytes
    if (held) await this.pass(held)
  }

  /** The chunk of a large column of the row group that wasm's next file begins with. */
  async splice(leaf: number, vector: BytesVector, rows: number): Promise<void> {
    if (this.written === 0) await this.write(MAGIC_BYTES)
    const start = this.written
    for (const piece of plainChunk(vector, rows)) await this.write(piece)
    this.large.push({ leaf, start, size: this.written - start })
  }

  /** Wasm's current file has ended, and another one follows. */
  async endFile(): Promise<void> {
    const { held } = this
    if (!held) return
    const metaData = fileMetaData(held)
    this.held = undefined
    await this.pass(held.subarray(0, held.length - footerBytes(metaData).length))
    this.footer = fileFields(metaData)
    const large = this.large.splice(0)
    rowGroupsOf(this.footer).forEach((group, i) => {
      this.groups.push({ ...group, columns: group.columns.map((chunk, leaf) => {
        const own = i === 0 ? large.find((other) => other.leaf === leaf) : undefined
        return own ? plainChunkAt(chunk, own.start, own.size, PLAIN, RLE) : movedChunk(chunk, chunk.start + this.moved)
      }) })
    })
    this.taken = 0
  }

  /** Ends the output; call it after the last file. */
  async finish(): Promise<void> {
    if (!this.footer && this.large.length === 0) {
      if (this.held) await this.write(this.held)
      return
    }
    await this.endFile()
    await this.write(footerBytes(withRowGroups(this.footer!, this.groups)))
  }

  /** Delivers bytes of the current file, without its magic if the file has one. */
  private async pass(bytes: Uint8Array): Promise<void> {
    const skipped = this.written > 0 ? Math.max(0, MAGIC_BYTES.length - this.taken) : 0
    if (this.taken === 0) this.moved = this.written === 0 ? 0 : this.written - MAGIC_BYTES.length
    this.taken += bytes.length
    await this.write(bytes.subarray(skipped))
  }

  private async write(bytes: Uint8Array): Promise<void> {
    await this.deliver(bytes)
    this.written += bytes.length
  }
}

/** The same for a whole file in memory: the chunks of large columns lie behind wasm's row groups. */
export function spliceFile(file: Uint8Array, large: readonly LargeChunk[]): Uint8Array {
  if (large.length === 0) return file
  const metaData = fileMetaData(file)
  const out = new ByteWriter(0)
  out.copy(file, 0, file.length - footerBytes(metaData).length)
  const places = large.map(({ group, leaf, chunk }) => {
    const start = out.length
    out.copy(chunk)
    return { group, leaf, start, size: chunk.length }
  })
  const fields = fileFields(metaData)
  const groups = rowGroupsOf(fields).map((group, number) => ({ ...group, columns: group.columns.map((chunk, leaf) => {
    const own = places.find((place) => place.group === number && place.leaf === leaf)
    return own ? plainChunkAt(chunk, own.start, own.size, PLAIN, RLE) : movedChunk(chunk, chunk.start)
  }) }))
  out.copy(footerBytes(withRowGroups(fields, groups)))
  return out.take()
}
