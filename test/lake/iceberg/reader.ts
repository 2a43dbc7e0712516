/**
 * A reader of Iceberg tables that shares no code with the writer: Avro by avsc, Parquet by hyparquet, deletion vectors as RoaringFormatSpec has them. It answers which
 * rows of which files a snapshot shows, and is strict where the specification is.
 */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { crc32 } from 'node:zlib'
import avro from 'avsc'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { decodeBitmap } from '../../support/roaring.ts'

type Bytes = ReadonlyMap<string, Uint8Array>
type Json = Record<string, never>

interface DataFile {
  content: number; file_path: string; file_format: string; record_count: number; file_size_in_bytes: number
  value_counts: Pair<number>[] | null; null_value_counts: Pair<number>[] | null; nan_value_counts: Pair<number>[] | null
  lower_bounds: Pair<Uint8Array>[] | null; upper_bounds: Pair<Uint8Array>[] | null
  referenced_data_file: string | null; first_row_id?: number | null; content_offset?: number | null; content_size_in_bytes?: number | null
}
interface Pair<T> { key: number; value: T }
interface Entry { status: number; snapshot_id: number; sequence_number: number | null; file_sequence_number: number | null; data_file: DataFile }
interface ManifestItem {
  manifest_path: string; manifest_length: number; content: number; sequence_number: number; min_sequence_number: number; added_snapshot_id: number
  added_files_count: number; existing_files_count: number; deleted_files_count: number
  added_rows_count: number; existing_rows_count: number; deleted_rows_count: number; first_row_id?: number | null
}
interface SnapshotJson { 'snapshot-id': number; 'sequence-number': number; 'manifest-list': string; summary: Record<string, string>; 'schema-id': number; 'first-row-id'?: number; 'added-rows'?: number }
export interface MetadataJson {
  'format-version': number; 'table-uuid': string; location: string; 'last-sequence-number': number; 'last-updated-ms': number; 'current-snapshot-id': number
  'current-schema-id': number; 'last-column-id': number; schemas: { 'schema-id': number; fields: { id: number; name: string; type: unknown }[] }[]; snapshots: SnapshotJson[]
  'snapshot-log': { 'snapshot-id': number; 'timestamp-ms': number }[]; refs: Json; properties: Record<string, string>; 'next-row-id'?: number
}

/** Rows of a snapshot by the URI of their file: position, and row id in version 3. */
export interface SnapshotRows {
  files: Map<string, { rows: number; visible: number[]; firstRow: number | undefined; entry: Entry }>
  manifests: ManifestItem[]
  /** Objects that were read, by URI. */
  used: Set<string>
}

const types = new Map<string, avro.Type>()

/** Compiled once for each schema. */
function typeOf(schema: avro.Schema): avro.Type {
  const text = JSON.stringify(schema)
  const type = types.get(text) ?? avro.Type.forSchema(schema, { wrapUnions: false })
  types.set(text, type)
  return type
}

async function readAvro<T>(bytes: Uint8Array): Promise<{ records: T[]; metadata: Record<string, string> }> {
  const records: T[] = []
  const metadata: Record<string, string> = {}
  const decoder = new avro.streams.BlockDecoder({ parseHook: typeOf })
  decoder.on('metadata', (_type: unknown, _codec: unknown, header: { meta: Record<string, Buffer> }) => {
    for (const [key, value] of Object.entries(header.meta)) metadata[key] = value.toString()
  })
  decoder.on('data', (record: T) => void records.push(record))
  await new Promise((resolve, reject) => decoder.on('end', resolve).on('error', reject).end(Buffer.from(bytes)))
  return { records, metadata }
}

/** @param objects all objects by URI @param id of the snapshot; the current one if absent */
export async function readSnapshot(objects: Bytes, metadata: MetadataJson, id: number = metadata['current-snapshot-id']): Promise<SnapshotRows> {
  const used = new Set<string>()
  const get = (uri: string): Uint8Array => {
    used.add(uri)
    const bytes = objects.get(uri)
    if (bytes === undefined) throw new Error(`${uri} is not there`)
    return bytes
  }
  const snapshot = metadata.snapshots.find((each) => each['snapshot-id'] === id)!
  const { records: manifests } = await readAvro<ManifestItem>(get(snapshot['manifest-list']))
  const live: Awaited<ReturnType<typeof liveEntries>> = []
  for (const manifest of manifests) live.push(...await liveEntries(manifest, get(manifest.manifest_path), metadata['format-version']))
  const files: SnapshotRows['files'] = new Map()
  for (const { entry, firstRow } of live.filter(({ entry: { data_file: file } }) => file.content === 0)) {
    const { file_path: path, record_count: rows } = entry.data_file
    assert(!files.has(path), `two entries of ${path}`)
    used.add(path)
    files.set(path, { rows, visible: Array.from({ length: rows }, (_, i) => i), firstRow, entry })
  }
  const hidden = new Set<string>()
  for (const { entry } of live.filter(({ entry: { data_file: file } }) => file.content === 1)) {
    const path = entry.data_file.referenced_data_file!
    const file = files.get(path)
    assert(file !== undefined, `a delete file of ${path}, which is not there`)
    assert(!hidden.has(path), `two delete files of ${path}`)
    hidden.add(path)
    // A delete file applies to data files that are not newer.
    if (entry.sequence_number! < file.entry.sequence_number!) continue
    const rows = new Set(await hiddenRows(get(entry.data_file.file_path), entry.data_file))
    file.visible = file.visible.filter((row) => !rows.has(row))
  }
  return { files, manifests, used }
}

