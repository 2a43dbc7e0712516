import * as v from 'valibot'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { count, exactly, faulty, flag, integer, oneOf, type Schema, text, unsigned32, validate } from '../common/validate.ts'
import { REPLAY_PROGRESS, type ReplayProgress } from '../replay/replay.ts'
import { NOT_READ, type NotRead } from './notread.ts'
import { DESCRIPTION_REF } from './relationinfo.ts'
import type { EntryKey } from './state/entries.ts'
import { objectKey, type PieceRef } from './state/page.ts'

/*
 * The tree `catalog` of a state: what it holds beside relations with pages.
 *
 *     cluster                    ClusterInfo
 *     database/<oid>             DatabaseInfo
 *     parent/<database>/<oid>    PartitionedTable
 *     notread/<n>                NotRead
 */

/** What of its cluster a lake takes, as the options --database, --table, --exclude and --exclude-secrets say it. Each state of a lake takes the same. */
export interface LakeSelection {
  readonly databases: readonly string[]
  readonly tables: readonly string[]
  readonly exclude: readonly string[]
  readonly excludeSecrets: boolean
}

/** What a state says of its cluster as a whole. */
export interface ClusterInfo {
  readonly major: PgMajor
  /** catalog_version_no. */
  readonly catalogVersion: number
  readonly blockSize: number
  readonly checksums: boolean
  /** `ltap 0.1.0`, which made the state. */
  readonly createdBy: string
  /** False if --database or --table left relations out, which are not listed as not read. */
  readonly complete: boolean
  /** Absent for the whole cluster. */
  readonly selection?: LakeSelection
  /** Path of the data directory that was read: for people, and because rebuild must not write there. */
  readonly source: string
  /** Relation files that no catalog row names, relative to the data directory; the first 1,000. */
  readonly orphans: readonly string[]
  /** Files of temporary relations, which are not read. */
  readonly temporaryFiles: number
  /** With --on-corrupt carry: whether rows are visible whose transaction's status is lost. */
  readonly unknownTransactions?: 'hide' | 'show'
  /** pg_control was lost; absent: it was there. */
  readonly guessed?: true
  /** Next full xid at the state's LSN, exact below 2^53: it gives 32-bit xids of pages their epochs. */
  readonly nextXid: number
  /** A sentence for each part of the cluster as a whole that is lost. */
  readonly damage?: readonly string[]
  /**
   * Where the replay is that made the state; absent for that of a server that was shut down, whose pg_control says it. Prepared transactions are those of
   * pg_twophase among `files`, so none is listed here.
   */
  readonly replayed?: Omit<ReplayProgress, 'lsn'>
  /** Which relations lie in packs. The next state has the same unless another one is asked for. */
  readonly packing: Packing
  /** A name of its own of the page store that the state was read from. */
  readonly pageStore?: string
}

/** Lengths in blocks below which the pages of a relation lie in packs (src/lake/pack.ts), not in Parquet files of its own. */
export interface Packing {
  /** The length for catalogs, sequences and TOAST relations. */
  readonly threshold: number
  /** The length for user tables. */
  readonly below: number
  /** Lengths for some of these, `schema.name` as of the command line (catalog/tablename.ts). */
  readonly tables?: readonly PackedTable[]
}

export interface PackedTable {
  readonly table: string
  readonly below: number
}

/** Unless another one is asked for: user tables have Parquet files. */
export const DEFAULT_PACKING: Packing = { threshold: 64, below: 0 }
/** A relation of more blocks has Parquet files: 8 MiB of pages go through a thread's message as a whole. */
export const PACKING_MAX = 1024

/** A row of pg_database. */
export interface DatabaseInfo {
  readonly oid: number
  readonly name: string
  /** datistemplate. */
  readonly template: boolean
}

/** A partitioned table: it has no pages, but queries ask for it. */
export interface PartitionedTable {
  readonly dbOid: number
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly parents: readonly number[]
  readonly description: PieceRef
}

/** An entry of the tree `catalog`, by what it is of. */
export type CatalogEntry =
  | { readonly kind: 'cluster'; readonly cluster: ClusterInfo }
  | { readonly kind: 'database'; readonly database: DatabaseInfo }
  | { readonly kind: 'parent'; readonly parent: PartitionedTable }
  | { readonly kind: 'notread'; readonly notRead: NotRead }

/** An entry of a state. @param index of a relation that is not read: its place in their list */
export function catalogEdit(entry: CatalogEntry, index = 0): EntryKey & { readonly value: object } {
  if (entry.kind === 'cluster') return { tree: 'catalog', key: 'cluster', value: entry.cluster }
  if (entry.kind === 'database') return { tree: 'catalog', key: `database/${entry.database.oid}`, value: entry.database }
  if (entry.kind === 'notread') return { tree: 'catalog', key: `notread/${String(index).padStart(8, '0')}`, value: entry.notRead }
  const { description: { key, ...description }, ...parent } = entry.parent
  return { tree: 'catalog', key: `parent/${parent.dbOid}/${parent.oid}`, value: { ...parent, objects: [key], description } }
}

const SELECTION: Schema<LakeSelection> = v.strictObject({
  databases: v.array(text), tables: v.array(text), exclude: v.array(text), excludeSecrets: flag,
})
const CLUSTER: Schema<ClusterInfo> = v.strictObject({
  major: oneOf(PG_MAJORS), catalogVersion: unsigned32, blockSize: exactly(BLOCK_SIZE), checksums: flag, createdBy: text, source: text, complete: flag,
  selection: v.exactOptional(SELECTION), orphans: v.array(text),
  temporaryFiles: count, unknownTransactions: v.exactOptional(oneOf(['hide', 'show'])), guessed: v.exactOptional(exactly(true)),
  damage: v.exactOptional(v.array(text)), replayed: v.exactOptional(REPLAY_PROGRESS), nextXid: count, pageStore: v.exactOptional(text),
  packing: v.strictObject({
    threshold: integer(0, PACKING_MAX), below: integer(0, PACKING_MAX),
    tables: v.exactOptional(v.array(v.strictObject({ table: text, below: integer(0, PACKING_MAX) }))),
  }),
})
const DATABASE: Schema<DatabaseInfo> = v.strictObject({ oid: unsigned32, name: text, template: flag })
const PARENT = v.strictObject({
  dbOid: unsigned32, oid: unsigned32, schema: text, name: text, parents: v.array(unsigned32), objects: v.strictTuple([objectKey]), description: DESCRIPTION_REF,
})

const KEY = /^(?:cluster|(database)\/\d{1,10}|(parent)\/\d{1,10}\/\d{1,10}|(notread)\/\d{8,15})$/

/** @throws CorruptionError lake.state with the member; UnsupportedError lake.state for what this ltap does not know */
export function parseCatalogEntry(key: string, value: unknown): CatalogEntry {
  const persisted = { code: 'lake.state', name: `the entry ${key} of catalog` }
  const named = KEY.exec(key)
  if (named === null) throw faulty(persisted, 'its key', 'names neither the cluster, nor a database, a partitioned table or a relation that was not read')
  const kind = named.slice(1).find((found) => found !== undefined)
  if (kind === 'database') return { kind, database: validate(DATABASE, value, persisted) }
  if (kind === 'notread') return { kind, notRead: validate(NOT_READ, value, persisted) }
  if (kind === 'parent') {
    const { objects: [object], description, ...parent } = validate(PARENT, value, persisted)
    return { kind, parent: { ...parent, description: { key: object, ...description } } }
  }
  return { kind: 'cluster', cluster: validate(CLUSTER, value, persisted) }
}
