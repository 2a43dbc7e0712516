import * as v from 'valibot'
import { faulty, integer, type Persisted, validate } from '../../common/validate.ts'
import { decodeAvroFile } from './avroreader.ts'
import { DELETED } from './manifest.ts'

/** Counts and bounds of a file's columns, by field id; bounds as appendix D of the specification serializes them. */
export interface ColumnMetrics {
  readonly values: ReadonlyMap<number, number>
  readonly nulls: ReadonlyMap<number, number>
  readonly nans: ReadonlyMap<number, number>
  readonly lower: ReadonlyMap<number, Uint8Array>
  readonly upper: ReadonlyMap<number, Uint8Array>
}

/** A data file or a delete file of a snapshot, as its manifest tells of it. */
export interface ManifestedFile {
  readonly content: 'data' | 'deletes'
  /** URI. */
  readonly path: string
  /** `parquet`, `puffin`. */
  readonly format: string
  readonly bytes: number
  readonly rows: number
  /** Id of the snapshot that added it. */
  readonly snapshot: number
  readonly metrics: ColumnMetrics
  readonly firstRow?: number
  /** URI of the data file whose rows a delete file hides. */
  readonly of?: string
  readonly blob?: { readonly offset: number; readonly length: number }
}

const COUNT = integer(0, Number.MAX_SAFE_INTEGER)
const BYTES = v.instance(Uint8Array, 'bytes')
function pairs<T>(value: v.GenericSchema<unknown, T>): v.GenericSchema<unknown, Map<number, T>> {
  return v.pipe(v.optional(v.array(v.object({ key: COUNT, value })), []), v.transform((found) => new Map(found.map(({ key, value: of }) => [key, of]))))
}

const FILE = v.object({
  content: v.picklist([0, 1], 'data or position deletes'), file_path: v.string('a URI'), file_format: v.string('a format'), record_count: COUNT,
  file_size_in_bytes: COUNT,
  value_counts: pairs(COUNT), null_value_counts: pairs(COUNT), nan_value_counts: pairs(COUNT), lower_bounds: pairs(BYTES), upper_bounds: pairs(BYTES),
  first_row_id: v.optional(COUNT), referenced_data_file: v.optional(v.string()), content_offset: v.optional(COUNT), content_size_in_bytes: v.optional(COUNT),
})
const ENTRY = v.object({ status: integer(0, 2), snapshot_id: v.optional(COUNT), data_file: FILE })
const LISTED = v.object({ manifest_path: v.string('a URI'), added_snapshot_id: COUNT, first_row_id: v.optional(COUNT) })

/** A manifest as its list names it. */
export interface ListedManifest {
  /** URI. */
  readonly path: string
  readonly snapshot: number
  /** Row id of the first data file that has none of its own. */
  readonly firstRow?: number
}

/** @throws CorruptionError, UnsupportedError of `persisted.code` */
export function decodeManifestList(bytes: Uint8Array, persisted: Persisted): ListedManifest[] {
  return [...decodeAvroFile(bytes, persisted)].map((found, i) => {
    const { manifest_path: path, added_snapshot_id: snapshot, first_row_id: firstRow } = validate(LISTED, found, persisted, `manifests[${i}]`)
    return { path, snapshot, ...(firstRow !== undefined && { firstRow }) }
  })
}

/** The files of a manifest that are live; those that the snapshot deleted are not among them. @throws CorruptionError, UnsupportedError of `persisted.code` */
export function decodeManifest(bytes: Uint8Array, { snapshot, firstRow }: ListedManifest, persisted: Persisted): ManifestedFile[] {
  const files: ManifestedFile[] = []
  let next = firstRow
  let at = 0
  for (const found of decodeAvroFile(bytes, persisted)) {
    const place = `entries[${at++}]`
    const { status, snapshot_id: added = snapshot, data_file: file } = validate(ENTRY, found, persisted, place)
    if (status === DELETED) continue
    const { content, record_count: rows, content_offset: offset, content_size_in_bytes: length, referenced_data_file: of } = file
    if (content === 1 && of === undefined) throw faulty(persisted, `${place}.referenced_data_file`, 'is missing: whose rows it hides is not known')
    // An id that a file has not is given in the order of the manifest (spec, "First Row ID Inheritance").
    const first = file.first_row_id ?? (content === 0 ? next : undefined)
    if (file.first_row_id === undefined && next !== undefined) next += rows
    files.push({
      content: content === 0 ? 'data' : 'deletes', path: file.file_path, format: file.file_format.toLowerCase(), bytes: file.file_size_in_bytes, rows,
      snapshot: added,
      metrics: {
        values: file.value_counts, nulls: file.null_value_counts, nans: file.nan_value_counts, lower: file.lower_bounds, upper: file.upper_bounds,
      },
      ...(first !== undefined && { firstRow: first }), ...(of !== undefined && { of }),
      ...(offset !== undefined && length !== undefined && { blob: { offset, length } }),
    })
  }
  return files
}
