import type { Compression } from '../../columnar/planfile.ts'
import type { Clock } from '../../common/clock.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { TypeProfile } from '../../datum/typedef.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Random } from '../../engine/random.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import type { WalPlace } from '../../io/walsource/inventory.ts'
import type { Packing } from '../../lake/clusterinfo.ts'
import type { UnknownTransactions } from '../../xact/snapshot.ts'
import type { FullXid } from '../../xact/transactionstate.ts'
import type { OnProgress } from '../jobprogress.ts'
import type { Pool } from '../pool.ts'
import type { PublishOptions } from '../publish/publishnewest.ts'
import type { RelationFilter } from '../selection.ts'

/** What goes into a lake of format 2, and how. */
export interface MaterializeLakeOptions {
  /** A clean data directory, or what replay made. */
  pgdata: string
  /** What `pgdata` was made from, for people; default: `pgdata` itself. */
  source?: string
  /** The WAL that `pgdata` was replayed along: it says exactly when transactions ended since the lake's newest state. */
  wal?: WalPlace
  /** Where the lake is, or is to be. */
  store: ObjectStore
  /** Branch of it that is written; default: `main`. Another one must be there. */
  branch?: string
  /** With which threads open the store by its URL. */
  storeOptions?: S3Options
  clock?: Clock
  random?: Random
  filter?: RelationFilter
  /** Worker threads to start, default one for each core; 0 runs everything on this thread. */
  workers?: number | Pool
  /** Compression of the Parquet files; default zstd. */
  compression?: Compression
  /** How a new lake stores types; default portable. */
  profile?: TypeProfile
  /** Modules with codecs from outside, as of transcodeLake. */
  codecs?: readonly string[]
  /** Lengths in blocks below which relations lie in packs, at most PACKING_MAX; default: as in the lake's newest state, of a new lake DEFAULT_PACKING. */
  packing?: Partial<Packing>
  /** Whether layers are merged where size tiers say so (src/lake/mergeplan.ts); default true. */
  merge?: boolean
  /** How the state is shown to foreign engines; false: nothing that is published changes. Default: as before. */
  publish?: PublishOptions | false
  onCorrupt?: 'fail' | 'carry'
  unknownTransactions?: UnknownTransactions
  major?: PgMajor
  systemIdentifier?: bigint
  nextXid?: FullXid
  onProgress?: OnProgress
  /** Told what the user should know, as a sentence. */
  onNotice?: (text: string) => void
}
