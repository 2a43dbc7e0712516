import { editsOf, entryId } from './entries.ts'
import type { Head } from './head.ts'
import { olderStates, registeredStates } from './registrations.ts'
import type { Stage } from './stage.ts'

/** Entries, by {@link entryId}, of which pages of trees say what no state needs any more. */
export type OutdatedEntries = ReadonlySet<string>

/**
 * Entries that every state of a HEAD has in edits of its own: what leaves say of them is out of date for each of these states, whichever of them share the
 * leaf. An entry that a single state reads from a leaf is not among them, so that a leaf can be gone through once for all states.
 * @param before what was found of other HEADs; undefined for the first one
 */
export function* outdatedEntries(head: Head, before: OutdatedEntries | undefined): Stage<OutdatedEntries | undefined> {
  let common = before
  for (const state of [...registeredStates(head), ...yield* olderStates(head)]) {
    if (common?.size === 0) break
    // A state without pages has nothing that is out of date.
    if (Object.values(state.roots).every((root) => root === undefined)) continue
    const own = new Set((yield* editsOf(head, state)).map(entryId))
    common = common === undefined ? own : new Set([...common].filter((id) => own.has(id)))
  }
  return common
}
