import { type AvroField, type AvroRecord, encodeAvroFile } from './avro.ts'
import { type FormatVersion, optional, required } from './manifest.ts'

/** How many entries of a manifest have a status, and the rows of their files together. */
export interface EntryCount {
  readonly files: number
  readonly rows: number
}

/** A manifest as a manifest list tells of it. */
export interface ManifestFile {
  /** Key of the object in the lake. */
  readonly key: string
  readonly bytes: number
  readonly content: 'data' | 'deletes'
  /** Those of the snapshot that it was written for. */
  readonly sequence: number
  readonly snapshot: number
  /** The smallest sequence number of the files that it adds or has. */
  readonly minSequence: number
  readonly added: EntryCount
  readonly existing: EntryCount
  readonly deleted: EntryCount
  /** Version 3, manifests of data files: row id that the first file without one gets. */
  readonly firstRow?: number
}

export interface ListedSnapshot {
  readonly id: number
  readonly parent?: number
  readonly sequence: number
  /** Version 3: the table's next row id before it. */
  readonly firstRow?: number
}

const PARTITION_FIELD: AvroRecord = {
  type: 'record', name: 'r508', fields: [
    required(509, 'contains_null', 'boolean'), optional(518, 'contains_nan', 'boolean'), optional(510, 'lower_bound', 'bytes'),
    optional(511, 'upper_bound', 'bytes'),
  ],
}

const FIELDS: readonly AvroField[] = [
  required(500, 'manifest_path', 'string'),
  required(501, 'manifest_length', 'long'),
  required(502, 'partition_spec_id', 'int'),
  required(517, 'content', 'int'),
  required(515, 'sequence_number', 'long'),
  required(516, 'min_sequence_number', 'long'),
  required(503, 'added_snapshot_id', 'long'),
  required(504, 'added_files_count', 'int'),
  required(505, 'existing_files_count', 'int'),
  required(506, 'deleted_files_count', 'int'),
  required(512, 'added_rows_count', 'long'),
  required(513, 'existing_rows_count', 'long'),
  required(514, 'deleted_rows_count', 'long'),
  optional(507, 'partitions', { type: 'array', items: PARTITION_FIELD, 'element-id': 508 }),
  optional(519, 'key_metadata', 'bytes'),
]

const SCHEMA_V2: AvroRecord = { type: 'record', name: 'manifest_file', fields: FIELDS }
const SCHEMA_V3: AvroRecord = { type: 'record', name: 'manifest_file', fields: [...FIELDS, optional(520, 'first_row_id', 'long')] }

/** A manifest list (Iceberg spec, "Manifest Lists"): which manifests a snapshot has. @param root URI of the lake */
export function encodeManifestList(root: string, manifests: readonly ManifestFile[], snapshot: ListedSnapshot, version: FormatVersion): Uint8Array {
  const metadata = {
    'snapshot-id': String(snapshot.id), 'parent-snapshot-id': String(snapshot.parent ?? null), 'sequence-number': String(snapshot.sequence),
    'format-version': String(version), ...(snapshot.firstRow !== undefined && { 'first-row-id': String(snapshot.firstRow) }),
  }
  return encodeAvroFile(version === 2 ? SCHEMA_V2 : SCHEMA_V3, metadata, manifests.map((manifest) => ({
    manifest_path: `${root}/${manifest.key}`, manifest_length: manifest.bytes, partition_spec_id: 0, content: manifest.content === 'data' ? 0 : 1,
    sequence_number: manifest.sequence, min_sequence_number: manifest.minSequence, added_snapshot_id: manifest.snapshot,
    added_files_count: manifest.added.files, existing_files_count: manifest.existing.files, deleted_files_count: manifest.deleted.files,
    added_rows_count: manifest.added.rows, existing_rows_count: manifest.existing.rows, deleted_rows_count: manifest.deleted.rows,
    first_row_id: manifest.firstRow,
  })))
}
