import type { BytesVector, ListVector, StructVector, WordVector } from '../vector/vector.ts'
import type { LakeField } from '../parquet/lakefield.ts'

/**
 * `_ltap`: what makes a page rebuildable. block, offset and xmin are always stored; any other child is null where its value is
 * the predicted one (ARCHITECTURE.md tables the rules; they are frozen per format version, the code is in formpage.ts).
 */
const LTAP_FIELD_ID = 1_000_000

export const LTAP_FIELD: LakeField = struct('_ltap', LTAP_FIELD_ID, [
  leaf('block', 1, { kind: 'long' }),
  leaf('offset', 2, { kind: 'int' }),
  leaf('xmin', 3, { kind: 'long' }),
  leaf('xmax', 4, { kind: 'long' }),
  leaf('cid', 5, { kind: 'long' }),
  leaf('infomask', 6, { kind: 'int' }),
  leaf('infomask2', 7, { kind: 'int' }),
  struct('ctid', LTAP_FIELD_ID + 8, [leaf('block', 9, { kind: 'long' }), leaf('offset', 10, { kind: 'int' })]),
  struct('lp', LTAP_FIELD_ID + 11, [leaf('state', 12, { kind: 'int' }), leaf('off', 13, { kind: 'int' }), leaf('len', 14, { kind: 'int' })]),
  leaf('page_lsn', 15, { kind: 'long' }),
  leaf('page_crc', 16, { kind: 'int' }),
  struct('page_header', LTAP_FIELD_ID + 17, [
    leaf('kind', 18, { kind: 'int' }),
    leaf('bytes', 19, { kind: 'binary' }),
    leaf('count', 20, { kind: 'int' }),
    leaf('special', 21, { kind: 'binary' }),
  ]),
  list('dscale', LTAP_FIELD_ID + 22, struct('element', LTAP_FIELD_ID + 23, [leaf('attnum', 24, { kind: 'int' }), leaf('dscale', 25, { kind: 'int' })])),
  list('raw', LTAP_FIELD_ID + 26, struct('element', LTAP_FIELD_ID + 27, [leaf('attnum', 28, { kind: 'int' }), leaf('bytes', 29, { kind: 'binary' })])),
  leaf('tuple', 30, { kind: 'binary' }),
  leaf('page_image', 31, { kind: 'binary' }),
])

/** `_ltap` whose lanes have names that no other field of a relation has: those of {@link LTAP_FIELD} behind the names of what they are in. */
export const UNIQUE_LTAP_FIELD: LakeField = { ...LTAP_FIELD, ...withPrefix(LTAP_FIELD) }

/** page_header.kind: an all-zero block; bytes 8 to 23 with the line pointer count and the special area; a damaged page carried whole. */
export const PAGE_KIND_ZERO = 1
export const PAGE_KIND_HEADER = 2
export const PAGE_KIND_DAMAGED = 3

/** The children of a field, called `<name>_<child>`. Elements of lists have their name from Parquet. */
function withPrefix({ name, type, children = [] }: LakeField): Pick<LakeField, 'type' | 'children'> {
  if (children.length === 0) return { type }
  if (type.kind === 'list') {
    const element = { ...children[0]!, ...withPrefix({ ...children[0]!, name }) }
    return { type: { kind: 'list', element: element.type }, children: [element] }
  }
  const named = children.map((child) => {
    const unique = { ...child, name: `${name}_${child.name}` }
    return { ...unique, ...withPrefix(unique) }
  })
  return { type: { kind: 'struct', fields: named.map((child) => ({ name: child.name, type: child.type })) }, children: named }
}

function leaf(name: string, id: number, type: LakeField['type']): LakeField {
  return { name, id: LTAP_FIELD_ID + id, type }
}

function struct(name: string, id: number, children: LakeField[]): LakeField {
  return { name, id, type: { kind: 'struct', fields: children.map(({ name: child, type }) => ({ name: child, type })) }, children }
}

