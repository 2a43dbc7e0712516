import * as v from 'valibot'
import {
  count, faulty, integer, lsnText, matching, moment, oneOf, type Persisted, type Schema, text, unsigned32, validate,
} from '../../common/validate.ts'
import { objectKey } from '../state/page.ts'
import { HIDDEN_TEXT, rowsInText } from './hiddenset.ts'
import type { FormatVersion, TableSchema } from './manifest.ts'
import type { EntryCount, ManifestFile } from './manifestlist.ts'
import type { IcebergType, ListType, MapType, NestedField, StructType } from './schema.ts'

export type Operation = 'append' | 'overwrite' | 'delete' | 'replace'

export interface IcebergSnapshot {
  /** Below 2^53: a JSON number has it exactly in any reader. */
  readonly id: number
  readonly parent?: number
  readonly sequence: number
  /** Version of the metadata file that has it first. */
  readonly version: number
  /** When it was published, in milliseconds since 1970. */
  readonly ms: number
  /** Key of the manifest list. */
  readonly list: string
  /** Id of the table's schema. */
  readonly schema: number
  readonly timeline: number
  readonly lsn: string
  readonly operation: Operation
  /** Members of its summary beside the operation. */
  readonly summary: Readonly<Record<string, string>>
  /** Version 3: the table's next row id before it, and how many it took. */
  readonly firstRow?: number
  readonly addedRows?: number
}

/** A data file of the current snapshot. */
export interface DataFileRecord {
  /** Key of the object in the lake. */
  readonly key: string
  readonly bytes: number
  readonly rows: number
  /** Sequence number of the snapshot that added it. */
  readonly sequence: number
  readonly snapshot: number
  /** Which of the record's manifests has its entry. */
  readonly manifest: number
  /** Version 3: row id of its first row. */
  readonly firstRow?: number
  /** Absent for a file without hidden rows. */
  readonly deletes?: DeleteFileRecord
}

/** What hides rows of a data file: a position delete file (version 2), or a blob of a Puffin file (version 3). */
export interface DeleteFileRecord {
  readonly key: string
  readonly bytes: number
  /** How many it hides. */
  readonly rows: number
  /** Which ones: see hiddenset.ts. */
  readonly hidden: string
  readonly sequence: number
  readonly snapshot: number
  readonly manifest: number
  readonly blob?: { readonly offset: number; readonly length: number }
}

/** Objects that the snapshot `sequence` was the last one to have. */
export interface LeftObjects {
  readonly sequence: number
  readonly keys: readonly string[]
}

/** What a lake remembers of a table's Iceberg metadata. JSON. Equal records give equal metadata files. */
export interface IcebergRecord {
  /** URI of the lake that the metadata names its objects by. */
  readonly root: string
  /** Key of the table's folder. */
  readonly folder: string
  readonly uuid: string
  readonly formatVersion: FormatVersion
  /** N of metadata/vN.metadata.json. */
  readonly version: number
  /** When that is written, in milliseconds since 1970. */
  readonly updatedMs: number
  readonly lastSequence: number
  readonly lastColumnId: number
  readonly lastSchemaId: number
  readonly currentSchema: number
  /** The current one and those of the snapshots. */
  readonly schemas: readonly TableSchema[]
  readonly properties: Readonly<Record<string, string>>
  /** Oldest first; the last one is the current one. */
  readonly snapshots: readonly IcebergSnapshot[]
  /** Version 3. */
  readonly nextRowId?: number
  /** Manifests of the current snapshot, whose are all members that follow. */
  readonly manifests: readonly ManifestFile[]
  readonly files: readonly DataFileRecord[]
  /** Objects of older snapshots that the current one does not have. */
  readonly left: readonly LeftObjects[]
}

export function currentSnapshot({ snapshots }: IcebergRecord): IcebergSnapshot {
  return snapshots.at(-1)!
}

export function currentSchema({ schemas, currentSchema: current }: Pick<IcebergRecord, 'schemas' | 'currentSchema'>): TableSchema {
  return schemas.find(({ id }) => id === current)!
}

export function metadataKey({ folder }: Pick<IcebergRecord, 'folder'>, version: number): string {
  return `${folder}/metadata/v${version}.metadata.json`
}

