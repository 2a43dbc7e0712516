import { CorruptionError } from '../common/errors.ts'
import type { Head } from '../lake/state/head.ts'
import { MAIN_BRANCH, parseObjectName } from '../lake/state/names.ts'
import { isDead, reachableObjects, Visited } from '../lake/state/reachable.ts'
import type { Lake } from './lake.ts'
import type { Leftover, ObjectStore } from './objectstore.ts'
import { MISSING_OBJECT } from './pagereader.ts'

/** Keys of one request that deletes. */
const DELETED_AT_ONCE = 1000
/** Milliseconds: an upload of which nothing else is known is given up when it is so old. */
const LEFTOVER_AGE = 7 * 24 * 3_600_000

const BRANCHES_FOLDER = 'ltap/branches/'
/** Where HEADs have sequenced names. */
const SEQUENCED_HEAD = /^ltap\/branches\/([a-z0-9][a-z0-9_-]{0,62})\/HEAD\/\d{20}$/

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
 * Deletes objects that no root refers to and no commit will ever refer to, and earlier values of HEADs. The order matters: it lists the objects, then
 * reads the HEADs, then deletes. To make states collectable, call {@link keepStates} first, or give `shrink`.
 * @param isDryRun only counts
 * @param leftoverAge of an upload that has not ended and neither its process nor its name tells of: milliseconds, by the store's clock and ours. Clocks that
 * differ cost nobody more than an upload, which ends with an error
 * @param seenAs what a HEAD would be: of a dry run, or after `shrink`
 * @param shrink makes HEADs what `seenAs` says; called once every object that those refer to was found
 * @throws CorruptionError lake.* for an object that is missing or too short, and for a damaged page: then nothing is shrunk or deleted
 */
export async function collectGarbage(
  lake: Lake, isDryRun = false, leftoverAge: number = LEFTOVER_AGE, seenAs: (head: Head) => Head = same, shrink?: () => Promise<void>,
): Promise<Collected> {
  const candidates = new Map<string, number>()
  for await (const { key, size } of lake.ports.store.list('')) if (parseObjectName(key)) candidates.set(key, size)
  const [objects, bytes] = [candidates.size, total(candidates)]
  const uploads: Leftover[] = []
  for await (const upload of lake.ports.store.leftovers()) uploads.push(upload)
  const listed = new ListedObjects(lake.ports.store, new Map(candidates))
  let heads = await followRoots(lake, (key) => candidates.delete(key), seenAs, listed)
  if (shrink !== undefined) {
    await shrink()
    heads = await followRoots(lake, (key) => candidates.delete(key), same, listed)
  }
  for (const key of candidates.keys()) if (!isDead(key, heads)) candidates.delete(key)
  const oldest = lake.ports.clock.now() - leftoverAge
  const leftovers = uploads.filter((upload) => isGivenUp(upload, heads, oldest))
  if (!isDryRun) {
    await remove(lake, leftovers, [...candidates.keys()])
    await forgetEarlierHeads(lake)
  }
  return { objects, bytes, dead: candidates.size, deadBytes: total(candidates), leftovers: leftovers.length }
}

async function remove(lake: Lake, leftovers: readonly Leftover[], dead: readonly string[]): Promise<void> {
  for (const leftover of leftovers) await leftover.remove()
  for (let start = 0; start < dead.length; start += DELETED_AT_ONCE) await lake.ports.store.delete(dead.slice(start, start + DELETED_AT_ONCE))
}

/** Also of branches that were deleted: their HEADs stay. */
async function forgetEarlierHeads(lake: Lake): Promise<void> {
  if (lake.format.cas !== 'if-none-match') return
  const branches = new Set<string>()
  for await (const { key } of lake.ports.store.list(BRANCHES_FOLDER)) {
    const branch = SEQUENCED_HEAD.exec(key)?.[1]
    if (branch !== undefined) branches.add(branch)
  }
  for (const branch of branches) await lake.cas(branch).forgetEarlier()
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
export async function reachAll(lake: Lake, reach: (key: string) => void, seenAs: (head: Head) => Head = same): Promise<Map<string, Head | undefined>> {
  return await followRoots(lake, reach, seenAs)
}

/** As {@link reachAll}. @param listed finds out whether the objects are there */
async function followRoots(
  lake: Lake, reach: (key: string) => void, seenAs: (head: Head) => Head, listed?: ListedObjects,
): Promise<Map<string, Head | undefined>> {
  const reachListed = (key: string): void => {
    reach(key)
    listed?.reach(key)
  }
  for (;;) {
    const heads = await registeredHeads(lake)
    const visited = listed?.visited ?? new Visited()
    try {
      for (const head of heads.values()) {
        if (head) await lake.pages.run(reachableObjects(seenAs(head), visited, reachListed, ({ key, start, length }) => listed?.reach(key, start + length)))
      }
      await listed?.check()
      return heads
    } catch (error) {
      // Another collector may have deleted objects that a newer HEAD, of this branch or of the one that registered it, does not refer to.
      if (!await isAnyOutdated(lake, error, heads)) throw error
      listed?.forget()
    }
  }
}

/** What was listed before HEADs were read, and what they refer to. Pages that were visited once are not read a second time. */
class ListedObjects {
  /** Only pages of which all was reached, once a walk has ended. */
  visited = new Visited()
  private readonly store: ObjectStore
  private readonly sizes: Map<string, number>
  /** Bytes that an object has at least: of those that were not listed, or are too short. */
  private readonly doubtful = new Map<string, number>()

  constructor(store: ObjectStore, sizes: Map<string, number>) {
    this.store = store
    this.sizes = sizes
  }

  reach(key: string, end = 0): void {
    if (!((this.sizes.get(key) ?? -1) >= end)) this.doubtful.set(key, Math.max(end, this.doubtful.get(key) ?? 0))
  }

  /** An object may be newer than the list. */
  async check(): Promise<void> {
    for (const [key, end] of this.doubtful) {
      const size = (await this.store.head(key))?.size
      if (size === undefined || size < end) throw missing(this.store, key, size)
      this.sizes.set(key, size)
    }
    this.doubtful.clear()
  }

  /** A walk broke off. */
  forget(): void {
    this.visited = new Visited()
    this.doubtful.clear()
  }
}

function missing({ url }: ObjectStore, key: string, size: number | undefined): CorruptionError {
  const what = size === undefined ? `${key}, which is not in ${url}` : `more of ${key} than the ${size} bytes that it has in ${url}`
  return new CorruptionError(MISSING_OBJECT, `a state that stays refers to ${what}. No state was let go and nothing was deleted: put the object back, from a `
    + 'version or a backup of the store, and run gc again; `ltap verify --lake` lists all that is missing. Older states may still be whole', { file: key })
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

function same(head: Head): Head {
  return head
}

function total(sizes: ReadonlyMap<string, number>): number {
  let sum = 0
  for (const size of sizes.values()) sum += size
  return sum
}
