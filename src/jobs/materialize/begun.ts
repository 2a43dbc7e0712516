import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { formatLsn, parseLsn } from '../../common/ids.ts'
import { Lake, type LakePorts } from '../../engine/lake.ts'
import { isProbe, probeCas } from '../../engine/probecas.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { type DirectoryCluster, directoryOptions, openCluster } from '../../io/cluster.ts'
import { systemClock } from '../../io/process/clock.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import { DEFAULT_PACKING, type LakeSelection, type Packing } from '../../lake/clusterinfo.ts'
import type { StatePosition } from '../../lake/state/commit.ts'
import type { Head } from '../../lake/state/head.ts'
import { FORMAT_KEY, MAIN_BRANCH } from '../../lake/state/names.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import { PlannedRelations } from '../plannedrelations.ts'
import { lakeSelection, selectionOf } from './lakeselection.ts'
import type { MaterializeLakeOptions } from './materializeoptions.ts'
import { refuseOtherSource } from './othersource.ts'
import { PreviousState } from './previousstate.ts'

function portsOf({ store, clock = systemClock, random = systemRandom }: MaterializeLakeOptions): LakePorts {
  return { store, clock, random }
}

/** A cluster, and the lake that is to have it. */
export interface Opened {
  cluster: DirectoryCluster
  lake: Lake
  head: Head
  /** The relations to write, of a lake that was made just now. */
  plan: PlannedRelations | undefined
}

/** Opens both; a lake that is not there is made. @throws EnvironmentError datadir.*, lake.*, store.*, selection.* */
export async function openBoth(options: MaterializeLakeOptions): Promise<Opened> {
  const cluster = openCluster(options.pgdata, directoryOptions(options))
  const found = await openIfThere(options)
  return { cluster, ...found === undefined ? await makeLake(cluster, options) : { ...found, plan: undefined } }
}

/** What files of the lake say of a cluster. */
export function describedCluster({ systemIdentifier, major, checksums, lsn }: DirectoryCluster, { format: { profile } }: Lake): ClusterDescriptor {
  return { systemIdentifier: String(systemIdentifier), major, checksums, lsn: formatLsn(lsn), profile }
}

/** Where a lake is that has all of a cluster. */
export function positionOf({ timeline, lsn, time }: DirectoryCluster): StatePosition {
  return { timeline, lsn: formatLsn(lsn), ...(time !== undefined && { time }) }
}

/** @throws EnvironmentError lake.not-empty, lake.profile, lake.missing */
async function openIfThere(options: MaterializeLakeOptions): Promise<{ lake: Lake; head: Head } | undefined> {
  const { store } = options
  if (await store.head(FORMAT_KEY) !== undefined) {
    const lake = await Lake.open(portsOf(options))
    const { profile = lake.format.profile, branch } = options
    // One that was killed while it made the lake left it without HEAD: then it is made to its end.
    const head = branch === undefined ? (await lake.readHead(MAIN_BRANCH))?.head : await lake.head(branch)
    if (profile === lake.format.profile) return head && { lake, head }
    throw new EnvironmentError('lake.profile',
      `the lake in ${store.url} stores types as profile ${lake.format.profile} says, from its first state on, not ${profile}: make another lake for these`)
  }
  if (options.branch !== undefined) throw new EnvironmentError('lake.missing', `${store.url} has no lake, and so no branch ${options.branch}`)
  for await (const { key } of store.list('')) {
    if (isProbe(key)) continue
    throw new EnvironmentError('lake.not-empty', `${store.url} has no lake, but an object ${key}: name an empty place for a new lake`)
  }
  return undefined
}

/** A new lake, with what of the cluster goes into it: what cannot be read makes no lake. */
async function makeLake(cluster: DirectoryCluster, options: MaterializeLakeOptions): Promise<{ lake: Lake; head: Head; plan: PlannedRelations }> {
  const ports = portsOf(options)
  const plan = new PlannedRelations(cluster, { onCorrupt: options.onCorrupt, filter: selectionOf(options.filter) })
  const { profile = 'portable' } = options
  const cas = await probeCas(ports.store, ports.random)
  const lake = await Lake.create(ports, { systemIdentifier: String(cluster.systemIdentifier), profile, cas })
  return { lake, head: await lake.head(MAIN_BRANCH), plan }
}

/** What a state leaves to do. */
export type Begun = { isThere: true; before: PreviousState } | BegunWork

export interface BegunWork {
  isThere: false
  base: StateRoot
  before: PreviousState
  plan: PlannedRelations
  /** What the lake takes of the cluster; undefined for all of it. */
  selection: LakeSelection | undefined
}

/** Lengths below which relations lie in packs. */
export function packingOf({ base, before }: BegunWork, { packing }: MaterializeLakeOptions): Packing {
  const known = { ...DEFAULT_PACKING, ...(base.sequence > 0 && before.cluster.packing) }
  const given = packing?.tables ?? []
  const tables = [...(known.tables ?? []).filter(({ table }) => !given.some((other) => other.table === table)), ...given]
  return { ...known, ...packing, ...(tables.length > 0 && { tables }) }
}

/**
 * What is to be done to bring a lake from a state to where a cluster is.
 * @param plan of a lake that was made just now
 * @throws EnvironmentError lake.*, selection.* if this cluster cannot follow the state
 */
export async function begin(
  lake: Lake, head: Head, { cluster, options, plan }: { cluster: DirectoryCluster; options: MaterializeLakeOptions; plan?: PlannedRelations | undefined },
): Promise<Begun> {
  await refuseOtherSource(lake, head, cluster, options.pgdata)
  const { state: base } = head
  const before = await PreviousState.read(Snapshot.of(lake, head, base), lake.ports.store)
  const isFirst = base.sequence === 0
  const selection = isFirst ? selectionOf(options.filter) : lakeSelection(lake.ports.store.url, before, options.filter, options.onNotice)
  const isThere = !isFirst && parseLsn(base.lsn) === cluster.lsn
  const chosen = isFirst || selection === undefined ? { filter: selection } : { filter: selection, known: before }
  if (isThere) return { isThere, before }
  return { isThere, base, before, selection, plan: plan ?? new PlannedRelations(cluster, { onCorrupt: options.onCorrupt, ...chosen }) }
}
