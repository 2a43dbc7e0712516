import type { PgMajor } from '../../common/pgversion.ts'
import { auditLake } from '../../engine/audit.ts'
import type { StoreCounters } from '../../engine/objectstore.ts'
import type { Registration } from '../../lake/state/head.ts'
import type { MadeBy } from '../../lake/state/madeby.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { retainedStates } from '../../lake/state/registrations.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import { openLayeredLake, openState } from '../lakes/openlake.ts'
import { StateManifest } from '../lakes/statemanifest.ts'
import { type StateSummary, summaryOf } from '../lakes/statesummary.ts'
import { type LayeredTable, layeredTables } from './layeredtable.ts'
import { commitPrice, S3_STANDARD, storagePrice, type StorePrices } from './requestprices.ts'

export interface NamedState extends StateSummary {
  name: string
}

/** A state, and what the commit cost that made it. */
export interface CommitSummary extends StateSummary {
  /** Null for a state of an older ltap. */
  made: MadeBy | null
  /** US dollars for its requests, with the write of HEAD. */
  dollars: number | null
}

export interface LakeSummary {
  url: string
  systemIdentifier: string
  major: PgMajor
  profile: string
  /** How HEAD is replaced in this store. */
  cas: string
  branch: string
  epoch: number
  timeline: number
  /** LSNs that were reached; null: not yet. */
  materialized: string
  published: string | null
  archived: string | null
  /** Oldest first, the newest state last. */
  states: CommitSummary[]
  branches: NamedState[]
  tags: NamedState[]
  leases: NamedState[]
  jobs: NamedState[]
  tables: LayeredTable[]
  /** Files whose columns were asked for and not looked at, since they are too many. */
  columnFilesLeft: number
  store: { objects: number; bytes: number; orphans: { objects: number; bytes: number } | null; missing: readonly string[]; damaged: readonly string[] }
  /** By which dollars were counted, and those for a month of the store's bytes. */
  prices: StorePrices
  monthlyDollars: number
  /** What this run asked the store for. */
  run: Pick<StoreCounters, 'requests' | 'bytesDown' | 'retries'>
}

export interface SummarizeOptions {
  /** Default main. */
  branch?: string
  /** Read the footers of files, for sizes by column; default false. */
  columns?: boolean
  prices?: StorePrices
}

/** Footers that are read at most. */
const COLUMN_FILES_MAX = 2000

/** What a lake of format 2 holds. Nothing is written. @throws EnvironmentError lake.*, store.*; CorruptionError, UnsupportedError lake.* */
export async function summarizeLake(place: string, options: SummarizeOptions = {}): Promise<LakeSummary> {
  const { branch = MAIN_BRANCH, columns = false, prices = S3_STANDARD } = options
  const lake = await openLayeredLake(place)
  const { store } = lake.ports
  const head = await lake.head(branch)
  const state = await StateManifest.read(lake, await openState(lake, 'newest', branch))
  const states = await lake.runHead(branch, retainedStates)
  const unreadable: string[] = []
  const { tables, columnFilesLeft } = await layeredTables(lake, state, { columnFiles: columns ? COLUMN_FILES_MAX : 0 }, unreadable)
  const { objects, bytes, orphans = null, missing, damaged } = await auditLake(lake, () => {})
  const { manifest } = state
  const { requests, bytesDown, retries } = store.counters
  const named = (list: readonly Registration[]): NamedState[] => list.map((one) => ({ name: one.name, ...summaryOf(one.state) }))
  return {
    url: store.url, systemIdentifier: manifest.systemIdentifier, major: manifest.major, profile: manifest.profile, cas: lake.format.cas, branch,
    epoch: head.epoch, timeline: head.state.timeline, materialized: head.state.lsn, published: head.published ?? null, archived: head.archived ?? null,
    states: states.filter(({ sequence }) => sequence > 0).map((one) => commitSummary(one, prices)),
    branches: named(head.branches), tags: named(head.tags), leases: named(head.leases), jobs: named(head.jobs), tables,
    columnFilesLeft: columns ? columnFilesLeft : 0,
    store: { objects, bytes, orphans, missing, damaged: [...damaged, ...unreadable] }, prices, monthlyDollars: storagePrice(bytes, prices),
    run: { requests: { ...requests }, bytesDown, retries },
  }
}

function commitSummary(state: StateRoot, prices: StorePrices): CommitSummary {
  const { made } = state
  return { ...summaryOf(state), made: made ?? null, dollars: made ? commitPrice(made, prices) : null }
}
