import { isPositioned } from '../common/errors.ts'
import type { Head } from '../lake/state/head.ts'
import { type KeepWish, planRetention, retained, type RetentionPlan } from '../lake/state/retention.ts'
import type { Stage } from '../lake/state/stage.ts'
import { registeredHeads } from './collect.ts'
import type { Lake } from './lake.ts'

/** What became of one branch. */
export interface BranchRetention {
  /** HEAD before. */
  readonly head: Head
  readonly plan: RetentionPlan
}

/**
 * Shrinks what branches retain, and removes leases that are over: for each branch one conditional write of its HEAD. No epoch is raised, so that a
 * writer goes on. Objects that no state needs any more are there until {@link collectGarbage} runs.
 * @param wish undefined: all states stay
 * @param only the branch of this name; undefined: each branch
 * @param isDryRun says what would be done
 * @throws EnvironmentError lake.no-branch
 */
export async function retainStates(lake: Lake, wish: KeepWish | undefined, only: string | undefined, isDryRun: boolean): Promise<BranchRetention[]> {
  const heads = only === undefined ? [...(await registeredHeads(lake)).values()] : [await lake.head(only)]
  const done: BranchRetention[] = []
  for (const head of heads) {
    if (head === undefined || head.dropped) continue
    const found = await retainBranch(lake, head.branch.name, wish, isDryRun)
    if (found) done.push(found)
  }
  return done
}

/** @returns undefined for a branch that was deleted meanwhile */
async function retainBranch(lake: Lake, branch: string, wish: KeepWish | undefined, isDryRun: boolean): Promise<BranchRetention | undefined> {
  let first: BranchRetention | undefined
  const now = lake.ports.clock.now()
  try {
    if (isDryRun) {
      return await lake.runHead(branch, function* (head): Stage<BranchRetention> {
        return { head, plan: yield* planRetention(head, wish, now) }
      })
    }
    await lake.stageHead(branch, function* (head): Stage<Head | undefined> {
      if (head.dropped) return undefined
      const plan = yield* planRetention(head, wish, now)
      const next = retained(head, plan, lake.ports.random.nonce())
      // After a lost reply HEAD may have the change already: what it did is what the attempt before found.
      if (next !== undefined || first === undefined) first = { head, plan }
      return next
    })
    return first
  } catch (error) {
    if (isPositioned(error) && error.code === 'lake.no-branch') return undefined
    throw error
  }
}
