import { ByteWriter } from '../common/bytes.ts'
import { assert } from '../common/errors.ts'
import { BytesVector, type Vector } from '../datum/vector.ts'
import { fileMetaData, footerBytes } from './footer.ts'
import type { LakeField } from './lakefield.ts'
import { PLAIN, plainChunk, RLE } from './plainchunk.ts'
import { fileFields, MAGIC_BYTES, movedChunk, plainChunkAt, rowGroupsOf, withRowGroups } from './rowgroups.ts'

/**
 * Values of one column and row group beyond this size go around wasm, which would hold them eight times over and panic from some 450 MB
 * on: their column chunk is written here, PLAIN and not compressed, and wasm writes a column of NULLs whose place in the footer it takes.
 */
const SPLICED_BYTES_MIN = 64 << 20

type Deliver = (bytes: Uint8Array) => void | Promise<void>

interface SplicedChunk {
  group: number
  /** Counts the leaf columns of the file. */
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

/** The vectors that are too large for wasm, by leaf; `columns` gets NULLs in their place. */
export function takeLargeColumns(
  fields: readonly LakeField[], columns: readonly Vector[], rows: number, largeBytes = SPLICED_BYTES_MIN,
): { columns: Vector[]; large: Map<number, BytesVector> } {
  const large = new Map<number, BytesVector>()
  let leaf = 0
  const rest = fields.map((field, i) => {
    const vector = columns[i]!
    const at = leaf
    leaf += leavesOf(field)
    if (!(vector instanceof BytesVector) || vector.length < rows || vector.end(rows - 1) < largeBytes) return vector
    large.set(at, vector)
    const nulls = new BytesVector()
    nulls.padTo(rows)
    return nulls
  })
  return { columns: rest, large }
}

/**
 * What wasm writes, in order, and between its row groups the column chunks of large values. One piece is held back: the last one has the
 * footer, which must say where everything is.
 */
export class SplicedOutput {
  private readonly deliver: Deliver
  private readonly spliced: SplicedChunk[] = []
  /** Bytes of wasm's file that lie before a splice, and how far what follows is moved. */
  private readonly moves: { from: number; by: number }[] = []
  private held: Uint8Array | undefined
  /** Bytes of wasm's file and of the file that were delivered. */
  private taken = 0
  private written = 0
  private queue: Promise<void> = Promise.resolve()

  constructor(deliver: Deliver) {
    this.deliver = deliver
  }

  /** The next bytes of wasm's file: whole row groups, the last ones with the footer. */
  add(bytes: Uint8Array): Promise<void> {
    return this.inTurn(async () => {
      await this.deliverHeld()
      this.held = bytes
    })
  }

  /** The chunk of a large column of row group `group`, which wasm has not written yet. */
  splice(group: number, leaf: number, vector: BytesVector, rows: number): Promise<void> {
    return this.inTurn(async () => {
      await this.deliverHeld()
      if (this.written === 0) await this.write(MAGIC_BYTES)
      const start = this.written
      for (const piece of plainChunk(vector, rows)) await this.write(piece)
      this.spliced.push({ group, leaf, start, size: this.written - start })
      this.moves.push({ from: this.taken, by: this.written - Math.max(this.taken, MAGIC_BYTES.length) })
    })
  }

  /** After the last piece. */
  finish(): Promise<void> {
    return this.inTurn(async () => {
      const { held } = this
      if (!held || this.spliced.length === 0) return this.deliverHeld()
      const metaData = fileMetaData(held)
      this.held = held.subarray(0, held.length - footerBytes(metaData).length)
      await this.deliverHeld()
      await this.write(footerBytes(splicedMetaData(metaData, this.spliced, (offset) => this.movedTo(offset))))
    })
  }

  private inTurn(body: () => Promise<void>): Promise<void> {
    this.queue = this.queue.then(body)
    // Whoever awaits it hears of a failure; the next in turn does, too.
    this.queue.catch(() => {})
    return this.queue
  }

  private async deliverHeld(): Promise<void> {
    const { held } = this
    if (!held) return
    this.held = undefined
    // The magic is written already if a splice came first.
    await this.write(this.taken === 0 && this.written > 0 ? held.subarray(MAGIC_BYTES.length) : held)
    this.taken += held.length
  }

  private async write(bytes: Uint8Array): Promise<void> {
    await this.deliver(bytes)
    this.written += bytes.length
  }

  private movedTo(offset: number): number {
    return offset + (this.moves.findLast(({ from }) => from <= offset)?.by ?? 0)
  }
}

/** The same for a whole file in memory: the chunks of large columns lie behind wasm's row groups. */
export function spliceFile(file: Uint8Array, large: readonly LargeChunk[]): Uint8Array {
  if (large.length === 0) return file
  const metaData = fileMetaData(file)
  const out = new ByteWriter(0)
  out.copy(file, 0, file.length - footerBytes(metaData).length)
  const spliced = large.map(({ group, leaf, chunk }): SplicedChunk => {
    const start = out.length
    out.copy(chunk)
    return { group, leaf, start, size: chunk.length }
  })
  out.copy(footerBytes(splicedMetaData(metaData, spliced, (offset) => offset)))
  return out.take()
}

/** FileMetaData where column chunks lie elsewhere, some of them replaced. */
function splicedMetaData(metaData: Uint8Array, spliced: readonly SplicedChunk[], movedTo: (offset: number) => number): Uint8Array {
  const file = fileFields(metaData)
  const groups = rowGroupsOf(file).map((group, number) => ({
    ...group,
    columns: group.columns.map((chunk, leaf) => {
      const own = spliced.find((other) => other.group === number && other.leaf === leaf)
      if (own) return plainChunkAt(chunk, own.start, own.size, PLAIN, RLE)
      const start = movedTo(chunk.start)
      assert(movedTo(chunk.end - 1) - start === chunk.end - 1 - chunk.start, 'a splice inside a column chunk')
      return movedChunk(chunk, start)
    }),
  }))
  return withRowGroups(file, groups)
}
