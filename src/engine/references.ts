import { EnvironmentError } from '../common/errors.ts'
import { encodeHead, type Head, type Registration } from '../lake/state/head.ts'
import { checkReferenceName, formatObjectName } from '../lake/state/names.ts'
import {
  dropped, findState, firstHead, keepFrom, type NewRegistration, register, type RegistrationKind, type StateWish, unregister,
} from '../lake/state/registrations.ts'
import type { Stage } from '../lake/state/stage.ts'
import type { Lake } from './lake.ts'

/** Branches, tags, leases, open jobs: each is registered in the HEAD of the branch that it pins before it is used. */

/** A root that was registered, and the HEAD that has it: a snapshot of its state is made of both. */
export interface Registered {
  readonly head: Head
  readonly entry: Registration
}

/**
 * @param until of a lease: milliseconds since 1970. A gc whose clock is past it removes the lease, and a reader that goes on
 * gets an error for an object that is gone
 * @returns the registration, with the state that it pins from now on
 */
export async function addReference(
  lake: Lake, branch: string, kind: RegistrationKind, name: string, at: StateWish, source?: NewRegistration['source'], until?: number,
): Promise<Registered> {
  checkReferenceName(name)
  const id = lake.ports.random.nonce()
  const wanted = { id, name, at, ...source !== undefined && { source }, ...until !== undefined && { until: Math.ceil(until) } }
  const head = await lake.stageHead(branch, (found) => register(found, kind, wanted, lake.ports.random.nonce()))
  return { head, entry: head[kind].find((entry) => entry.id === id)! }
}

/** Removes a registration. If there is no such registration, it was removed already. */
export async function removeReference(lake: Lake, branch: string, kind: Exclude<RegistrationKind, 'branches'>, id: string): Promise<void> {
  await lake.changeHead(branch, (head) => unregister(head, kind, id, lake.ports.random.nonce()))
}

/** A new branch on a state of another one: metadata only. @returns its HEAD */
export async function createBranch(lake: Lake, parent: string, name: string, at: StateWish): Promise<Head> {
  const { entry: { id } } = await addReference(lake, parent, 'branches', name, at)
  for (let attempt = 0; ; attempt++) {
    const [above, found] = await Promise.all([lake.head(parent), lake.readHead(name)])
    if (found?.head.branch.id === id) return found.head
    const registered = above.branches.find((entry) => entry.id === id)
    if (registered === undefined) throw new EnvironmentError('lake.no-branch', `branch ${name} was deleted while it was made`)
    if (found && !found.head.dropped) {
      await forgetBranch(lake, parent, id)
      throw new EnvironmentError('lake.name-taken', `the lake has a branch ${name} already, made from another branch: choose another name`)
    }
    const first = await firstOf(lake, above, registered)
    if (first === undefined) continue
    if (await lake.cas(name).write(encodeHead(first, lake.compressor), found?.token) === 'written') return first
    await lake.pause(attempt, `creating branch ${name}`)
  }
}

/** Its HEAD stays, marked as dropped: a write that comes late finds it, and a new branch of the name replaces it. */
export async function deleteBranch(lake: Lake, parent: string, name: string): Promise<void> {
  const { branches } = await lake.head(parent)
  const registered = branches.find((entry) => entry.name === name)
  if (registered === undefined) throw new EnvironmentError('lake.no-branch', `branch ${parent} has no branch ${name}`)
  const writer = lake.ports.random.nonce()
  for (let attempt = 0; ; attempt++) {
    const [above, found] = await Promise.all([lake.head(parent), lake.readHead(name)])
    const own = found?.head.branch.id === registered.id ? found : undefined
    // Another branch has the name: the branch that is registered here was never made.
    if (own?.head.dropped || found && !own && !found.head.dropped || !above.branches.some(({ id }) => id === registered.id)) break
    const before = own?.head ?? await firstOf(lake, above, registered)
    if (before === undefined) continue
    const last = dropped(before, writer, lake.ports.random.nonce())!
    if (await lake.cas(name).write(encodeHead(last, lake.compressor), found?.token) === 'written') break
    await lake.pause(attempt, `deleting branch ${name}`)
  }
  await forgetBranch(lake, parent, registered.id)
}

/** The first HEAD of a registered branch; undefined if `above` is outdated. */
async function firstOf(lake: Lake, above: Head, registered: Registration): Promise<Head | undefined> {
  try {
    return await lake.pages.run(firstHead(above, registered, lake.ports.random.nonce()))
  } catch (error) {
    if (await lake.isOutdated(error, above)) return undefined
    throw error
  }
}

async function forgetBranch(lake: Lake, parent: string, id: string): Promise<void> {
  await lake.changeHead(parent, (head) => unregister(head, 'branches', id, lake.ports.random.nonce()))
}

/** Shrinks what a branch retains: states before the one that `at` names go, but for what branches, tags, leases and jobs pin. */
export async function keepStates(lake: Lake, branch: string, at: StateWish): Promise<Head> {
  return await lake.stageHead(branch, function* (head): Stage<Head | undefined> {
    return keepFrom(head, (yield* findState(head, at)).sequence, lake.ports.random.nonce())
  })
}

/** Name of an object that an attempt at a unit of an open job makes; each one has another name. */
export function jobObjectName(lake: Lake, branchId: string, jobId: string): string {
  return formatObjectName({ branch: branchId, job: jobId }, lake.ports.random.nonce())
}
