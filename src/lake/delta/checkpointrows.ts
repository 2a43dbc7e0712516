import { assert } from '../../common/errors.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { type ColumnType, newVector } from '../../vector/columntype.ts'
import { BitVector, BytesVector, ListVector, StructVector, type Vector, WordVector } from '../../vector/vector.ts'

/*
 * Rows of a checkpoint (PROTOCOL.md, Checkpoint Schema): one column for each kind of action, one action in each row.
 */

const STRING: ColumnType = { kind: 'string' }
const LONG: ColumnType = { kind: 'long' }
const INT: ColumnType = { kind: 'int' }
const BOOLEAN: ColumnType = { kind: 'boolean' }
const STRINGS: ColumnType = { kind: 'list', element: STRING }
const STRING_MAP: ColumnType = { kind: 'map', value: STRING }
const VECTOR = struct({ storageType: STRING, pathOrInlineDv: STRING, offset: INT, sizeInBytes: INT, cardinality: LONG })

const COLUMNS: Readonly<Record<string, ColumnType>> = {
  txn: struct({ appId: STRING, version: LONG, lastUpdated: LONG }),
  add: struct({
    path: STRING, partitionValues: STRING_MAP, size: LONG, modificationTime: LONG, dataChange: BOOLEAN, tags: STRING_MAP, stats: STRING, deletionVector: VECTOR,
  }),
  remove: struct({
    path: STRING, deletionTimestamp: LONG, dataChange: BOOLEAN, extendedFileMetadata: BOOLEAN, partitionValues: STRING_MAP, size: LONG, deletionVector: VECTOR,
  }),
  metaData: struct({
    id: STRING, name: STRING, description: STRING, format: struct({ provider: STRING, options: STRING_MAP }), schemaString: STRING, partitionColumns: STRINGS,
    configuration: STRING_MAP, createdTime: LONG,
  }),
  protocol: struct({ minReaderVersion: INT, minWriterVersion: INT, readerFeatures: STRINGS, writerFeatures: STRINGS }),
}

export const CHECKPOINT_FIELDS: readonly LakeField[] = fieldsOf(COLUMNS)

function struct(fields: Readonly<Record<string, ColumnType>>): ColumnType {
  return { kind: 'struct', fields: Object.entries(fields).map(([name, type]) => ({ name, type })) }
}

/** No reader looks at the ids of a checkpoint's fields; each has its own all the same. */
function fieldsOf(columns: Readonly<Record<string, ColumnType>>): LakeField[] {
  let id = 0
  const fieldOf = (name: string, type: ColumnType): LakeField => {
    const own = ++id
    const children = childrenOf(type).map((child) => fieldOf(child.name, child.type))
    return { name, id: own, type, ...(children.length > 0 && { children }) }
  }
  return Object.entries(columns).map(([name, type]) => fieldOf(name, type))
}

function childrenOf(type: ColumnType): readonly { name: string; type: ColumnType }[] {
  if (type.kind === 'list') return [{ name: 'element', type: type.element }]
  if (type.kind === 'map') return [{ name: 'key', type: STRING }, { name: 'value', type: type.value }]
  return type.kind === 'struct' ? type.fields : []
}

/** One vector for each of {@link CHECKPOINT_FIELDS}. @param actions each with one member, called as its column */
export function actionVectors(actions: readonly object[]): Vector[] {
  return CHECKPOINT_FIELDS.map(({ name, type }) => {
    const vector = newVector(type)
    for (const action of actions) push(vector, type, (action as Record<string, unknown>)[name])
    vector.padTo(actions.length)
    return vector
  })
}

function push(vector: Vector, type: ColumnType, value: unknown): void {
  if (value === undefined) vector.pushNull()
  else if (vector instanceof StructVector) pushStruct(vector, type, value as Record<string, unknown>)
  else if (vector instanceof ListVector) pushList(vector, type, value as object)
  else if (vector instanceof BytesVector && typeof value === 'string') vector.push(utf8Encode(value))
  else if (vector instanceof BitVector && typeof value === 'boolean') vector.push(value)
  else if (vector instanceof WordVector && (typeof value === 'number' || typeof value === 'bigint')) pushNumber(vector, BigInt(value))
  else assert(false, `a checkpoint's ${type.kind} of ${typeof value}`)
}

function pushStruct(vector: StructVector, type: ColumnType, value: Readonly<Record<string, unknown>>): void {
  assert(type.kind === 'struct' && Object.keys(value).every((name) => type.fields.some((field) => field.name === name)), `members ${Object.keys(value)}`)
  type.fields.forEach(({ name, type: fieldType }, i) => push(vector.children[i]!, fieldType, value[name]))
  vector.close()
}

/** A list of an array, or a map of an object. */
function pushList(vector: ListVector, type: ColumnType, value: object): void {
  if (type.kind === 'list') for (const element of value as readonly unknown[]) push(vector.child, type.element, element)
  else {
    const entries = vector.child as StructVector
    for (const [key, member] of Object.entries(value)) {
      push(entries.children[0]!, STRING, key)
      push(entries.children[1]!, STRING, member)
      entries.close()
    }
  }
  vector.close()
}

function pushNumber(vector: WordVector, value: bigint): void {
  if (vector.wordsPerValue === 1) vector.push1(Number(value))
  else vector.push2(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)))
}
