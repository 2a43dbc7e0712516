import { type Collected, collectGarbage } from '../../engine/collect.ts'
import { deleteObjects } from '../../engine/deleteobjects.ts'
import { type BranchRetention, retainStates } from '../../engine/retention.ts'
import type { Head } from '../../lake/state/head.ts'
import { type Pin, pinsOf, retained } from '../../lake/state/retention.ts'
import { obsoleteFiles } from '../publish/obsoletefiles.ts'
import { keepWishOf } from './keepwish.ts'
import { openLayeredLake } from './openlake.ts'
import { type StateSummary, summaryOf } from './statesummary.ts'

export interface CollectLakeOptions {
  /** URL or folder of the lake. */
  lake: string
  /** States from the newest one at or before this on stay: a duration (`30d`), an LSN, a time; default: all that are retained now. */
  keep?: string
  /** Retention of this branch alone; default: of each branch. What no state needs goes whatever the branch. */
  branch?: string
  /** Nothing is written or deleted. */
  dryRun?: boolean
}

/** A state that the branch does not keep any more, and what keeps it. */
export interface PinnedState extends StateSummary {
  kind: Pin['kind']
  name: string
}

export interface CollectedBranch {
  name: string
  /** States that stay, the oldest of them, and states that go, but for pinned ones. */
  kept: number
  oldest: StateSummary
  gone: number
  /** Number of states that stay and do not say their time: no duration and no time removes them. */
  undated: number
  pinned: PinnedState[]
  /** Names of leases that were over. */
  endedLeases: string[]
}

export interface CollectReport extends Collected {
  url: string
  dryRun: boolean
  keep: string | null
  /** Metadata files of published tables that no reader needs any more: of a publication that was killed, or of a branch that was deleted. */
  metadata: number
  branches: CollectedBranch[]
}

/**
 * Removes from a lake what is not retained: first states older than the wish, if those that stay are whole, then the objects that no state of any
 * branch, tag, lease or job needs, and uploads that never end. A writer goes on meanwhile, no epoch is raised.
 * @throws EnvironmentError lake.*, store.*; UnsupportedError lake.format; CorruptionError lake.* for a damaged state that stays: then no state goes,
 * and nothing is deleted
 */
export async function collectLake({ lake: place, keep, branch, dryRun = false }: CollectLakeOptions): Promise<CollectReport> {
  const lake = await openLayeredLake(place)
  const { store, clock } = lake.ports
  const wish = keep === undefined ? undefined : keepWishOf(keep, clock.now())
  // What stays is looked at before anything goes: the state before may be the last one that is whole.
  let branches = await retainStates(lake, wish, branch, true)
  const shrinks = !dryRun && branches.some(({ head, plan }) => retained(head, plan, head.commit) !== undefined)
  const shrink = async (): Promise<void> => void (branches = await retainStates(lake, wish, branch, false))
  const collected = await collectGarbage(lake, dryRun, undefined, dryRun || shrinks ? as(branches) : undefined, shrinks ? shrink : undefined)
  const metadata = await obsoleteFiles(lake)
  if (!dryRun) await deleteObjects(store, metadata)
  return { url: store.url, dryRun, keep: keep ?? null, metadata: metadata.length, branches: branches.map(branchOf), ...collected }
}

/** HEADs as they would be. */
function as(branches: readonly BranchRetention[]): (head: Head) => Head {
  const plans = new Map(branches.map(({ head, plan }) => [head.branch.id, plan]))
  return (head) => {
    const plan = plans.get(head.branch.id)
    return plan && retained(head, plan, head.commit) || head
  }
}

function branchOf({ head, plan }: BranchRetention): CollectedBranch {
  const { kept, gone, ended } = plan
  return {
    name: head.branch.name, kept: kept.length, oldest: summaryOf(kept[0]!), gone: gone.length, undated: kept.filter(({ time }) => time === undefined).length,
    pinned: pinsOf(head, plan).map(({ kind, entry }) => ({ kind, name: entry.name, ...summaryOf(entry.state) })), endedLeases: ended.map(({ name }) => name),
  }
}
