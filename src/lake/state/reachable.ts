import { editsOf, entryId, type EntryKey } from './entries.ts'
import type { Head } from './head.ts'
import { parseObjectName } from './names.ts'
import { objectsOf } from './objects.ts'
import type { OutdatedEntries } from './outdatedentries.ts'
import type { PageRef } from './page.ts'
import { olderStates, registeredStates } from './registrations.ts'
import type { Stage } from './stage.ts'
import { STATE_TREES, type StateRoot } from './stateroot.ts'
import { scanTree } from './tree.ts'

/** Pages that were visited, so that what states share is read once. One for all branches of a lake. */
export class Visited {
  private readonly pages = new Set<string>()

  /** True the first time. */
  add({ key, start }: PageRef): boolean {
    const id = `${key}:${start}`
    if (this.pages.has(id)) return false
    this.pages.add(id)
    return true
  }
}

/**
 * Calls `reach` with each object that a root in `head` refers to, `onPage` with each page, and `onEntry` with each entry, once or more often.
 * @param outdated entries that leaves have and no state needs, of all HEADs that `visited` is for
 */
export function* reachableObjects(
  head: Head, visited: Visited, outdated: OutdatedEntries, reach: (key: string) => void, onPage?: (ref: PageRef) => void,
  onEntry?: (entry: EntryKey, value: unknown) => void,
): Stage<void> {
  const reachEntry = (entry: EntryKey, value: unknown): void => {
    for (const object of objectsOf(entry, value)) reach(object)
    onEntry?.(entry, value)
  }
  const enter = (ref: PageRef): boolean => {
    reach(ref.key)
    onPage?.(ref)
    return visited.add(ref)
  }
  const older = yield* olderStates(head, (ref) => {
    reach(ref.key)
    onPage?.(ref)
    return true
  })
  for (const { tree, key, value } of head.inline) reachEntry({ tree, key }, value)
  for (const state of [...registeredStates(head), ...older]) yield* reachState(head, state, outdated, enter, reachEntry)
}

function* reachState(
  head: Head, state: StateRoot, outdated: OutdatedEntries, enter: (ref: PageRef) => boolean, reachEntry: (entry: EntryKey, value: unknown) => void,
): Stage<void> {
  if (state.log !== undefined && enter(state.log)) {
    // All its edits: states share the page, and what one of them refers to is not dead.
    const edits = yield* editsOf(head, { ...state, sequence: Infinity })
    for (const { tree, key, value } of edits) reachEntry({ tree, key }, value)
  }
  for (const tree of STATE_TREES) {
    yield* scanTree(tree, state.roots[tree], (entries) => {
      for (const [key, value] of entries) if (!outdated.has(entryId({ tree, key }))) reachEntry({ tree, key }, value)
    }, enter)
  }
}

/**
 * Whether no commit will ever refer to an object that no root of `heads` refers to. Its name and the HEAD of the branch that it was made for decide
 * that, without a clock. An object whose name no lake has given is never dead.
 * @param heads by branch id, read after the object was listed; undefined for a branch whose HEAD is not made yet
 */
export function isDead(key: string, heads: ReadonlyMap<string, Head | undefined>): boolean {
  const name = parseObjectName(key)
  if (name === undefined) return false
  // An object is made for a registered branch. A branch that is not registered now was deleted, and its id is never used again.
  if (!heads.has(name.branch)) return true
  const head = heads.get(name.branch)
  if (head === undefined) return false
  if ('job' in name) return !head.jobs.some(({ id }) => id === name.job)
  return name.epoch < head.epoch || name.epoch === head.epoch && name.sequence < head.low
}
