import * as v from 'valibot'
import { count, exactly, flag, integer, lsnText, matching, type Persisted, type Schema, text, unsigned32, validate } from '../../common/validate.ts'
import { objectKey } from '../state/page.ts'

/** DeletionVectorDescriptor of PROTOCOL.md: `i` has the bitmap itself in Z85, `u` the folder and the UUID of a file with several of them. */
export type DeletionVector = {
  readonly storageType: 'i'
  readonly pathOrInlineDv: string
  readonly sizeInBytes: number
  /** Number of hidden rows. */
  readonly cardinality: number
} | {
  readonly storageType: 'u'
  readonly pathOrInlineDv: string
  readonly offset: number
  readonly sizeInBytes: number
  readonly cardinality: number
}

/** A logical file of the table: a data file, and which rows of it are hidden. */
export interface DeltaFile {
  /** Relative to the table's folder, or absolute; encoded as a URI. */
  readonly path: string
  readonly size: number
  /** When the data file was first added, in milliseconds since 1970. */
  readonly modificationTime: number
  /** Version that added the file with this deletion vector. */
  readonly since: number
  /** JSON. */
  readonly stats: string
  readonly deletionVector?: DeletionVector
  /** SHA-256 of the bitmap in hexadecimal digits, if it is in a file: two bitmaps with the same one are the same. */
  readonly sha256?: string
}

/** `metaData` of PROTOCOL.md, as far as tables of a lake differ in it. */
export interface DeltaMetaData {
  /** RFC 4122. */
  readonly id: string
  readonly name: string
  readonly schemaString: string
  readonly maxColumnId: number
  /** When the table was first published, in milliseconds since 1970. */
  readonly createdTime: number
  /** Version that said this. */
  readonly since: number
}

/**
 * What the lake remembers of a table's Delta log after one version: the whole table at that version, and what the version changed. It is enough to make
 * the version's JSON file and its checkpoint, the same bytes each time. JSON-safe.
 */
export interface DeltaRecord {
  readonly version: number
  /** inCommitTimestamp, in milliseconds since 1970: it grows from version to version. */
  readonly timestamp: number
  readonly timeline: number
  readonly lsn: string
  /** See TableSnapshot. */
  readonly time?: number
  readonly ltapVersion: string
  /** The version changes which rows a reader sees; a merge does not. */
  readonly dataChange: boolean
  /** The version gets a checkpoint. */
  readonly checkpoint: boolean
  /** `timestampNtz` is a feature of the table, and from which version on; a feature is never taken back. */
  readonly timestampNtz?: number
  readonly metaData: DeltaMetaData
  /** The last LSN of each earlier timeline on which the table was published. */
  readonly before: readonly { readonly timeline: number; readonly lsn: string }[]
  readonly files: readonly DeltaFile[]
  /** Files that this version removes, or whose deletion vector it replaces, with the old one. */
  readonly removed: readonly DeltaFile[]
  /** Keys of the deletion vector files that {@link files} refer to. */
  readonly objects: readonly string[]
}

const INT_MAX = 0x7fffffff
const z85Text = matching(/^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]+$/, 'text in Z85')
const VECTOR: Schema<DeletionVector> = v.variant('storageType', [
  v.strictObject({ storageType: exactly('i'), pathOrInlineDv: z85Text, sizeInBytes: integer(1, INT_MAX), cardinality: count }),
  v.strictObject({ storageType: exactly('u'), pathOrInlineDv: text, offset: integer(1, INT_MAX), sizeInBytes: integer(1, INT_MAX), cardinality: count }),
])
const version = count
const FILE: Schema<DeltaFile> = v.strictObject({
  path: text, size: count, modificationTime: count, since: version, stats: text, deletionVector: v.exactOptional(VECTOR),
  sha256: v.exactOptional(matching(/^[0-9a-f]{64}$/, 'a SHA-256')),
})
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const RECORD: Schema<DeltaRecord> = v.strictObject({
  version, timestamp: count, timeline: unsigned32, lsn: lsnText, time: v.exactOptional(integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  ltapVersion: text, dataChange: flag, checkpoint: flag, timestampNtz: v.exactOptional(version),
  metaData: v.strictObject({
    id: matching(UUID, 'a UUID'), name: text, schemaString: text, maxColumnId: integer(0, INT_MAX), createdTime: count, since: version,
  }),
  before: v.array(v.strictObject({ timeline: unsigned32, lsn: lsnText })),
  files: v.array(FILE), removed: v.array(FILE), objects: v.array(objectKey),
})

/**
 * @param persisted what the record is part of: errors have its code and name @param at path of the record in it
 * @throws CorruptionError with the member's path; UnsupportedError for a member that this ltap does not know
 */
export function parseDeltaRecord(found: unknown, persisted: Persisted, at = ''): DeltaRecord {
  return validate(RECORD, found, persisted, at)
}
