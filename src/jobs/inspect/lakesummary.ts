import { forEachAtMost } from '../../common/atonce.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { auditLake } from '../../engine/audit.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import type { StoreCounters } from '../../engine/objectstore.ts'
import { storedBytes } from '../../lake/layer.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import type { Registration } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { retainedStates } from '../../lake/state/registrations.ts'
import { isUserTable } from '../../lake/viewnames.ts'
import { filesOf, readBlockIndex } from '../lakes/layerfiles.ts'
import { openLayeredLake, openState } from '../lakes/openlake.ts'
import { StateManifest } from '../lakes/statemanifest.ts'
import { type StateSummary, summaryOf } from '../lakes/statesummary.ts'

export interface NamedState extends StateSummary {
  name: string
}

/** A relation with pages in the newest state. */
export interface LayeredTable {
  database: string | null
  schema: string
  name: string
  relkind: string
  oid: number
  /** Its length. */
  blocks: number
  layers: number
  /** Files that have current blocks, and all of its layers. */
  currentFiles: number
  files: number
  /** Size of all its files and of the objects beside them. */
  bytes: number
  /** Rows of the files, structure rows too, and those of them that no reader of the newest state sees; null of tables that are the server's own. */
  rows: number
  rowsNotShown: number | null
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
  /** LSNs that were reached; null: not yet. */
  materialized: string
  published: string | null
  archived: string | null
  /** Oldest first, the newest state last. */
  states: StateSummary[]
  branches: NamedState[]
  tags: NamedState[]
  leases: NamedState[]
  jobs: NamedState[]
  tables: LayeredTable[]
  store: { objects: number; bytes: number; orphans: { objects: number; bytes: number } | null; missing: readonly string[]; damaged: readonly string[] }
  /** What this run asked the store for. */
  run: Pick<StoreCounters, 'requests' | 'bytesDown' | 'retries'>
}

const READS_AT_ONCE = 8

/** What a lake of format 2 holds. Nothing is written. @throws EnvironmentError lake.*, store.*; CorruptionError, UnsupportedError lake.* */
export async function summarizeLake(place: string, branch: string = MAIN_BRANCH): Promise<LakeSummary> {
  const lake = await openLayeredLake(place)
  const { store } = lake.ports
  const head = await lake.head(branch)
  const state = await StateManifest.read(lake, await openState(lake, 'newest', branch))
  const states = await lake.runHead(branch, retainedStates)
  const tables = await tablesOf(lake, state)
  const { objects, bytes, orphans = null, missing, damaged } = await auditLake(lake, () => {})
  const { manifest } = state
  const { requests, bytesDown, retries } = store.counters
  const named = (list: readonly Registration[]): NamedState[] => list.map((one) => ({ name: one.name, ...summaryOf(one.state) }))
  return {
    url: store.url, systemIdentifier: manifest.systemIdentifier, major: manifest.major, profile: manifest.profile, cas: lake.format.cas, branch,
    epoch: head.epoch, materialized: head.state.lsn, published: head.published ?? null, archived: head.archived ?? null,
    states: states.filter(({ sequence }) => sequence > 0).map(summaryOf), branches: named(head.branches), tags: named(head.tags), leases: named(head.leases),
    jobs: named(head.jobs), tables, store: { objects, bytes, orphans, missing, damaged }, run: { requests: { ...requests }, bytesDown, retries },
  }
}

/** The largest first. */
async function tablesOf(lake: Lake, state: StateManifest): Promise<LayeredTable[]> {
  const tables: LayeredTable[] = []
  await forEachAtMost(READS_AT_ONCE, state.manifest.relations.filter(({ relkind }) => relkind !== 'p'), async (relation) => {
    tables.push(await tableOf(lake, state, relation))
  })
  return tables.sort((a, b) => b.bytes - a.bytes || a.oid - b.oid)
}

async function tableOf(lake: Lake, state: StateManifest, relation: LakeRelation): Promise<LayeredTable> {
  const { database, schema, name, relkind, oid, forks: { main: blocks = 0 } } = relation
  const found = (await state.relation(relation))!
  const files = filesOf(found, state.manifest.systemIdentifier)
  const current = files.filter((file) => file.current.size > 0)
  let notShown = 0
  for (const { file, current: counting } of isUserTable(relation) ? files : []) {
    const { index } = await readBlockIndex(lake.ports.store, file)
    notShown += (await readRowsNotShown(state.snapshot, { index, current: counting }, relation.visible)).size
  }
  return {
    database, schema, name, relkind, oid, blocks, layers: found.layers.length, currentFiles: current.length, files: files.length,
    bytes: files.reduce((sum, { file }) => sum + storedBytes(file), 0), rows: files.reduce((sum, { file }) => sum + file.rows, 0),
    rowsNotShown: isUserTable(relation) ? notShown : null,
  }
}
