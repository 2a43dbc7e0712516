import type { Lake } from '../engine/lake.ts'
import type { IcebergRecord } from '../lake/iceberg/record.ts'
import type { Manifests } from './plan/manifests.ts'
import type { DatabaseTables, PublishedTables } from './publishedtables.ts'
import type { States } from './states.ts'
import type { Grant, Token } from './tokens.ts'
import type { Warehouse } from './warehouse.ts'

export interface CatalogOptions {
  /** Default main. */
  readonly branch?: string
  /**
   * URI by which engines find the lake, without a slash at its end: `file:///srv/lake`, `s3://bucket/prefix`. Tables that were published for another one
   * are not served: their metadata would send readers there.
   */
  readonly root: string
  /** Absent: every request is answered. */
  readonly tokens?: readonly Token[]
  /** What engines need to know of the store: `s3.endpoint`, `s3.path-style-access`, `client.region`. A client may say otherwise. */
  readonly defaults?: Readonly<Record<string, string>>
  /** Who plans scans: `client`, `server`, or as the client likes. */
  readonly scanPlanning?: 'client' | 'server'
  /** A time in the name of a warehouse, in microseconds since 1970; undefined for any other text. Absent: no warehouse has a time. */
  readonly parseTime?: (text: string) => number | undefined
  /** Gets what is a bug. */
  readonly onBug?: (error: unknown) => void
}

/** What all requests share. */
export interface CatalogContext extends CatalogOptions {
  readonly lake: Lake
  readonly states: States
  readonly manifests: Manifests
  /** Newest records whose metadata file was found. */
  readonly located: WeakSet<IcebergRecord>
}

/** A request to a warehouse. */
export interface CatalogRequest {
  readonly request: Request
  readonly query: URLSearchParams
  /** Parameters of the path, decoded: `prefix`, `namespace`, `table`, `view`. */
  readonly parameters: ReadonlyMap<string, string>
  readonly warehouse: Warehouse
  readonly tables: PublishedTables
  readonly database: DatabaseTables
  readonly grant: Grant
  /** What was JSON in it. */
  readonly body: object | undefined
}
