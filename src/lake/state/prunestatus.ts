import type { Head } from './head.ts'
import { type LayerFile, parseLayerFile } from '../layer.ts'
import type { Change } from './commit.ts'
import { type EntryKey, scanState } from './entries.ts'
import { parseRelation } from './relationlayers.ts'
import type { Stage } from './stage.ts'
import type { StateRoot } from './stateroot.ts'
import { parseStatus, statusXid } from './status.ts'

/** On which transactions rows of a state depend. */
export interface NeededTransactions {
  /** Full xids. */
  readonly xids: Set<number>
  /** Block indexes that have more: the entries of their files have no room for them. */
  readonly indexes: readonly LayerFile['index'][]
}

/**
 * The transactions that were in progress when a file of the state was written. Files that are superseded count, too, until a merge replaces them.
 */
export function* neededTransactions(head: Pick<Head, 'inline'>, state: StateRoot): Stage<NeededTransactions> {
  const xids = new Set<number>()
  const indexes: LayerFile['index'][] = []
  yield* scanState(head, state, 'layers', (key, value) => {
    const entry: EntryKey = { tree: 'layers', key }
    for (const [l, { files }] of parseRelation(value, entry).layers.entries()) {
      for (const [f, found] of files.entries()) {
        const file = parseLayerFile(found, { code: 'lake.state', name: `the entry ${key} of layers` }, `layers[${l}].files[${f}]`)
        if (file.unresolved === undefined) indexes.push(file.index)
        else for (const { xid } of file.unresolved) xids.add(xid)
      }
    }
  })
  return { xids, indexes }
}

/**
 * Entries of transactions that have ended and that no row depends on. One that has not ended stays, whatever depends on it: a file that is written at
 * this moment may. No later file depends on one that has ended by the state's LSN.
 */
export function* unneededStatus(head: Pick<Head, 'inline'>, state: StateRoot, needed: ReadonlySet<number>): Stage<EntryKey[]> {
  const unneeded: EntryKey[] = []
  yield* scanState(head, state, 'status', (key, value) => {
    const entry: EntryKey = { tree: 'status', key }
    if (parseStatus(value, entry).ended !== 'open' && !needed.has(Number(statusXid(entry)))) unneeded.push(entry)
  })
  return unneeded
}

/** Removes entries that {@link unneededStatus} found in this state or an earlier one. States that are retained keep them: each has a tree of its own. */
export function pruneStatus(unneeded: readonly EntryKey[]): Change {
  return {
    kind: 'status',
    reads: unneeded,
    apply: ({ get }) => ({ edits: unneeded.filter((entry) => get(entry) !== undefined).map(({ tree, key }) => ({ tree, key })) }),
  }
}