/** Keys of all objects that a reader of one of the record's snapshots needs, data files and metadata files too; a key is there once. */
export function icebergObjects(record: IcebergRecord): Set<string> {
  const keys = new Set(currentObjects(record))
  for (const left of record.left) for (const key of left.keys) keys.add(key)
  for (const { list, version } of record.snapshots) keys.add(list).add(metadataKey(record, version))
  return keys.add(metadataKey(record, record.version))
}

/** Keys of what the current snapshot has, without its manifest list. */
export function* currentObjects({ manifests, files }: Pick<IcebergRecord, 'manifests' | 'files'>): Generator<string> {
  for (const { key } of manifests) yield key
  for (const { key, deletes } of files) {
    yield key
    if (deletes) yield deletes.key
  }
}

const positive = integer(1, Number.MAX_SAFE_INTEGER)
const fieldId = integer(1, 0x7fffffff)
const index = integer(0, 0x7fffffff)
const key = objectKey
/** No file has so many rows, and no table has had as many as there are numbers. */
const rows = integer(1, 2 ** 40)
const rowId = integer(0, 2 ** 52)
const primitive = matching(
  /^(?:boolean|int|long|float|double|date|time|timestamp|timestamptz|string|binary|uuid|decimal\(\d{1,2}, \d{1,2}\))$/, 'a type of Iceberg')
const TYPE: v.GenericSchema<unknown, IcebergType> = v.lazy((found) => {
  if (typeof found !== 'object') return primitive
  const kind = (found as { type?: unknown } | null)?.type
  return kind === 'list' ? LIST : kind === 'map' ? MAP : STRUCT
})
const NESTED_FIELD: v.GenericSchema<unknown, NestedField> = v.strictObject({ id: fieldId, name: text, required: v.boolean('true or false'), type: TYPE })
const STRUCT: v.GenericSchema<unknown, StructType> = v.strictObject({ type: v.literal('struct', 'struct, list or map'), fields: v.array(NESTED_FIELD) })
const LIST: v.GenericSchema<unknown, ListType> = v.strictObject({
  type: v.literal('list'), 'element-id': fieldId, element: TYPE, 'element-required': v.boolean('true or false'),
})
const MAP: v.GenericSchema<unknown, MapType> = v.strictObject({
  type: v.literal('map'), 'key-id': fieldId, key: TYPE, 'value-id': fieldId, value: TYPE, 'value-required': v.boolean('true or false'),
})
const TABLE_SCHEMA: Schema<TableSchema> = v.strictObject({ id: index, fields: v.array(NESTED_FIELD) })
const ENTRY_COUNT: Schema<EntryCount> = v.strictObject({ files: count, rows: count })
const MANIFEST_FILE: Schema<ManifestFile> = v.strictObject({
  key, bytes: positive, content: oneOf(['data', 'deletes']), sequence: positive, snapshot: positive, minSequence: positive, added: ENTRY_COUNT,
  existing: ENTRY_COUNT, deleted: ENTRY_COUNT, firstRow: v.exactOptional(rowId),
})
const SNAPSHOT: Schema<IcebergSnapshot> = v.strictObject({
  id: positive, parent: v.exactOptional(positive), sequence: positive, version: positive, ms: moment, list: key, schema: index, timeline: unsigned32,
  lsn: lsnText,
  operation: oneOf(['append', 'overwrite', 'delete', 'replace']), summary: v.record(v.string(), text), firstRow: v.exactOptional(rowId),
  addedRows: v.exactOptional(rowId),
})
const DELETE_FILE: Schema<DeleteFileRecord> = v.strictObject({
  key, bytes: positive, rows, hidden: HIDDEN_TEXT, sequence: positive, snapshot: positive, manifest: index,
  blob: v.exactOptional(v.strictObject({ offset: count, length: positive })),
})
const DATA_FILE: Schema<DataFileRecord> = v.strictObject({
  key, bytes: positive, rows, sequence: positive, snapshot: positive, manifest: index, firstRow: v.exactOptional(rowId),
  deletes: v.exactOptional(DELETE_FILE),
})
const LEFT: Schema<LeftObjects> = v.strictObject({ sequence: positive, keys: v.array(key) })
const UUID = matching(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'a UUID')
const RECORD: Schema<IcebergRecord> = v.strictObject({
  root: text, folder: key, uuid: UUID, formatVersion: oneOf([2, 3]), version: positive, updatedMs: moment, lastSequence: positive,
  lastColumnId: integer(0, 0x7fffffff),
  lastSchemaId: index, currentSchema: index, schemas: v.array(TABLE_SCHEMA), properties: v.record(v.string(), text), snapshots: v.array(SNAPSHOT),
  nextRowId: v.exactOptional(rowId), manifests: v.array(MANIFEST_FILE), files: v.array(DATA_FILE), left: v.array(LEFT),
})