/** Entries that are not DELETED, with what they inherit. */
async function liveEntries(manifest: ManifestItem, bytes: Uint8Array, version: number): Promise<{ entry: Entry; firstRow: number | undefined }[]> {
  assert.equal(manifest.manifest_length, bytes.length)
  const { records, metadata } = await readAvro<Entry>(bytes)
  assert.deepEqual([metadata['content'], metadata['partition-spec'], metadata['partition-spec-id']], [manifest.content === 0 ? 'data' : 'deletes', '[]', '0'])
  const count = (status: number): number[] => {
    const found = records.filter((entry) => entry.status === status)
    return [found.length, found.reduce((sum, entry) => sum + entry.data_file.record_count, 0)]
  }
  assert.deepEqual(count(0), [manifest.existing_files_count, manifest.existing_rows_count])
  assert.deepEqual(count(1), [manifest.added_files_count, manifest.added_rows_count])
  assert.deepEqual(count(2), [manifest.deleted_files_count, manifest.deleted_rows_count])
  let next = manifest.first_row_id ?? undefined
  const live = records.flatMap((entry) => {
    const { status, data_file: file } = entry
    if (status === 1) assert.deepEqual([entry.sequence_number, entry.snapshot_id], [null, manifest.added_snapshot_id])
    else assert(entry.sequence_number! > 0)
    if (status === 2) return []
    let firstRow = file.first_row_id ?? undefined
    if (version === 3 && file.content === 0 && firstRow === undefined) {
      firstRow = next!
      next! += file.record_count
    }
    const sequence = entry.sequence_number ?? manifest.sequence_number
    return [{ entry: { ...entry, sequence_number: sequence, file_sequence_number: entry.file_sequence_number ?? sequence }, firstRow }]
  })
  if (live.length > 0) assert.equal(Math.min(...live.map(({ entry }) => entry.sequence_number)), manifest.min_sequence_number)
  return live
}

async function hiddenRows(bytes: Uint8Array, file: DataFile): Promise<number[]> {
  assert.equal(file.file_size_in_bytes, bytes.length)
  const rows = file.file_format === 'PUFFIN' ? readVector(bytes, file) : await readPositions(bytes, file)
  assert.equal(rows.length, file.record_count)
  return rows
}

async function readPositions(bytes: Uint8Array, { referenced_data_file: of, lower_bounds: lower, upper_bounds: upper }: DataFile): Promise<number[]> {
  for (const bound of [lower, upper]) assert.deepEqual(bound!.map(({ key, value }) => [key, Buffer.from(value).toString()]), [[2147483546, of]])
  const file = bytes.slice().buffer as ArrayBuffer
  const { schema, row_groups: groups } = parquetMetadata(file)
  assert.deepEqual(schema.slice(1).map(({ name, field_id: id, repetition_type: repetition }) => [name, id, repetition]), [
    ['file_path', 2147483546, 'REQUIRED'], ['pos', 2147483545, 'REQUIRED']])
  const { min_value: min, max_value: max } = groups[0]!.columns[0]!.meta_data!.statistics!
  assert.deepEqual([min, max], [of, of])
  const found = await parquetReadObjects({ file }) as { file_path: string; pos: bigint }[]
  assert.deepEqual(new Set(found.map((row) => row.file_path)), new Set([of]))
  const rows = found.map(({ pos }) => Number(pos))
  assert.deepEqual(rows, [...rows].sort((a, b) => a - b))
  return rows
}

function readVector(bytes: Uint8Array, { content_offset: offset, content_size_in_bytes: size, referenced_data_file: of, record_count: rows }: DataFile): number[] {
  const buffer = Buffer.from(bytes)
  assert.deepEqual([buffer.toString('latin1', 0, 4), buffer.toString('latin1', buffer.length - 4)], ['PFA1', 'PFA1'])
  const length = buffer.readInt32LE(buffer.length - 12)
  assert.equal(buffer.readInt32LE(buffer.length - 8), 0)
  const footer = JSON.parse(buffer.toString('utf8', buffer.length - 12 - length, buffer.length - 12)) as { blobs: unknown[] }
  const wanted = {
    type: 'deletion-vector-v1', fields: [2147483645], 'snapshot-id': -1, 'sequence-number': -1, offset, length: size,
    properties: { 'referenced-data-file': of, cardinality: String(rows) },
  }
  assert(footer.blobs.some((blob) => isDeepStrictEqual(blob, wanted)), 'the footer has no such blob')
  const blob = buffer.subarray(offset!, offset! + size!)
  assert.equal(blob.readInt32BE(0), blob.length - 8)
  assert.equal(blob.readUInt32BE(blob.length - 4), crc32(blob.subarray(4, -4)))
  return [...decodeBitmap(blob.subarray(4, -4))]
}
