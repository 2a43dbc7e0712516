import type { ColumnBounds } from '../../columnar/columnbounds.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import { type AvroField, type AvroRecord, type AvroSchema, type AvroValue, encodeAvroFile } from './avro.ts'
import { FILE_PATH } from './positiondeletes.ts'
import type { NestedField } from './schema.ts'

/*
 * A manifest (Iceberg spec, "Manifests"): an Avro file with one record per data file, or per delete file. The names and ids of its fields, and the order
 * of those, are what Iceberg's Java library writes.
 */

export type FormatVersion = 2 | 3

/** The values of manifest_entry.status. */
export const EXISTING = 0
export const ADDED = 1
export const DELETED = 2

export interface ManifestEntry {
  readonly status: typeof EXISTING | typeof ADDED | typeof DELETED
  /** The snapshot that added the file, or that deleted it. */
  readonly snapshot: number
  /** The sequence number of the snapshot that added the file. A reader of an entry that is ADDED takes the one of the manifest. */
  readonly sequence: number
  /** A `data_file`. */
  readonly file: AvroValue
}

/** `schema` and `schema-id` of a manifest: the table's when it is written. */
export interface TableSchema {
  readonly id: number
  readonly fields: readonly NestedField[]
}

const DATA = 0
const POSITION_DELETES = 1

/** A data file as its entry tells of it. */
export interface EntryFile {
  /** URI. */
  readonly path: string
  readonly bytes: number
  readonly rows: number
  /** Row id of its first row (version 3), unless the manifest's gives it. */
  readonly firstRow?: number
}

/** A delete file of one data file. */
export interface EntryDeletes extends EntryFile {
  /** URI of the data file. */
  readonly of: string
  /** Place of a deletion vector in the Puffin file. */
  readonly blob?: { readonly offset: number; readonly length: number }
}

/** @param columns bounds of the columns that `types` has are told; undefined for an entry that is DELETED, which needs none */
export function dataFile({ path, bytes, rows, firstRow }: EntryFile, columns?: readonly ColumnBounds[], types?: ReadonlyMap<number, ColumnType>): AvroValue {
  return {
    content: DATA, file_path: path, file_format: 'PARQUET', partition: {}, record_count: rows, file_size_in_bytes: bytes, first_row_id: firstRow,
    ...(columns && types && metrics(rows, columns, types)),
  }
}

/**
 * Counts and bounds by field id. `nan_value_counts` are those of the rows that a reader may see, the other counts those of all rows: no reader may
 * conclude from them that a row is there, only that no row is.
 */
function metrics(rows: number, columns: readonly ColumnBounds[], types: ReadonlyMap<number, ColumnType>): Record<string, AvroValue> {
  const known = columns.filter(({ id }) => types.has(id))
  const bounded = known.filter(({ id }) => isOrderedAlike(types.get(id)!))
  const floats = known.filter(({ id }) => ['float', 'double'].includes(types.get(id)!.kind))
  return {
    value_counts: pairs(known, () => rows),
    null_value_counts: pairs(known, ({ nulls }) => nulls),
    nan_value_counts: pairs(floats, ({ nans = 0 }) => nans),
    lower_bounds: pairs(bounded, ({ lower }) => lower),
    upper_bounds: pairs(bounded, ({ upper }) => upper),
  }
}

/** Whether all readers order the values of a type as the bounds do. Java orders UUIDs by signed halves. */
function isOrderedAlike({ kind }: ColumnType): boolean {
  return kind !== 'uuid'
}

/** An Avro map with int keys, as Iceberg has it; null without entries. */
function pairs(columns: readonly ColumnBounds[], valueOf: (column: ColumnBounds) => AvroValue): AvroValue {
  const found = columns.map((column) => ({ key: column.id, value: valueOf(column) })).filter(({ value }) => value !== undefined)
  return found.length === 0 ? null : found
}

