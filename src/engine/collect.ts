import { forEachAtMost } from '../common/atonce.ts'
import { CorruptionError } from '../common/errors.ts'
import { PACK_TAIL_LENGTH, packDirectoryRange } from '../lake/pack.ts'
import type { EntryKey } from '../lake/state/entries.ts'
import type { Head } from '../lake/state/head.ts'
import { MAIN_BRANCH, parseObjectName } from '../lake/state/names.ts'
import { type ObjectSize, objectSizes } from '../lake/state/objectsizes.ts'
import type { PageRef } from '../lake/state/page.ts'
import { outdatedEntries, type OutdatedEntries } from '../lake/state/outdatedentries.ts'
import { isDead, reachableObjects, Visited } from '../lake/state/reachable.ts'
import { deleteObjects } from './deleteobjects.ts'
import type { Lake } from './lake.ts'
import type { Leftover, ObjectStore } from './objectstore.ts'
import { MISSING_OBJECT, readTail } from './pagereader.ts'

const ENDS_AT_ONCE = 8
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
 * @throws CorruptionError lake.* for an object that is missing or has another size than a state says, and for a damaged page: then nothing is shrunk or deleted
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
  await deleteObjects(lake.ports.store, dead)
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
    try {
      const outdated = await outdatedIn(lake, heads, seenAs)
      const visited = listed?.visitedBut(outdated) ?? new Visited()
      for (const head of heads.values()) {
        if (!head) continue
        await lake.pages.run(reachableObjects(
          seenAs(head), visited, outdated, reachListed, (ref) => listed?.reachPage(ref), (entry, value) => listed?.reachEntry(entry, value)))
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
  /** Only pages of which all was reached but `outdated`, once a walk has ended. */
  private visited = new Visited()
  private outdated: OutdatedEntries = new Set()
  private readonly store: ObjectStore
  private readonly sizes: Map<string, number>
  /** What objects must be: of those that were not listed, or have another size. */
  private readonly doubtful = new Map<string, ObjectSize>()
  /** Where pages end at least, of packs that were reached; and of those whose end was looked at. */
  private readonly packs = new Map<string, number>()
  private readonly wholePacks = new Set<string>()

  constructor(store: ObjectStore, sizes: Map<string, number>) {
    this.store = store
    this.sizes = sizes
  }

  /** Pages that need no second visit, since what was passed over there is passed over again: a state that came meanwhile may need it. */
  visitedBut(outdated: OutdatedEntries): Visited {
    if ([...this.outdated].some((id) => !outdated.has(id))) this.visited = new Visited()
    this.outdated = outdated
    return this.visited
  }

  reach(key: string): void {
    this.expect({ key, bytes: 0, isWhole: false })
  }

  reachPage({ key, start, length }: PageRef): void {
    this.expect({ key, bytes: start + length, isWhole: false })
  }

  reachEntry(entry: EntryKey, value: unknown): void {
    for (const size of objectSizes(entry, value)) this.expect(size)
  }

  private expect(size: ObjectSize): void {
    const { key, isPack } = size
    if (isPack) this.packs.set(key, Math.max(size.bytes, this.packs.get(key) ?? 0))
    const doubt = this.doubtful.get(key)
    const saysMore = doubt === undefined || !doubt.isWhole && (size.isWhole || size.bytes > doubt.bytes)
    if (saysMore && !fits(size, this.sizes.get(key))) this.doubtful.set(key, size)
  }

  /** An object may be newer than the list. */
  async check(): Promise<void> {
    for (const [key, expected] of this.doubtful) {
      const size = (await this.store.head(key))?.size
      if (size === undefined || !fits(expected, size)) throw missing(this.store, expected, size)
      this.sizes.set(key, size)
    }
    this.doubtful.clear()
    await forEachAtMost(ENDS_AT_ONCE, this.packs, async ([key, end]) => {
      if (this.wholePacks.has(key)) return
      const tail = await readTail(this.store, key, PACK_TAIL_LENGTH)
      if (tail === undefined || !endsAsPack(tail, end)) throw missing(this.store, { key, bytes: end, isWhole: false, isPack: true }, tail?.size)
      this.wholePacks.add(key)
    })
  }

  /** A walk broke off. */
  forget(): void {
    this.visited = new Visited()
    this.doubtful.clear()
  }
}

/** Whether an object of a size is what an entry says of it. */
export function fits({ bytes, isWhole }: ObjectSize, size: number | undefined): boolean {
  return size !== undefined && (isWhole ? size === bytes : size >= bytes)
}

function endsAsPack({ bytes, size }: { bytes: Uint8Array; size: number }, end: number): boolean {
  try {
    return packDirectoryRange(bytes, size).start >= end
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
}

function missing({ url }: ObjectStore, { key, bytes, isWhole, isPack }: ObjectSize, size: number | undefined): CorruptionError {
  const what = isPack && size !== undefined && size >= bytes ? `the pack ${key}, whose ${size} bytes in ${url} do not end as a pack does`
    : size === undefined ? `${key}, which is not in ${url}` : isWhole ? `${key} of ${bytes} bytes, which has ${size} bytes in ${url}`
    : `more of ${key} than the ${size} bytes that it has in ${url}`
  return new CorruptionError(MISSING_OBJECT, `a state that stays refers to ${what}. No state was let go and nothing was deleted: put the object back, from a `
    + 'version or a backup of the store, and run gc again; `ltap verify --lake` lists all that is missing. Older states may still be whole', { file: key })
}

/** Entries that leaves have and no state of any of the HEADs needs. */
export async function outdatedIn(lake: Lake, heads: ReadonlyMap<string, Head | undefined>, seenAs: (head: Head) => Head = same): Promise<OutdatedEntries> {
  let outdated: OutdatedEntries | undefined
  for (const head of heads.values()) if (head) outdated = await lake.pages.run(outdatedEntries(seenAs(head), outdated))
  return outdated ?? new Set()
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
