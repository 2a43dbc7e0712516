import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { type PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { TypeProfile } from '../datum/typedef.ts'
import { FORMAT_VERSION } from '../columnar/filedescriptor.ts'
import type { LaneCounts } from '../columnar/lanes.ts'
import type { NotRead } from './notread.ts'

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
  /** pg_class.reltoastrelid: oid of its TOAST relation, 0 for none. */
  toastRelId: number
  /** pg_inherits: oids of its parents, partitioned or not. */
  parents: readonly number[]
  /** User columns in order, as they are named in the files. */
  columns: readonly string[]
  /** The files have an `_overflow` column. */
  overflow: boolean
  /** In block order; a relation without blocks has one file without rows, which carries its schema. */
  files: readonly LakeFile[]
  lanes: LaneCounts
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
  /** Rows that nobody may see at the lake's LSN, and where their positions are stored. */
  hidden: { path: string; rows: number; crc32: number } | null
  /** Blocks carried although damaged (--on-corrupt carry). */
  damaged: readonly { block: number; error: string }[]
}

export const MANIFEST_NAME = 'ltap.json'
export const VIEWS_NAME = 'views.sql'

/** @throws CorruptionError lake.manifest, UnsupportedError lake.format */
export function parseManifest(text: string): Manifest {
  let manifest: Manifest
  try {
    manifest = JSON.parse(text) as Manifest
  } catch {
    throw new CorruptionError('lake.manifest', `${MANIFEST_NAME} is not JSON`)
  }
  if (manifest === null || typeof manifest !== 'object' || !Array.isArray(manifest.relations) || !Array.isArray(manifest.databases)) {
    throw new CorruptionError('lake.manifest', `${MANIFEST_NAME} does not describe a lake`)
  }
  if (manifest.format !== FORMAT_VERSION) {
    throw new UnsupportedError('lake.format', `the lake has format version ${manifest.format}, this ltap reads ${FORMAT_VERSION}`)
  }
  if (!isWhole(manifest)) throw new CorruptionError('lake.manifest', `${MANIFEST_NAME} does not describe a lake`)
  for (const relation of manifest.relations) checkRelation(relation)
  const notRead: unknown = manifest.notRead ?? []
  if (!Array.isArray(notRead) || !notRead.every(isNotRead)) {
    throw new CorruptionError('lake.manifest', `${MANIFEST_NAME}: notRead is no list of relations`)
  }
  return { ...manifest, notRead }
}

/** Main forks below a data directory: rebuild writes there, so nothing else is taken for one. */
const FORK_PATH = /^(?:global\/\d+|base\/\d+\/\d+|pg_tblspc\/\d+\/PG_\d+_\d+\/\d+\/\d+|)$/

function isWhole({ systemIdentifier, lsn, source, orphans, databases }: Manifest): boolean {
  const names = databases.every((database) => typeof database?.name === 'string')
  return names && [systemIdentifier, lsn, source].every((value) => typeof value === 'string') && Array.isArray(orphans)
}

function checkRelation(relation: LakeRelation): void {
  const { schema, name, path, relkind, forks, files, columns, parents, lanes } = relation ?? {}
  const texts = [schema, name, path, relkind].every((value) => typeof value === 'string')
  const lists = [files, columns, parents].every(Array.isArray)
  const objects = [forks, lanes].every((value) => typeof value === 'object' && value !== null)
  if (!texts || !lists || !objects || !FORK_PATH.test(path) || !files.every(isFile)) {
    throw new CorruptionError('lake.manifest', `${MANIFEST_NAME} has a relation that is none`, { relation: `${schema}.${name}` })
  }
}

function isNotRead(entry: NotRead | null): boolean {
  const { database, schema, name, oid, relkind, why, reason } = entry ?? {}
  const texts = [schema, name, relkind, why, reason].every((value) => typeof value === 'string')
  return texts && (database === null || typeof database === 'string') && Number.isSafeInteger(oid)
}

function isFile(file: LakeFile): boolean {
  const { path, firstBlock, blockCount, rows, bytes, crc32, hidden, damaged } = file ?? {}
  const counts = [firstBlock, blockCount, rows, bytes, crc32, ...(hidden ? [hidden.rows, hidden.crc32] : [])]
  return isInside(path) && (hidden === null || isInside(hidden?.path)) && Array.isArray(damaged) &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0)
}

/** A path below the lake's folder. */
function isInside(path: unknown): boolean {
  return typeof path === 'string' && path.split('/').every((name) => name !== '' && name !== '.' && name !== '..')
}

/** Of 255 bytes that file systems take; two names of 63 bytes can need 379. */
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

export function hiddenFileName(firstBlock: number): string {
  return `${String(firstBlock).padStart(10, '0')}.hidden.parquet`
}

function escapeName(name: string): string {
  return encodeURIComponent(name).replace(/[^A-Za-z0-9_%]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
