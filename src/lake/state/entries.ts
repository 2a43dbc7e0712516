import * as v from 'valibot'
import { oneOf, type Persisted, validate } from '../../common/validate.ts'
import type { Head, LogEdit } from './head.ts'
import { type Page, pageOf, type PageRef } from './page.ts'
import type { PagePacker, Stage } from './stage.ts'
import { sequenceNumber, STATE_TREES, type StateRoot, type TreeRoots } from './stateroot.ts'
import { findEntries, scanTree } from './tree.ts'

/** Names one entry of a state. */
export interface EntryKey {
  readonly tree: keyof TreeRoots
  readonly key: string
}

/** One text for both parts of it; keys have no blank. */
export function entryId({ tree, key }: EntryKey): string {
  return `${tree} ${key}`
}

const LOG_VALUE = v.strictObject({
  sequence: sequenceNumber, tree: oneOf(STATE_TREES), value: v.exactOptional(v.unknown()),
})

/** Puts edits into a page: `["<key>", { "sequence": 7, "tree": "layers", "value": … }]`, in their order. */
export function addLog(edits: readonly LogEdit[], packer: PagePacker): PageRef {
  return packer.add({ tree: 'log', level: 0, entries: edits.map(({ key, ...edit }) => [key, edit]) })
}

function logEdits(page: Page, ref: PageRef): LogEdit[] {
  const persisted = pageOf(ref)
  return page.entries.map(([key, value], i): LogEdit => ({ key, ...validate(LOG_VALUE, value, persisted, `entries[${i}][1]`) }))
}

/** Edits of `state` that its roots do not have, in the order of their commits. @param head has the state */
export function* editsOf(head: Pick<Head, 'inline'>, state: StateRoot): Stage<LogEdit[]> {
  const { log, sequence } = state
  if (log === undefined) return head.inline.filter((edit) => edit.sequence <= sequence)
  const [page] = (yield [{ ref: log, tree: 'log', level: 0 }]) as [Page]
  return logEdits(page, log).filter((edit) => edit.sequence <= sequence)
}

/** Values of those of `keys` that the state has, by {@link entryId}. */
export function* stateEntries(head: Pick<Head, 'inline'>, state: StateRoot, keys: readonly EntryKey[]): Stage<Map<string, unknown>> {
  const edits = new Map((yield* editsOf(head, state)).map((edit) => [entryId(edit), edit]))
  const found = new Map<string, unknown>()
  for (const tree of STATE_TREES) {
    const inTree: string[] = []
    for (const key of keys) {
      if (key.tree !== tree) continue
      const edit = edits.get(entryId(key))
      if (edit === undefined) inTree.push(key.key)
      else if (edit.value !== undefined) found.set(entryId(key), edit.value)
    }
    for (const [key, value] of yield* findEntries(tree, state.roots[tree], inTree)) found.set(entryId({ tree, key }), value)
  }
  return found
}

/** @throws CorruptionError for an entry whose value is not what its schema says */
export function parseEntry<T>(schema: v.GenericSchema<unknown, T>, value: unknown, { tree, key }: EntryKey): T {
  return validate(schema, value, entryOf({ tree, key }))
}

/** What error messages call an entry. */
function entryOf({ tree, key }: EntryKey): Persisted {
  return { code: 'lake.state', name: `the entry ${key} of ${tree}` }
}


/** Calls `visit` with each entry of one tree of a state; in no order that means anything. */
export function* scanState(head: Pick<Head, 'inline'>, state: StateRoot, tree: keyof TreeRoots, visit: (key: string, value: unknown) => void): Stage<void> {
  const edits = new Map((yield* editsOf(head, state)).filter((edit) => edit.tree === tree).map(({ key, value }) => [key, value]))
  yield* scanTree(tree, state.roots[tree], (entries) => {
    for (const [key, value] of entries) if (!edits.has(key)) visit(key, value)
  })
  for (const [key, value] of edits) if (value !== undefined) visit(key, value)
}
