import { newVector } from '../vector/columntype.ts'
import { BytesVector, ListVector, type StructVector, type Vector, WordVector } from '../vector/vector.ts'
import { dataBytes, listElements } from '../vector/databytes.ts'
import { KEPT_BYTES_MAX } from '../parquet/encoderfacts.ts'
import { PhysicalColumns } from './physical.ts'
import type { RelationSchema } from './schema.ts'

/** The rows of one row group, as vectors: user columns, `_overflow`'s children and `_ltap`. Whole blocks only. */
export class Batch {
  readonly schema: RelationSchema
  readonly columns: readonly Vector[]
  readonly overflow: readonly BytesVector[]
  readonly physical: PhysicalColumns
  private readonly overflowStruct: StructVector | undefined
  rows = 0

  /** @param vectors one per field of the schema, as a row group yields them; omitted: empty */
  constructor(schema: RelationSchema, vectors: readonly Vector[] = schema.fields.map((field) => newVector(field.type))) {
    this.schema = schema
    this.columns = vectors.slice(0, schema.columns.length)
    this.overflowStruct = schema.overflow ? (vectors[schema.columns.length] as StructVector) : undefined
    this.overflow = (this.overflowStruct?.children ?? []) as readonly BytesVector[]
    this.physical = new PhysicalColumns(vectors[schema.fields.length - 1] as StructVector)
    this.rows = this.physical.struct.length
  }

  /** Forgets rows from `rows` on, when a page is to be decoded a second time. */
  truncate(rows: number): void {
    for (const vector of this.everyVector()) vector.truncate(rows)
    this.rows = rows
  }

  /** Forgets all rows, for the next row group in the same memory. */
  clear(): void {
    this.truncate(0)
    if (this.overflowStruct) this.overflowStruct.length = 0
    this.physical.struct.length = 0
  }

  /** Gives back memory that only a huge value needed; all rows must be forgotten before. */
  release(): void {
    for (const vector of this.everyVector()) releaseLarge(vector)
  }

  /** Pads what has trailing nulls, so that all vectors have `rows` rows; one vector per schema field. */
  seal(): Vector[] {
    for (const vector of this.everyVector()) vector.padTo(this.rows)
    const { struct } = this.physical
    struct.validity = new Uint8Array((this.rows + 7) >> 3).fill(0xff)
    struct.length = this.rows
    if (!this.overflowStruct) return [...this.columns, struct]
    this.sealOverflow(this.overflowStruct)
    return [...this.columns, this.overflowStruct, struct]
  }

  /** `_overflow` as a whole is NULL where no column overflows. */
  private sealOverflow(struct: StructVector): void {
    const bytes = (this.rows + 7) >> 3
    struct.validity = new Uint8Array(bytes)
    struct.length = this.rows
    for (const { validity } of this.overflow) for (let at = 0; at < bytes; at++) struct.validity[at]! |= validity[at]!
  }

  /** Bytes of variable-length data held: what decides when a row group is full. */
  dataBytes(): number {
    let total = 0
    for (const vector of this.columns) total += dataBytes(vector)
    for (const vector of this.overflow) total += vector.data.length
    return total + this.physical.rawBytes.data.length + this.physical.tuple.data.length + this.physical.pageImage.data.length
  }

  /** Elements of the column whose lists have most of them, nulls included. */
  listElements(): number {
    return this.columns.reduce((most, vector) => Math.max(most, listElements(vector)), 0)
  }

  private *everyVector(): Iterable<Vector> {
    yield* this.columns
    yield* this.overflow
    yield* this.physical.struct.children
  }
}

function releaseLarge(vector: Vector): void {
  if (vector instanceof BytesVector && vector.data.bytes.length > KEPT_BYTES_MAX) vector.data.bytes = new Uint8Array(0)
  if ((vector instanceof BytesVector || vector instanceof ListVector) && vector.offsets.byteLength > KEPT_BYTES_MAX) vector.offsets = new Int32Array(1)
  if (vector instanceof WordVector && vector.words.byteLength > KEPT_BYTES_MAX) vector.words = new Int32Array(0)
  if ('child' in vector) releaseLarge(vector.child as Vector)
  if ('children' in vector) for (const child of vector.children as readonly Vector[]) releaseLarge(child)
}
