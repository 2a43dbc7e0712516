import { CorruptionError } from '../common/errors.ts'
import type { EntryKey } from '../lake/state/entries.ts'
import { editsOf, entryId } from '../lake/state/entries.ts'
import type { Head } from '../lake/state/head.ts'
import { parseObjectName } from '../lake/state/names.ts'
import { objectsOf } from '../lake/state/objects.ts'
import { type ObjectSize, objectSizes } from '../lake/state/objectsizes.ts'
import type { OutdatedEntries } from '../lake/state/outdatedentries.ts'
import type { PageRef } from '../lake/state/page.ts'
import { isDead, Visited } from '../lake/state/reachable.ts'
import { olderStates, registeredStates } from '../lake/state/registrations.ts'
import type { Stage } from '../lake/state/stage.ts'
import { STATE_TREES, type StateRoot } from '../lake/state/stateroot.ts'
import { scanTree } from '../lake/state/tree.ts'
import { fits, outdatedIn, registeredHeads } from './collect.ts'
import type { Lake } from './lake.ts'

/** What of a lake is in its store, and what should be. */
export interface Audit {
  /** Objects that were listed, and their bytes; those of HEADs and the like are not counted. */
  readonly objects: number
  readonly bytes: number
  /** Objects that no state refers to or ever will, such as those of a killed writer. Undefined if a damaged page hides what it refers to. */
  readonly orphans: { readonly objects: number; readonly bytes: number } | undefined
  /** Objects that a state refers to and the store does not have. */
  readonly missing: readonly string[]
  /** Objects that have another size than a state says, with a sentence. */
  readonly otherSize: ReadonlyMap<string, string>
  /** A sentence for each page and each entry of a state that cannot be read. */
  readonly damaged: readonly string[]
}

/**
 * Goes through all states that any branch, tag, lease or job of the lake retains. Nothing is deleted or written.
 * @param visit called with each entry of them, often with several states' entries of one key
 * @throws EnvironmentError store.*; CorruptionError, UnsupportedError lake.* for a HEAD
 */
export async function auditLake(lake: Lake, visit: (entry: EntryKey, value: unknown) => void): Promise<Audit> {
  const { store } = lake.ports
  const listed = new Map<string, number>()
  for await (const { key, size } of store.list('')) if (parseObjectName(key)) listed.set(key, size)
  // As gc does it: first the list, then HEADs. What is written meanwhile is neither missing nor an orphan.
  const heads = await registeredHeads(lake)
  const walk = new Walk(lake, visit)
  await walk.heads(heads)
  const missing: string[] = []
  for (const key of walk.reached) if (!listed.has(key) && await store.head(key) === undefined) missing.push(key)
  const otherSize = new Map<string, string>()
  for (const expected of walk.sizes.values()) {
    const { key, bytes, isWhole } = expected
    if (fits(expected, listed.get(key))) continue
    const size = (await store.head(key))?.size
    if (size !== undefined && !fits(expected, size)) otherSize.set(key, `it has ${size} bytes, a state says ${isWhole ? '' : 'at least '}${bytes}`)
  }
  const dead = [...listed].filter(([key]) => !walk.reached.has(key) && isDead(key, heads))
  const sum = (sizes: Iterable<number>): number => [...sizes].reduce((total, size) => total + size, 0)
  return {
    objects: listed.size, bytes: sum(listed.values()), missing: missing.sort(), otherSize, damaged: walk.damaged,
    orphans: walk.damaged.length > 0 ? undefined : { objects: dead.length, bytes: sum(dead.map(([, size]) => size)) },
  }
}

class Walk {
  readonly reached = new Set<string>()
  /** By key and what is said of it. */
  readonly sizes = new Map<string, ObjectSize>()
  readonly damaged: string[] = []
  private readonly lake: Lake
  private readonly visit: (entry: EntryKey, value: unknown) => void
  private readonly visited = new Visited()
  /** What leaves say of these entries no state needs: gc removes the objects. */
  private outdated: OutdatedEntries = new Set()

  constructor(lake: Lake, visit: (entry: EntryKey, value: unknown) => void) {
    this.lake = lake
    this.visit = visit
  }

  async heads(heads: ReadonlyMap<string, Head | undefined>): Promise<void> {
    this.outdated = await this.unlessDamaged(() => outdatedIn(this.lake, heads)) ?? new Set()
    for (const head of heads.values()) if (head) await this.head(head)
  }

  private async head(head: Head): Promise<void> {
    for (const { tree, key, value } of head.inline) this.entry({ tree, key }, value)
    const reach = (ref: PageRef): true => {
      this.reached.add(ref.key)
      return true
    }
    const older = await this.unlessDamaged(() => this.lake.pages.run(olderStates(head, reach))) ?? []
    for (const state of [...registeredStates(head), ...older]) await this.state(head, state)
  }

  private async state(head: Head, state: StateRoot): Promise<void> {
    const { pages } = this.lake
    await this.unlessDamaged(() => pages.run(this.log(head, state)))
    for (const tree of STATE_TREES) {
      await this.unlessDamaged(() => pages.run(scanTree(tree, state.roots[tree], (entries) => {
        for (const [key, value] of entries) if (!this.outdated.has(entryId({ tree, key }))) this.entry({ tree, key }, value)
      }, (ref) => this.enter(ref))))
    }
  }

  private *log(head: Head, state: StateRoot): Stage<void> {
    if (state.log === undefined || !this.enter(state.log)) return
    const edits = yield* editsOf(head, { ...state, sequence: Infinity })
    for (const { tree, key, value } of edits) this.entry({ tree, key }, value)
  }

  /** One that is damaged does not cost the others. */
  private entry(entry: EntryKey, value: unknown): void {
    if (value === undefined) return
    try {
      for (const object of objectsOf(entry, value)) this.reached.add(object)
      for (const size of objectSizes(entry, value)) this.expect(size)
      this.visit(entry, value)
    } catch (error) {
      this.damage(error)
    }
  }

  /** Keeps what is said of an object; where only pieces of it are named, the last end counts. */
  private expect(size: ObjectSize): void {
    const id = size.isWhole ? `${size.key} ${size.bytes}` : size.key
    if (size.bytes > (this.sizes.get(id)?.bytes ?? -1)) this.sizes.set(id, size)
  }

  private enter(ref: PageRef): boolean {
    this.reached.add(ref.key)
    return this.visited.add(ref)
  }

  private async unlessDamaged<T>(body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body()
    } catch (error) {
      this.damage(error)
      return undefined
    }
  }

  private damage(error: unknown): void {
    if (!(error instanceof CorruptionError)) throw error
    if (!this.damaged.includes(error.message)) this.damaged.push(error.message)
  }
}
