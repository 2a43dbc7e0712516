import type { StoreCounters } from '../../engine/objectstore.ts'
import { rewriteState } from '../../engine/rewritestate.ts'
import { BranchWriter } from '../../engine/writer.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { openLayeredLake, openState } from '../lakes/openlake.ts'
import type { PublishedTables } from './publishjob.ts'
import { publishNewest, type PublishOptions } from './publishnewest.ts'
import { writeRegistration } from './registration.ts'

export interface PublishLakeOptions extends PublishOptions {
  /** A folder with a lake of layers, or the URL of one. */
  lake: string
  storeOptions?: S3Options
  /** Default main. */
  branch?: string
  /** A folder for files that register the tables in AWS Glue and Unity Catalog. */
  registration?: string
}

export interface PublishReport extends PublishedTables {
  url: string
  /** The LSN of the state, which every table is published at. */
  lsn: string
  /** Number of files that were written into the folder `registration`. */
  registered: number
  requests: StoreCounters['requests']
}

/**
 * Publishes the newest state of a branch: what changed since it was published last, all of it where the lake was moved, what a publication that was
 * killed left to do, and metadata that is missing.
 * @throws EnvironmentError lake.*, commit.fenced if another process opens the branch for writing, publish.foreign, store.*
 */
export async function publishLake({ lake: place, storeOptions, branch = MAIN_BRANCH, registration, ...options }: PublishLakeOptions): Promise<PublishReport> {
  const lake = await openLayeredLake(place, storeOptions)
  await openState(lake, 'newest', branch)
  const writer = await BranchWriter.open(lake, branch)
  const published = await publishNewest(lake, writer, options, { looksForLost: true, mergesLogs: 'tiers' })
  // Who lets every earlier snapshot go wants to be rid of what they have: the state's pages have entries of them.
  if (options.window?.snapshots === 1) await rewriteState(lake, writer)
  const { store } = lake.ports
  const registered = registration === undefined ? 0 : await writeRegistration(lake, writer.head, registration)
  return { url: store.url, lsn: writer.head.state.lsn, ...published, registered, requests: store.counters.requests }
}
