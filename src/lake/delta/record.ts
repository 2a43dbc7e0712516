import * as v from 'valibot'
import { parseLsn } from '../../common/ids.ts'
import {
  count, exactly, faulty, flag, integer, lsnText, matching, moment, parseJson, type Persisted, refuseDeep, type Schema, text, unsigned32, validate,
} from '../../common/validate.ts'
import { objectKey } from '../state/page.ts'
import { DELTA_SCHEMA } from './schemajson.ts'
import { VECTOR_PATH } from './vectorpath.ts'

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
/** `stats` of an `add`; those of a `remove` are empty. */
const STATS = v.custom<object>((found) => typeof found === 'object' && found !== null && !Array.isArray(found), 'an object')
const z85Text = matching(/^(?:[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{5})+$/, 'text in Z85')
const ROWS_MAX = 2 ** 40
const cardinality = integer(1, ROWS_MAX)
/** One that fits into 63 bits: `txn` has it as a number. */
const lsn: Schema<string> = v.pipe(lsnText, v.check((found) => parseLsn(found)! < 1n << 63n, 'an LSN below 80000000/0'))
const VECTOR: Schema<DeletionVector> = v.variant('storageType', [
  v.strictObject({ storageType: exactly('i'), pathOrInlineDv: z85Text, sizeInBytes: integer(1, INT_MAX), cardinality }),
  v.strictObject({ storageType: exactly('u'), pathOrInlineDv: VECTOR_PATH, offset: integer(1, INT_MAX), sizeInBytes: integer(1, INT_MAX), cardinality }),
])
const version = count
const FILE: Schema<DeltaFile> = v.strictObject({
  path: text, size: count, modificationTime: moment, since: version, stats: text, deletionVector: v.exactOptional(VECTOR),
  sha256: v.exactOptional(matching(/^[0-9a-f]{64}$/, 'a SHA-256')),
})
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const RECORD: Schema<DeltaRecord> = v.strictObject({
  version, timestamp: moment, timeline: unsigned32, lsn, time: v.exactOptional(integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  ltapVersion: text, dataChange: flag, checkpoint: flag, timestampNtz: v.exactOptional(version),
  metaData: v.strictObject({
    id: matching(UUID, 'a UUID'), name: text, schemaString: text, maxColumnId: integer(0, INT_MAX), createdTime: moment, since: version,
  }),
  before: v.array(v.strictObject({ timeline: unsigned32, lsn })),
  files: v.array(FILE), removed: v.array(FILE), objects: v.array(objectKey),
})

/**
 * @param persisted what the record is part of: errors have its code and name @param at path of the record in it
 * @throws CorruptionError with the member's path; UnsupportedError for a member that this ltap does not know
 */
export function parseDeltaRecord(found: unknown, persisted: Persisted, at = ''): DeltaRecord {
  const record = validate(RECORD, found, persisted, at)
  const place = (path: string): string => (at === '' ? path : `${at}.${path}`)
  const fault = faultOf(record)
  if (fault !== undefined) throw faulty(persisted, place(fault[0]), fault[1])
  const { metaData: { schemaString }, files, removed } = record
  const checkText = (json: string, schema: v.GenericSchema<unknown, unknown>, path: string): void => {
    const inner = { ...persisted, name: `${place(path)} of ${persisted.name}` }
    refuseDeep(json, inner)
    validate(schema, parseJson(json, inner), inner)
  }
  checkText(schemaString, DELTA_SCHEMA, 'metaData.schemaString')
  for (const [name, list] of Object.entries({ files, removed })) for (const [i, { stats }] of list.entries()) checkText(stats, STATS, `${name}[${i}].stats`)
  return record
}

/** Path of a member that contradicts another one, and how. */
function faultOf({ version: newest, metaData, timestampNtz, files, removed }: DeltaRecord): [path: string, problem: string] | undefined {
  if (metaData.since > newest) return ['metaData.since', `is ${metaData.since}, above the version`]
  if (timestampNtz !== undefined && timestampNtz > newest) return ['timestampNtz', `is ${timestampNtz}, above the version`]
  for (const [name, list] of Object.entries({ files, removed })) {
    const paths = new Set<string>()
    for (const [i, file] of list.entries()) {
      const at = `${name}[${i}]`
      if (paths.has(file.path)) return [`${at}.path`, 'is that of another file']
      paths.add(file.path)
      const fault = fileFault(file, newest)
      if (fault) return [`${at}.${fault[0]}`, fault[1]]
    }
  }
  return undefined
}

function fileFault({ since, deletionVector: vector, sha256 }: DeltaFile, newest: number): [path: string, problem: string] | undefined {
  if (since > newest) return ['since', `is ${since}, above the version`]
  if ((sha256 !== undefined) !== (vector?.storageType === 'u')) return ['sha256', 'contradicts deletionVector: one in a file has it, no other one']
  if (vector?.storageType !== 'i') return undefined
  const length = Math.ceil(vector.sizeInBytes / 4) * 5
  if (vector.pathOrInlineDv.length === length) return undefined
  return ['deletionVector.pathOrInlineDv', `has ${vector.pathOrInlineDv.length} characters, but its size makes ${length}`]
}
