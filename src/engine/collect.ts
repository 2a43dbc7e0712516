import type { Head } from '../lake/state/head.ts'
import { MAIN_BRANCH, parseObjectName } from '../lake/state/names.ts'
import { isDead, reachableObjects, Visited } from '../lake/state/reachable.ts'
import type { Lake } from './lake.ts'
import type { Leftover } from './objectstore.ts'

/** Keys of one request that deletes. */
const DELETED_AT_ONCE = 1000
/** Milliseconds: an upload of which nothing else is known is given up when it is so old. */
const LEFTOVER_AGE = 7 * 24 * 3_600_000

export interface Collected {
  /** Objects of the lake that were listed, but for HEADs and the like. */
  readonly objects: number
  readonly bytes: number
  /** Objects that no root refers to, and that no commit will refer to. */
  readonly dead: number
  readonly deadBytes: number
  /** Uploads that began and never end. */
  readonly leftovers: number
}

/**
 * Deletes objects that no root refers to and no commit will ever refer to. The order matters: it lists the objects, then reads the HEADs, then
 * deletes. To make states collectable, call {@link keepStates} first.
 * @param isDryRun only counts
 * @param leftoverAge of an upload that has not ended and neither its process nor its name tells of: milliseconds, by the store's clock and ours. Clocks that
 * differ cost nobody more than an upload, which ends with an error
 * @param seenAs of a dry run: what a HEAD would be
 */
export async function collectGarbage(
  lake: Lake, isDryRun = false, leftoverAge: number = LEFTOVER_AGE, seenAs: (head: Head) => Head = (head) => head,
): Promise<Collected> {
  const candidates = new Map<string, number>()
  for await (const { key, size } of lake.ports.store.list('')) if (parseObjectName(key)) candidates.set(key, size)
  const [objects, bytes] = [candidates.size, total(candidates)]
  const uploads: Leftover[] = []
  for await (const upload of lake.ports.store.leftovers()) uploads.push(upload)
  const heads = await reachAll(lake, (key) => candidates.delete(key), seenAs)
  for (const key of candidates.keys()) if (!isDead(key, heads)) candidates.delete(key)
  const oldest = lake.ports.clock.now() - leftoverAge
  const leftovers = uploads.filter((upload) => isGivenUp(upload, heads, oldest))
  if (!isDryRun) {
    for (const leftover of leftovers) await leftover.remove()
    const dead = [...candidates.keys()]
    for (let start = 0; start < dead.length; start += DELETED_AT_ONCE) await lake.ports.store.delete(dead.slice(start, start + DELETED_AT_ONCE))
  }
  return { objects, bytes, dead: candidates.size, deadBytes: total(candidates), leftovers: leftovers.length }
}

/** Whether no process goes on with an upload, or only one whose commit of it would be refused. */
function isGivenUp({ key, started, process }: Leftover, heads: ReadonlyMap<string, Head | undefined>, oldest: number): boolean {
  if (process !== undefined) return process === 'gone'
  // Another program's, in the same bucket.
  if (key !== undefined && parseObjectName(key) === undefined) return false
  return key !== undefined && isDead(key, heads) || started < oldest
}

/**
 * Calls `reach` with each object that a root of the lake refers to: with all of them, and perhaps with more that roots referred to a moment before.
 * @returns the HEADs by which it went
 */
export async function reachAll(
  lake: Lake, reach: (key: string) => void, seenAs: (head: Head) => Head = (head) => head,
): Promise<Map<string, Head | undefined>> {
  for (;;) {
    const heads = await registeredHeads(lake)
    const visited = new Visited()
    let outdated = false
    for (const head of heads.values()) {
      if (!head || outdated) continue
      try {
        await lake.pages.run(reachableObjects(seenAs(head), visited, reach))
      } catch (error) {
        // Another collector may have deleted objects that a newer HEAD, of this branch or of the one that registered it, does not refer to.
        if (!await isAnyOutdated(lake, error, heads)) throw error
        outdated = true
      }
    }
    if (!outdated) return heads
  }
}

async function isAnyOutdated(lake: Lake, error: unknown, heads: ReadonlyMap<string, Head | undefined>): Promise<boolean> {
  for (const head of heads.values()) if (head && await lake.isOutdated(error, head)) return true
  return false
}

/** HEADs of all branches by id, by following registrations from `main`; undefined for a branch that is registered and has no HEAD yet. */
export async function registeredHeads(lake: Lake): Promise<Map<string, Head | undefined>> {
  const main = await lake.head(MAIN_BRANCH)
  const heads = new Map<string, Head | undefined>([[main.branch.id, main]])
  for (const head of heads.values()) {
    for (const { id, name } of head?.branches ?? []) {
      const found = await lake.readHead(name)
      heads.set(id, found?.head.branch.id === id ? found.head : undefined)
    }
  }
  return heads
}

function total(sizes: ReadonlyMap<string, number>): number {
  let sum = 0
  for (const size of sizes.values()) sum += size
  return sum
}
