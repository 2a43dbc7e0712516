import type { ColumnBounds } from '../columnar/columnbounds.ts'
import type { RowSet } from '../columnar/filesummary.ts'
import type { ColumnType } from '../vector/columntype.ts'

/**
 * A column of a published table, or a part of one. `children` follow the type: a list has [element], a map [key, value], a struct its fields. Every
 * field is optional but a map's key.
 */
export interface PublishedColumn {
  /** Field id in the Parquet files, the same in Iceberg and Delta; never given to another column of the table. */
  readonly id: number
  /** As engines show it: the Postgres name, made unique among the table's columns without regard to case. */
  readonly name: string
  /** Name in the Parquet files; it stays when the column is renamed. */
  readonly physicalName: string
  readonly type: ColumnType
  readonly children?: readonly PublishedColumn[]
}

/** A Parquet file of a published table, and which of its rows a reader of the table must not see. */
export interface PublishedFile {
  /** Key of the object in the lake. */
  readonly key: string
  readonly bytes: number
  /** All rows, hidden ones too. */
  readonly rows: number
  /** Bounds of user columns, as many as the lake keeps; a column without an entry has no known bounds. */
  readonly columns: readonly ColumnBounds[]
  /** Positions of rows that a reader of the snapshot must not see: structure rows, dead ones, uncommitted ones, those of superseded blocks. */
  readonly hidden: RowSet
}

/** What a snapshot did to a table, compared with the snapshot before it. */
export type SnapshotKind =
  /** Rows that a reader sees may differ. */
  | 'change'
  /** Files differ, the rows that a reader sees are the same ones: a merge. */
  | 'merge'

/** A table at one LSN: all that Iceberg and Delta have to be told. Two of them with equal members are published with equal bytes. */
export interface TableSnapshot {
  /** RFC 4122; the table's for as long as it exists, under whatever name. */
  readonly uuid: string
  /** The schema of Postgres and the name in it, as engines show them. */
  readonly namespace: string
  readonly name: string
  /** URI of the lake, without a slash at its end: the URI of an object is `${root}/${key}`. Always of the same form, since readers compare paths as text. */
  readonly root: string
  /** Key of the table's folder, without a slash at its end. Below it are `data/`, `metadata/` and `_delta_log/`. */
  readonly folder: string
  /** User columns, then `_overflow` if the table has one, then `_ltap`. */
  readonly columns: readonly PublishedColumn[]
  readonly files: readonly PublishedFile[]
  readonly kind: SnapshotKind
  readonly timeline: number
  /** The snapshot has every WAL record that ends at or before this position, `16/B374D848`. */
  readonly lsn: string
  /** When the source was at `lsn`, in microseconds since 1970; absent where the source does not say. */
  readonly time?: number
  /** When the snapshot is published, in milliseconds since 1970: behind that of the table's snapshot before. */
  readonly publishedMs: number
}

/** Names new objects of one publication: `name()` is unused, and gc spares what has it until the publication is committed. */
export interface ObjectNames {
  name(): string
}