/** The entry of a position delete file, or of a deletion vector. Readers take it as one of a single data file by equal, whole bounds of `file_path`. */
export function deleteFile({ path, bytes, rows, of, blob }: EntryDeletes): AvroValue {
  const bounds = [{ key: FILE_PATH.id, value: utf8Encode(of) }]
  return {
    content: POSITION_DELETES, file_path: path, file_format: blob ? 'PUFFIN' : 'PARQUET', partition: {}, record_count: rows, file_size_in_bytes: bytes,
    ...(blob ? { content_offset: blob.offset, content_size_in_bytes: blob.length } : { lower_bounds: bounds, upper_bounds: bounds }),
    referenced_data_file: of,
  }
}

/** @param content of all entries */
export function encodeManifest(
  content: 'data' | 'deletes', entries: readonly ManifestEntry[], { id, fields }: TableSchema, version: FormatVersion,
): Uint8Array {
  const metadata = {
    schema: JSON.stringify({ type: 'struct', 'schema-id': id, fields }), 'schema-id': String(id), 'partition-spec': '[]', 'partition-spec-id': '0',
    'format-version': String(version), content,
  }
  const records = entries.map(({ status, snapshot, sequence, file }): AvroValue => {
    const known = status === ADDED ? undefined : sequence
    return { status, snapshot_id: snapshot, sequence_number: known, file_sequence_number: known, data_file: file }
  })
  return encodeAvroFile(version === 2 ? MANIFEST_ENTRY_V2 : MANIFEST_ENTRY_V3, metadata, records)
}

export function required(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type, 'field-id': id }
}

export function optional(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type: ['null', type], default: null, 'field-id': id }
}

function intMap(keyId: number, valueId: number, value: AvroSchema): AvroSchema {
  const items: AvroRecord = { type: 'record', name: `k${keyId}_v${valueId}`, fields: [required(keyId, 'key', 'int'), required(valueId, 'value', value)] }
  return { type: 'array', items, logicalType: 'map' }
}

const DATA_FILE_FIELDS: readonly AvroField[] = [
  required(134, 'content', 'int'),
  required(100, 'file_path', 'string'),
  required(101, 'file_format', 'string'),
  required(102, 'partition', { type: 'record', name: 'r102', fields: [] }),
  required(103, 'record_count', 'long'),
  required(104, 'file_size_in_bytes', 'long'),
  optional(108, 'column_sizes', intMap(117, 118, 'long')),
  optional(109, 'value_counts', intMap(119, 120, 'long')),
  optional(110, 'null_value_counts', intMap(121, 122, 'long')),
  optional(137, 'nan_value_counts', intMap(138, 139, 'long')),
  optional(125, 'lower_bounds', intMap(126, 127, 'bytes')),
  optional(128, 'upper_bounds', intMap(129, 130, 'bytes')),
  optional(131, 'key_metadata', 'bytes'),
  optional(132, 'split_offsets', { type: 'array', items: 'long', 'element-id': 133 }),
  optional(135, 'equality_ids', { type: 'array', items: 'int', 'element-id': 136 }),
  optional(140, 'sort_order_id', 'int'),
]
const REFERENCED_DATA_FILE = optional(143, 'referenced_data_file', 'string')

const MANIFEST_ENTRY_V2 = manifestEntry([...DATA_FILE_FIELDS, REFERENCED_DATA_FILE])
const MANIFEST_ENTRY_V3 = manifestEntry([
  ...DATA_FILE_FIELDS, optional(142, 'first_row_id', 'long'), REFERENCED_DATA_FILE, optional(144, 'content_offset', 'long'),
  optional(145, 'content_size_in_bytes', 'long'),
])

function manifestEntry(dataFileFields: readonly AvroField[]): AvroRecord {
  return {
    type: 'record', name: 'manifest_entry', fields: [
      required(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      required(2, 'data_file', { type: 'record', name: 'r2', fields: dataFileFields }),
    ],
  }
}