/**
 * Checks what was read as a record.
 * @param at path of the record in the structure that it was found in
 * @throws CorruptionError of `persisted.code` with the path of the member
 */
export function parseIcebergRecord(found: unknown, persisted: Persisted, at = ''): IcebergRecord {
  const record = validate(RECORD, found, persisted, at)
  const fault = faultOf(record)
  if (fault) throw faulty(persisted, at === '' ? fault.path : `${at}.${fault.path}`, fault.problem)
  return record
}

interface Fault {
  readonly path: string
  readonly problem: string
}

/** What contradicts another member. */
function faultOf(record: IcebergRecord): Fault | undefined {
  const schemas = new Set(record.schemas.map(({ id }) => id))
  const { version, lastSequence, lastSchemaId, formatVersion, nextRowId, properties } = record
  if (lastSequence > version) return { path: 'lastSequence', problem: `is ${lastSequence}, above the version` }
  if (lastSchemaId > version) return { path: 'lastSchemaId', problem: `is ${lastSchemaId}, above the version` }
  if ((formatVersion === 3) !== (nextRowId !== undefined)) return { path: 'nextRowId', problem: `contradicts version ${formatVersion}: those of 3 have it` }
  if (properties['gc.enabled'] !== 'false') return { path: 'properties', problem: 'has not gc.enabled=false' }
  if (schemas.size < record.schemas.length) return { path: 'schemas', problem: 'has an id twice' }
  const above = record.schemas.findIndex(({ id }) => id > lastSchemaId)
  if (above >= 0) return { path: `schemas[${above}].id`, problem: `is above ${lastSchemaId}, the last one` }
  if (!schemas.has(record.currentSchema)) return { path: 'currentSchema', problem: `is ${record.currentSchema}, which schemas does not have` }
  if (record.snapshots.length === 0) return { path: 'snapshots', problem: 'is empty' }
  for (const [i, { id, sequence, ms, schema, version: made, summary }] of record.snapshots.entries()) {
    const before = record.snapshots[i - 1]
    const isBehind = before === undefined || (sequence > before.sequence && ms > before.ms && made > before.version)
    if ('operation' in summary) return { path: `snapshots[${i}].summary`, problem: 'has an operation' }
    if (!isBehind || sequence > lastSequence || made > version) return { path: `snapshots[${i}]`, problem: 'is out of order' }
    if (record.snapshots.findIndex((other) => other.id === id) < i) return { path: `snapshots[${i}].id`, problem: `is ${id}, as that of another snapshot` }
    if (!schemas.has(schema)) return { path: `snapshots[${i}].schema`, problem: `is ${schema}, which schemas does not have` }
  }
  return fileFault(record)
}

function fileFault({ files, manifests, lastSequence }: IcebergRecord): Fault | undefined {
  const keys = new Set<string>()
  for (const [i, { key: path, rows: all, manifest, sequence, deletes }] of files.entries()) {
    if (keys.has(path)) return { path: `files[${i}].key`, problem: `is ${path}, as that of another file` }
    keys.add(path)
    if (manifests[manifest]?.content !== 'data') return { path: `files[${i}].manifest`, problem: `is ${manifest}, which is no manifest of data files` }
    if (sequence > lastSequence) return { path: `files[${i}].sequence`, problem: `is ${sequence}, but the last one is ${lastSequence}` }
    if (!deletes) continue
    if (manifests[deletes.manifest]?.content !== 'deletes') {
      return { path: `files[${i}].deletes.manifest`, problem: `is ${deletes.manifest}, which is no manifest of delete files` }
    }
    if (deletes.rows >= all) return { path: `files[${i}].deletes.rows`, problem: `is ${deletes.rows}, but the file has ${all} rows` }
    if ((rowsInText(deletes.hidden) ?? deletes.rows) !== deletes.rows) return { path: `files[${i}].deletes.hidden`, problem: `has not ${deletes.rows} rows` }
    // A reader passes over delete files that are older than the data file.
    if (deletes.sequence < sequence || deletes.sequence > lastSequence) return { path: `files[${i}].deletes.sequence`, problem: `is ${deletes.sequence}` }
  }
  return undefined
}