function list(name: string, id: number, element: LakeField): LakeField {
  return { name, id, type: { kind: 'list', element: element.type }, children: [element] }
}

/** The vectors behind `_ltap`, by name; `struct` is the column itself. */
export class PhysicalColumns {
  readonly block: WordVector
  readonly offset: WordVector
  readonly xmin: WordVector
  readonly xmax: WordVector
  readonly cid: WordVector
  readonly infomask: WordVector
  readonly infomask2: WordVector
  readonly ctid: StructVector
  readonly ctidBlock: WordVector
  readonly ctidOffset: WordVector
  readonly lp: StructVector
  readonly lpState: WordVector
  readonly lpOff: WordVector
  readonly lpLen: WordVector
  readonly pageLsn: WordVector
  readonly pageCrc: WordVector
  readonly pageHeader: StructVector
  readonly headerKind: WordVector
  readonly headerBytes: BytesVector
  readonly headerCount: WordVector
  readonly headerSpecial: BytesVector
  readonly dscale: ListVector<StructVector>
  readonly dscaleAttnum: WordVector
  readonly dscaleValue: WordVector
  readonly raw: ListVector<StructVector>
  readonly rawAttnum: WordVector
  readonly rawBytes: BytesVector
  readonly tuple: BytesVector
  readonly pageImage: BytesVector
  readonly struct: StructVector

  /** @param struct a vector shaped as LTAP_FIELD, such as newVector makes or a Parquet file yields */
  constructor(struct: StructVector) {
    this.struct = struct
    const child = struct.children as readonly never[]
    ;[this.block, this.offset, this.xmin, this.xmax, this.cid, this.infomask, this.infomask2] =
      child.slice(0, 7) as unknown as [WordVector, WordVector, WordVector, WordVector, WordVector, WordVector, WordVector]
    this.ctid = child[7]!
    ;[this.ctidBlock, this.ctidOffset] = this.ctid.children as [WordVector, WordVector]
    this.lp = child[8]!
    ;[this.lpState, this.lpOff, this.lpLen] = this.lp.children as [WordVector, WordVector, WordVector]
    this.pageLsn = child[9]!
    this.pageCrc = child[10]!
    this.pageHeader = child[11]!
    ;[this.headerKind, this.headerBytes, this.headerCount, this.headerSpecial] =
      this.pageHeader.children as [WordVector, BytesVector, WordVector, BytesVector]
    this.dscale = child[12]!
    ;[this.dscaleAttnum, this.dscaleValue] = this.dscale.child.children as [WordVector, WordVector]
    this.raw = child[13]!
    ;[this.rawAttnum, this.rawBytes] = this.raw.child.children as [WordVector, BytesVector]
    this.tuple = child[14]!
    this.pageImage = child[15]!
  }

  /** Room for `count` rows of what is never null: block, offset and xmin. */
  reserveIdentity(count: number): void {
    this.block.reserve(count)
    this.offset.reserve(count)
    this.xmin.reserve(count)
  }

  /** One of the rows there is room for; {@link commitIdentity} counts them. */
  writeIdentity(row: number, block: number, offset: number, xmin: number, epoch: number): void {
    const { words: blocks } = this.block
    const { words: xmins } = this.xmin
    blocks[row * 2] = block
    blocks[row * 2 + 1] = 0
    this.offset.words[row] = offset
    xmins[row * 2] = xmin
    xmins[row * 2 + 1] = epoch
  }

  commitIdentity(count: number): void {
    this.block.commitRows(count)
    this.offset.commitRows(count)
    this.xmin.commitRows(count)
  }

  /** Adds one row with transaction id 0, for a line pointer without a tuple. */
  pushStructure(row: number, block: number): void {
    this.reserveIdentity(1)
    this.writeIdentity(row, block, 0, 0, 0)
    this.commitIdentity(1)
  }
}
