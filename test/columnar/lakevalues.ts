import fc from 'fast-check'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { utf8Decode, utf8Encode } from '../../src/common/utf8.ts'
import type { ColumnType } from '../../src/vector/columntype.ts'
import { BitVector, BytesVector, ListVector, StructVector, type Vector, WordVector } from '../../src/vector/vector.ts'

/** Column values as plain JavaScript; floats as their bits, decimals unscaled, bytes as Latin-1 text, maps as pairs. */
export type Value = null | boolean | number | bigint | string | readonly Value[]

export const LEAVES: ColumnType[] = [
  { kind: 'boolean' }, { kind: 'int' }, { kind: 'long' }, { kind: 'float' }, { kind: 'double' },
  { kind: 'decimal', precision: 9, scale: 2 }, { kind: 'decimal', precision: 18, scale: 0 }, { kind: 'decimal', precision: 38, scale: 9 },
  { kind: 'date' }, { kind: 'time' }, { kind: 'timestamp', utc: true }, { kind: 'timestamp', utc: false },
  { kind: 'string' }, { kind: 'binary' }, { kind: 'uuid' },
]

export function lakeField(name: string, type: ColumnType, ids: { next: number }): LakeField {
  const id = ids.next++
  if (type.kind === 'list') return { name, id, type, children: [lakeField('element', type.element, ids)] }
  if (type.kind === 'map') {
    return { name, id, type, children: [lakeField('key', { kind: 'string' }, ids), lakeField('value', type.value, ids)] }
  }
  if (type.kind === 'struct') return { name, id, type, children: type.fields.map((field) => lakeField(field.name, field.type, ids)) }
  return { name, id, type }
}

export function pushValue(vector: Vector, value: Value): void {
  if (value === null) vector.pushNull()
  else if (vector instanceof BitVector) vector.push(value as boolean)
  else if (vector instanceof WordVector) pushWords(vector, value)
  else if (vector instanceof BytesVector) vector.push(utf8OrLatin1(value as string))
  else if (vector instanceof ListVector) {
    for (const element of value as Value[]) pushValue(vector.child, element)
    vector.close()
  } else if (vector instanceof StructVector) {
    vector.children.forEach((child, i) => pushValue(child, (value as Value[])[i]!))
    vector.close()
  }
}

/** Strings travel as `s…`, byte strings as `b…`, so that one vector class serves both. */
function utf8OrLatin1(value: string): Uint8Array {
  return value[0] === 's' ? utf8Encode(value.slice(1)) : Uint8Array.from(value.slice(1), (c) => c.charCodeAt(0))
}

function pushWords(vector: WordVector, value: Value): void {
  const words = typeof value === 'string' ? [...uuidWords(value)] : bigWords(BigInt(value as number | bigint))
  if (vector.wordsPerValue === 1) vector.push1(words[0]!)
  else if (vector.wordsPerValue === 2) vector.push2(words[0]!, words[1]!)
  else vector.push4(words[0]!, words[1]!, words[2]!, words[3]!)
}

function uuidWords(value: string): Int32Array {
  return new Int32Array(utf8OrLatin1(value).buffer)
}

function bigWords(value: bigint): number[] {
  return [0n, 32n, 64n, 96n].map((shift) => Number(BigInt.asIntN(32, value >> shift)))
}

export function valueAt(vector: Vector, type: ColumnType, row: number): Value {
  if (vector.isNull(row)) return null
  if (vector instanceof BitVector) return vector.get(row)
  if (vector instanceof BytesVector) return type.kind === 'string' ? `s${utf8Decode(vector.view(row))}` : latin1(vector.view(row))
  if (vector instanceof WordVector) return wordValue(vector, type, row)
  if (vector instanceof ListVector) {
    const element: ColumnType = type.kind === 'list' ? type.element : mapEntry(type)
    return range(vector.start(row), vector.end(row)).map((at) => valueAt(vector.child, element, at))
  }
  const fields = (type as Extract<ColumnType, { kind: 'struct' }>).fields
  return (vector as StructVector).children.map((child, i) => valueAt(child, fields[i]!.type, row))
}

function mapEntry(type: ColumnType): ColumnType {
  const value = (type as Extract<ColumnType, { kind: 'map' }>).value
  return { kind: 'struct', fields: [{ name: 'key', type: { kind: 'string' } }, { name: 'value', type: value }] }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

export function latin1(bytes: Uint8Array): string {
  return `b${Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')}`
}

function wordValue(vector: WordVector, type: ColumnType, row: number): Value {
  const at = row * vector.wordsPerValue
  const words = vector.words.slice(at, at + vector.wordsPerValue)
  if (type.kind === 'uuid') return latin1(new Uint8Array(words.buffer))
  if (type.kind === 'float') return words[0]! >>> 0
  if (vector.wordsPerValue === 1) return words[0]!
  const unsigned = words.reduceRight((value, word) => (value << 32n) | BigInt(word >>> 0), 0n)
  return type.kind === 'double' ? unsigned : BigInt.asIntN(vector.wordsPerValue * 32, unsigned)
}

const bytes = fc.uint8Array({ maxLength: 80 }).map(latin1)

/** Values of a type, null among them. */
export function valueOf(type: ColumnType): fc.Arbitrary<Value> {
  return fc.option(presentValue(type), { freq: 5 })
}

function presentValue(type: ColumnType): fc.Arbitrary<Value> {
  switch (type.kind) {
    case 'boolean':
      return fc.boolean()
    case 'int':
      return fc.integer()
    case 'date':
      return fc.integer({ min: -719162, max: 2932896 })
    case 'long':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    case 'float':
      return fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0x7f800001, 0xffc00000, 0x80000000, 0, 0x7f800000, 0xff800000))
    case 'double':
      return fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0x7ff0000000000001n, 0x8000000000000000n, 0n))
    case 'decimal':
      return fc.bigInt({ min: -(10n ** BigInt(type.precision)) + 1n, max: 10n ** BigInt(type.precision) - 1n })
    case 'time':
      return fc.bigInt({ min: 0n, max: 86_399_999_999n })
    case 'timestamp':
      return fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n })
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 80 }).map((text) => `s${text}`)
    case 'binary':
      return bytes
    case 'uuid':
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).map(latin1)
    case 'list':
      return fc.array(valueOf(type.element), { maxLength: 4 })
    case 'map':
      return fc.uniqueArray(fc.tuple(presentValue({ kind: 'string' }), valueOf(type.value)), { maxLength: 3, selector: ([key]) => key })
    case 'struct':
      return fc.tuple(...type.fields.map((field) => valueOf(field.type)))
  }
}

export const columnType: fc.Arbitrary<ColumnType> = fc.letrec<{ type: ColumnType; leaf: ColumnType }>((tie) => ({
  leaf: fc.constantFrom(...LEAVES),
  type: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    tie('leaf'),
    tie('type').map((element): ColumnType => ({ kind: 'list', element })),
    tie('type').map((value): ColumnType => ({ kind: 'map', value })),
    fc.array(tie('type'), { minLength: 1, maxLength: 3 }).map(
      (types): ColumnType => ({ kind: 'struct', fields: types.map((type, i) => ({ name: `f${i}`, type })) }),
    ),
  ),
})).type
