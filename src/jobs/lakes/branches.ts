import { EnvironmentError } from '../../common/errors.ts'
import { registeredHeads } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import { createBranch, deleteBranch } from '../../engine/references.ts'
import type { Head } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { retainedStates } from '../../lake/state/registrations.ts'
import { withdrawBranch } from '../publish/withdraw.ts'
import { openLayeredLake, openState } from './openlake.ts'
import { pointOf } from './pointof.ts'
import { type StateSummary, summaryOf } from './statesummary.ts'

/** A branch of a lake. */
export interface BranchSummary {
  name: string
  /** Branch that it was made from; null for `main`. */
  parent: string | null
  /** State of the parent that it was made on; null for `main`. */
  from: StateSummary | null
  /** Its newest state; null while it is made, or after its deletion was begun and killed: delete it again. */
  newest: StateSummary | null
  /** States that it retains. */
  states: number
  tags: number
  leases: number
}

export interface NewReference {
  /** URL or folder of the lake. */
  lake: string
  name: string
  /** A tag, the LSN of a state, or a time, for the last state at or before it; default: the newest state. */
  at?: string
  /** Branch of the state; default: `main`. */
  branch?: string
}

/**
 * A new branch on a state of another one: two conditional writes, whatever the size of the lake. No layer is written or copied.
 * @throws EnvironmentError lake.*, store.*; UnsupportedError, CorruptionError lake.*
 */
export async function createLakeBranch({ lake: place, name, at, branch = MAIN_BRANCH }: NewReference): Promise<BranchSummary> {
  const lake = await openLayeredLake(place)
  const { state } = await openState(lake, await pointOf(lake, at, branch), branch)
  if (name === MAIN_BRANCH) throw nameTaken()
  return await branchOf(lake, await createBranch(lake, branch, name, { sequence: state.sequence }), branch, summaryOf(state))
}

/** The branches, `main` first, each one behind the branch that it was made from. */
export async function listLakeBranches(place: string): Promise<BranchSummary[]> {
  const lake = await openLayeredLake(place)
  const heads = await registeredHeads(lake)
  const branches: BranchSummary[] = []
  const add = async (head: Head, parent: string | null, from: StateSummary | null): Promise<void> => {
    branches.push(await branchOf(lake, head, parent, from))
    for (const { id, name, state } of head.branches) {
      const child = heads.get(id)
      if (child && !child.dropped) await add(child, head.branch.name, summaryOf(state))
      else branches.push({ name, parent: head.branch.name, from: summaryOf(state), newest: null, states: 0, tags: 0, leases: 0 })
    }
  }
  await add([...heads.values()][0]!, null, null)
  return branches
}

/**
 * Deletes a branch. Its objects stay until gc runs, those that other branches have stay for ever.
 * @throws EnvironmentError lake.no-branch, lake.branch-used if branches, leases or jobs are registered in it
 */
export async function deleteLakeBranch(place: string, name: string): Promise<void> {
  const lake = await openLayeredLake(place)
  if (name === MAIN_BRANCH) throw new EnvironmentError('lake.branch-used', 'branch main is the lake itself, which is deleted with its folder or prefix')
  const heads = [...(await registeredHeads(lake)).values()]
  const parent = heads.find((head) => head?.branches.some((entry) => entry.name === name))
  if (parent === undefined) {
    throw new EnvironmentError('lake.no-branch', `the lake in ${lake.ports.store.url} has no branch ${name}: ltap branch list shows them`)
  }
  const head = heads.find((found) => found?.branch.name === name)
  // Killed behind this, ltap gc removes the metadata of its tables.
  await deleteBranch(lake, parent.branch.name, name)
  if (head !== undefined) await withdrawBranch(lake, head)
}

async function branchOf(lake: Lake, head: Head, parent: string | null, from: StateSummary | null): Promise<BranchSummary> {
  const states = await lake.pages.run(retainedStates(head))
  return {
    name: head.branch.name, parent, from, newest: summaryOf(head.state), states: states.filter(({ sequence }) => sequence > 0).length,
    tags: head.tags.length, leases: head.leases.length,
  }
}

function nameTaken(): EnvironmentError {
  return new EnvironmentError('lake.name-taken', 'main is the branch that every lake has: choose another name')
}
