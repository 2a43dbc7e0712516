import { utf8Encode } from '../../common/utf8.ts'
import type { StagedObject } from '../state/stage.ts'
import { currentSnapshot, type IcebergRecord, metadataKey, type IcebergSnapshot } from './record.ts'

/** Partition ids begin at 1000 (spec, "Partition Specs"): the last one of a table without partitions. */
const LAST_PARTITION_ID = 999

/** The metadata file of a record, `metadata/vN.metadata.json`: what makes its snapshot the table's current one. To be put only if it is not there yet. */
export function icebergCommit(record: IcebergRecord): StagedObject {
  return { key: metadataKey(record, record.version), bytes: utf8Encode(JSON.stringify(tableMetadata(record))) }
}

/** `metadata/version-hint.text`, by which readers without a catalog find the newest metadata file. To be put behind {@link icebergCommit}. */
export function versionHint(record: IcebergRecord): StagedObject {
  return { key: hintKey(record), bytes: utf8Encode(String(record.version)) }
}

/** Keys of the metadata files of all listed snapshots, and of the hint. */
export function* icebergNames(record: IcebergRecord): Generator<string> {
  for (let { version } = record.snapshots[0]!; version <= record.version; version++) yield metadataKey(record, version)
  yield hintKey(record)
}

function hintKey({ folder }: Pick<IcebergRecord, 'folder'>): string {
  return `${folder}/metadata/version-hint.text`
}

/** Table metadata (spec, appendix C). Every number in it is below 2^53. @param snapshots those that it lists, the current one among them */
export function tableMetadata(record: IcebergRecord, snapshots: readonly IcebergSnapshot[] = record.snapshots): object {
  const { id } = currentSnapshot(record)
  return {
    'format-version': record.formatVersion,
    'table-uuid': record.uuid,
    location: `${record.root}/${record.folder}`,
    'last-sequence-number': record.lastSequence,
    'last-updated-ms': record.updatedMs,
    'last-column-id': record.lastColumnId,
    'current-schema-id': record.currentSchema,
    schemas: record.schemas.map((schema) => ({ type: 'struct', 'schema-id': schema.id, fields: schema.fields })),
    'default-spec-id': 0,
    'partition-specs': [{ 'spec-id': 0, fields: [] }],
    'last-partition-id': LAST_PARTITION_ID,
    'default-sort-order-id': 0,
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    properties: record.properties,
    'current-snapshot-id': id,
    refs: { main: { 'snapshot-id': id, type: 'branch' } },
    snapshots: snapshots.map((snapshot) => snapshotJson(snapshot, record)),
    statistics: [],
    'partition-statistics': [],
    'snapshot-log': record.snapshots.map(({ ms, id: logged }) => ({ 'timestamp-ms': ms, 'snapshot-id': logged })),
    'metadata-log': [],
    ...(record.nextRowId !== undefined && { 'next-row-id': record.nextRowId }),
  }
}

function snapshotJson({ id, parent, sequence, ms, list, schema, operation, summary, firstRow, addedRows }: IcebergSnapshot, { root }: IcebergRecord): object {
  return {
    'sequence-number': sequence,
    'snapshot-id': id,
    ...(parent !== undefined && { 'parent-snapshot-id': parent }),
    'timestamp-ms': ms,
    summary: { operation, ...summary },
    'manifest-list': `${root}/${list}`,
    'schema-id': schema,
    ...(firstRow !== undefined && { 'first-row-id': firstRow, 'added-rows': addedRows }),
  }
}
