import * as v from 'valibot'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { PG_MAJORS, type PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE, DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import {
  count, exactly, faulty, flag, integer, lsnText, matching, oneOf, parseJson, pathBelow, type Persisted, systemIdentifierText, text, unsigned32, validate,
} from '../common/validate.ts'
import { utf8Decode, utf8Encode } from '../common/utf8.ts'
import type { TypeProfile } from '../datum/typedef.ts'
import { FORMAT_VERSION } from '../columnar/filedescriptor.ts'
import type { LaneCounts } from '../columnar/lanes.ts'
import type { VirtualColumn } from '../catalog/virtualcolumns.ts'
import { RELATIONS_ELSEWHERE, splitManifest } from './manifestjson.ts'
import { NOT_READ, type NotRead } from './notread.ts'

/** `<lake>/ltap.json`: what the lake holds. Written last and atomically, so that a lake half written is never taken for a whole one. */
export interface Manifest {
  /** FORMAT_VERSION of the lake and all its files. */
  format: number
  /** `ltap 0.1.0`. */
  createdBy: string
  profile: TypeProfile
  /** Decimal text of the 64-bit system identifier. */
  systemIdentifier: string
  major: PgMajor
  catalogVersion: number
  blockSize: number
  checksums: boolean
  /** Checkpoint of the clean data directory, `16/B374D848`. */
  lsn: string
  timeline: number
  /** Real path of the data directory it was read from: what rebuild must not overwrite. */
  source: string
  /** False if --database or --table left relations of the cluster out, which notRead does not list. */
  complete: boolean
  databases: readonly LakeDatabase[]
  relations: readonly LakeRelation[]
  /** Relation files that no catalog row names, relative to the data directory. */
  orphans: readonly string[]
  /** Temporary relations' files found and skipped. */
  temporaryFiles: number
  /** Relations of the cluster that are not in the lake, and why. Lakes of ltap 0.1.0 have no such list. */
  notRead: readonly NotRead[]
  /**
   * Written with --on-corrupt carry: whether rows are visible whose transaction's status is lost, and how many such rows there are.
   * Verify reads a data directory in the same way.
   */
  unknownTransactions?: { policy: 'hide' | 'show'; rows: number }
  /** pg_control was lost: system identifier, LSN, timeline, checksums and transaction counters are guessed. Absent: they are not. */
  guessed?: true
  /** A sentence for each part of the cluster as a whole that is lost, with what ltap did instead. */
  damage?: readonly string[]
}

export interface LakeDatabase {
  oid: number
  name: string
  /** datistemplate: template0 and template1, by custom. */
  template: boolean
}

export interface LakeRelation extends RelFileLocator {
  /** Null for shared relations. */
  database: string | null
  schema: string
  name: string
  oid: number
  /** pg_class.relkind: r, m, t, S; p for partitioned parents, which have no pages. */
  relkind: string
  /** pg_class.relpersistence: p or u. */
  persistence: string
  /** Main fork relative to the data directory, `base/5/16384`; empty for parents without storage. */
  path: string
  /** Length of each fork in blocks; a fork without file is absent. */
  forks: { main?: number; fsm?: number; vm?: number; init?: number }
  /** Seen by a snapshot at the lake's LSN; false for relations of transactions that did not commit: no query shows them. */
  visible: boolean
  /** False for a materialized view that was never filled (relispopulated), which a server refuses to read; else absent. */
  populated?: false
  /** pg_class.reltoastrelid: oid of its TOAST relation, 0 for none. */
  toastRelId: number
  /** pg_inherits: oids of its parents, partitioned or not. */
  parents: readonly number[]
  /** User columns in order, as they are named in the files. */
  columns: readonly string[]
  /** Generated columns that are not stored (Postgres 18): no file has them; absent without such columns. */
  virtualColumns?: readonly VirtualColumn[]
  /** The files have an `_overflow` column. */
  overflow: boolean
  /** In block order; a relation without blocks has one file without rows, which carries its schema. */
  files: readonly LakeFile[]
  lanes: LaneCounts
  /** Bytes behind the last whole block of the main fork, which no server reads and no rebuild writes; absent for none. */
  trailingBytes?: number
}

export interface LakeFile {
  /** Relative to the lake, `/` between folders. */
  path: string
  firstBlock: number
  blockCount: number
  rows: number
  bytes: number
  /** CRC-32 (zlib's) of the whole file: no page's CRC covers statistics, page headers and the like. */
  crc32: number
  /** The number of rows that no reader may see at the lake's LSN, and the file with their positions. */
  hidden: { path: string; rows: number; crc32: number } | null
  /** Blocks carried although damaged (--on-corrupt carry). */
  damaged: readonly { block: number; error: string }[]
}

export const MANIFEST_NAME = 'ltap.json'
export const VIEWS_NAME = 'views.sql'

const LAKE_PATH = pathBelow('the lake')
/** Main forks below a data directory: rebuild writes there, so nothing else is taken for one. */
const FORK_PATH = matching(
  /^(?:global\/\d{1,10}|base\/\d{1,10}\/\d{1,10}|pg_tblspc\/\d{1,10}\/PG_\d{1,3}_\d{1,10}\/\d{1,10}\/\d{1,10}|)$/, 'a path of a main fork')
const BLOCKS = v.exactOptional(unsigned32)

const FILE = v.object({
  path: LAKE_PATH, firstBlock: unsigned32, blockCount: unsigned32, rows: count, bytes: count, crc32: unsigned32,
  hidden: v.nullable(v.object({ path: LAKE_PATH, rows: count, crc32: unsigned32 })),
  damaged: v.array(v.object({ block: unsigned32, error: text })),
})

/** A manifest of an older ltap does not have this count: it is 0. */
const laterLane = v.optional(count, 0)
const LANES: v.GenericSchema<unknown, LaneCounts> = v.object({
  pages: count, tuples: count, structureRows: count, native: count, text: count, raw: count, tupleLane: count, pageImages: count, reproved: count,
  dangling: count, missingToast: laterLane, unreadable: laterLane, oversized: laterLane, unknownStatus: laterLane,
})

const RELATION = v.object({
  spcOid: unsigned32, dbOid: unsigned32, relNumber: unsigned32, database: v.nullable(text), schema: text, name: text, oid: unsigned32,
  relkind: oneOf(['r', 'm', 't', 'S', 'p']), persistence: oneOf(['p', 'u']), path: FORK_PATH,
  forks: v.object({ main: BLOCKS, fsm: BLOCKS, vm: BLOCKS, init: BLOCKS }), visible: flag, toastRelId: unsigned32, parents: v.array(unsigned32),
  columns: v.array(text), overflow: flag, files: v.array(FILE), lanes: LANES, trailingBytes: v.exactOptional(count),
  populated: v.exactOptional(exactly(false)), virtualColumns: v.exactOptional(v.array(v.object({ name: text, type: text, expression: text }))),
})

/** Members that are not named here are ignored: a member that a newer ltap adds to format 1 does not change the meaning of the others. */
const MANIFEST = v.object({
  format: exactly(FORMAT_VERSION), createdBy: text, profile: oneOf(['portable', 'iceberg']), systemIdentifier: systemIdentifierText,
  major: oneOf(PG_MAJORS), catalogVersion: unsigned32, blockSize: exactly(BLOCK_SIZE), checksums: flag, lsn: lsnText, timeline: unsigned32,
  source: text, complete: flag, databases: v.array(v.object({ oid: unsigned32, name: text, template: flag })), relations: v.array(RELATION),
  orphans: v.array(text), temporaryFiles: count, notRead: v.optional(v.array(NOT_READ), []),
  unknownTransactions: v.exactOptional(v.object({ policy: oneOf(['hide', 'show']), rows: count })), damage: v.exactOptional(v.array(text)),
  guessed: v.exactOptional(v.literal(true)),
})

const PERSISTED: Persisted = { code: 'lake.manifest', name: MANIFEST_NAME }

/** @throws CorruptionError lake.manifest with the member, UnsupportedError lake.format */
export function parseManifest(json: string | Uint8Array): Manifest {
  const bytes = typeof json === 'string' ? utf8Encode(json) : json
  const pieces = splitManifest(bytes)
  const rest = pieces && parsePiece(pieces.rest)
  // If the JSON has two lists of relations, the second one counts, and the JSON is read as a whole.
  const manifest = pieces && isPieced(rest) ? joined(rest, pieces.elements) : whole(parsePiece(bytes))
  const paths = new Set<string>()
  for (const [i, relation] of manifest.relations.entries()) checkRelation(relation, `relations[${i}]`, paths)
  return manifest
}

function whole(found: unknown): Manifest {
  refuseNewer(found)
  return validate(MANIFEST, found, PERSISTED)
}

/** Parses relation by relation, so that the JSON of only one relation is in memory. */
function joined(rest: object, elements: Iterable<Uint8Array>): Manifest {
  const manifest = whole({ ...rest, relations: [] })
  const relations: LakeRelation[] = []
  for (const element of elements) relations.push(validate(RELATION, parsePiece(element), PERSISTED, `relations[${relations.length}]`))
  return { ...manifest, relations }
}

function isPieced(rest: unknown): rest is object {
  return typeof rest === 'object' && rest !== null && 'relations' in rest && rest.relations === RELATIONS_ELSEWHERE
}

function parsePiece(json: Uint8Array): unknown {
  let decoded: string
  try {
    decoded = utf8Decode(json)
  } catch {
    throw new CorruptionError(PERSISTED.code, `${MANIFEST_NAME} is not UTF-8`)
  }
  return parseJson(decoded, PERSISTED)
}

const newer = v.object({ format: integer(FORMAT_VERSION + 1, Number.MAX_SAFE_INTEGER) })

/** @throws UnsupportedError lake.format */
function refuseNewer(found: unknown): void {
  if (!v.is(newer, found)) return
  throw new UnsupportedError('lake.format', `the lake has format version ${found.format}, this ltap reads ${FORMAT_VERSION}: use a newer ltap`)
}

/** Checks that the members of a relation fit together: rebuild takes its file and its length from here. */
function checkRelation({ path, spcOid, dbOid, relNumber, forks, files }: LakeRelation, at: string, paths: Set<string>): void {
  if (path !== '') {
    if (!isPathOf(path, { spcOid, dbOid, relNumber })) {
      throw faulty(PERSISTED, `${at}.path`, `is '${path}', but the relation is ${spcOid}/${dbOid}/${relNumber}`)
    }
    if (paths.has(path)) throw faulty(PERSISTED, `${at}.path`, `is '${path}', as another relation's`)
    paths.add(path)
  }
  let next = 0
  for (const [i, { firstBlock, blockCount, damaged }] of files.entries()) {
    const file = `${at}.files[${i}]`
    if (firstBlock !== next) throw faulty(PERSISTED, `${file}.firstBlock`, `is ${firstBlock}, but no file holds block ${next}`)
    next += blockCount
    const outside = damaged.findIndex(({ block }) => block < firstBlock || block >= next)
    if (outside >= 0) throw faulty(PERSISTED, `${file}.damaged[${outside}].block`, 'is not in the file')
  }
  const { main = 0 } = forks
  if (next !== main) throw faulty(PERSISTED, `${at}.forks.main`, `is ${main}, but the files end at block ${next}`)
}

/** Whether a main fork's path, as {@link LakeRelation.path}, is that of a relation. */
export function isPathOf(path: string, { spcOid, dbOid, relNumber }: RelFileLocator): boolean {
  const parts = path.split('/')
  const spc = parts[0] === 'pg_tblspc' ? parts[1] : parts[0] === 'global' ? String(GLOBAL_TABLESPACE) : String(DEFAULT_TABLESPACE)
  const db = parts[0] === 'global' ? '0' : parts.at(-2)
  return spc === String(spcOid) && db === String(dbOid) && parts.at(-1) === String(relNumber)
}

/** File systems take names of 255 bytes; a schema's and a table's name of 63 bytes each can need 379 when they are escaped. */
const FOLDER_NAME_MAX = 240

/**
 * Folder of a relation's files: `data/<database>/<schema>.<name>-<relNumber>`, characters outside [A-Za-z0-9_] as %XX of their UTF-8
 * bytes, and cut where that is too long; `%global` for shared relations, which no database name can be.
 */
export function relationFolder(relation: Pick<LakeRelation, 'database' | 'schema' | 'name' | 'relNumber'>): string {
  const { database, schema, name, relNumber } = relation
  const first = database === null ? '%global' : escapeName(database)
  const names = `${escapeName(schema)}.${escapeName(name)}`.slice(0, FOLDER_NAME_MAX).replace(/%.?$/, '')
  return `data/${first}/${names}-${relNumber}`
}

/** `0000000000.parquet`: by first block, so that names sort in block order. */
export function dataFileName(firstBlock: number): string {
  return `${String(firstBlock).padStart(10, '0')}.parquet`
}

/** A leading `_`, as engines pass over such files: positions are no rows. Lakes of ltap 0.1.0 have names without it. */
export function hiddenFileName(firstBlock: number): string {
  return `_${String(firstBlock).padStart(10, '0')}.hidden.parquet`
}

function escapeName(name: string): string {
  return encodeURIComponent(name).replace(/[^A-Za-z0-9_%]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
