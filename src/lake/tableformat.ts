import type { Persisted } from '../common/validate.ts'
import type { ObjectNames, TableSnapshot } from './publishedtable.ts'
import type { StagedObject } from './state/stage.ts'

/** What one format makes of a table at one LSN. */
export interface StagedTable {
  /** JSON: what the format's next snapshot of the table goes on from. Its commit is a function of it alone. */
  readonly record: unknown
  /** To put before the record is committed. */
  readonly objects: readonly StagedObject[]
  /** Keys of the objects that readers of the snapshots need, data files too: gc spares them. */
  readonly refers: Iterable<string>
  /** Milliseconds since 1970 when the oldest snapshot but the newest one is no longer listed. */
  readonly expiresMs?: number
  /** Keys of files that readers find by their names, and no reader of a listed snapshot needs any more: to be deleted behind the commit. */
  readonly obsolete: readonly string[]
}

/** What puts a record before readers: the first object is created if nothing has its key, the others replace what is there. */
export interface TableCommit {
  readonly point: StagedObject
  readonly hints: readonly StagedObject[]
}

/** What is known of a table beside its record. */
export type RecordedTable = Pick<TableSnapshot, 'uuid' | 'folder' | 'publishedMs'>

/** A format of tables that a lake is published in, over the same Parquet files. */
export interface TableFormat {
  /** @param previous record of the snapshot before; undefined for the first one */
  next(previous: unknown, table: TableSnapshot, names: ObjectNames): StagedTable | Promise<StagedTable>
  /** The record without snapshots that are no longer listed: the same one if all stay. @param nowMs milliseconds since 1970 */
  expire(record: unknown, nowMs: number, table: Pick<TableSnapshot, 'folder'>): StagedTable
  commit(record: unknown, table: Pick<TableSnapshot, 'root' | 'folder'>): TableCommit | Promise<TableCommit>
  /** Keys of all files that readers find by their names, in whatever listed snapshot. */
  names(record: unknown, table: Pick<TableSnapshot, 'folder'>): Iterable<string>
  /** Those of the files that readers find by their names that can be made again of the record. @param missing keys */
  remake(record: unknown, table: Pick<TableSnapshot, 'root' | 'folder'>, missing: ReadonlySet<string>): StagedObject[] | Promise<StagedObject[]>
  /**
   * What the next snapshot goes on from where objects are missing: a record without the snapshots that need them. The next one needs none of them.
   * @param missing keys
   */
  withoutLost(record: unknown, missing: ReadonlySet<string>): unknown
  /** Whether a file of a table's folder is one that readers find by its name. @param path below the folder */
  isOwn(path: string): boolean
  /**
   * @param table whose record it must be, with when its newest snapshot was published
   * @throws CorruptionError, UnsupportedError of `persisted.code` with the member
   */
  parse(record: unknown, persisted: Persisted, at: string, table: RecordedTable): unknown
}
