import { addLog, entryId } from './entries.ts'
import { type Head, type LogEdit, stateKey, STATES_TREE } from './head.ts'
import type { PagePacker, Stage } from './stage.ts'
import { STATE_TREES, type StateRoot, type TreeRoots } from './stateroot.ts'
import { firstLeafKeys, leavesOf, rewriteTree, type TreeEdit, updateTree } from './tree.ts'

/*
 * HEAD has the newest edits inline, and the newest retained states. What it has no room for goes into pages: a few leaves at a time, so that no
 * commit of a small change writes much. A state that HEAD retains and that needs the edits gets them as a page of its own first.
 */

const INLINE_BYTES_MAX = 48 << 10
/** A leaf that more is folded into comes along with the first one only within this. */
const FOLD_BYTES_MAX = 192 << 10
const RETAINED_MAX = 64

/** @param head as the commit makes it, whatever its size @returns it within its bounds; new pages are in `packer` */
export function* fold(head: Head, packer: PagePacker): Stage<Head> {
  const isLong = head.retained.length > RETAINED_MAX
  const isLarge = bytesOf(head.inline) > INLINE_BYTES_MAX
  if (!isLong && !isLarge) return head
  let folded = giveLogs(head, packer)
  if (isLong) folded = yield* foldStates(folded, packer)
  return isLarge ? yield* foldInline(folded, packer) : folded
}

/**
 * All edits in HEAD go into pages, and every page of the newest state is rewritten: HEAD and its pages have nothing but what that state has.
 * @param older takes the pages that earlier states need: they go with these
 */
export function* foldAll(head: Head, packer: PagePacker, older: PagePacker): Stage<Head> {
  let folded = giveLogs(head, older)
  if (folded.retained.length > RETAINED_MAX) folded = yield* foldStates(folded, older)
  const { inline, state } = folded
  const roots: { -readonly [T in keyof TreeRoots]: TreeRoots[T] } = {}
  for (const tree of STATE_TREES) {
    const edits = inline.filter((edit) => edit.tree === tree).map(({ key, value }): TreeEdit => [key, value])
    const root = yield* rewriteTree(tree, state.roots[tree], edits, packer)
    if (root !== undefined) roots[tree] = root
  }
  return { ...folded, state: { ...state, roots }, inline: [] }
}

/** Each state that HEAD has besides its own gets its edits as a page. Then of several edits for one key only the last one is needed inline. */
function giveLogs(head: Head, packer: PagePacker): Head {
  const { inline } = head
  const needs = ({ log, sequence }: StateRoot): boolean => log === undefined && inline.length > 0 && inline[0]!.sequence <= sequence
  const states = [...head.retained, ...[head.branches, head.tags, head.leases, head.jobs].flat().map(({ state }) => state)].filter(needs)
  const newest = Math.max(...states.map(({ sequence }) => sequence))
  const last = new Map(inline.map((edit) => [entryId(edit), edit]))
  const withoutOld = { ...head, inline: inline.filter((edit) => last.get(entryId(edit)) === edit) }
  if (states.length === 0) return withoutOld
  const log = addLog(inline.filter(({ sequence }) => sequence <= newest), packer)
  const given = (state: StateRoot): StateRoot => needs(state) ? { ...state, log } : state
  const registered = <T extends { readonly state: StateRoot }>(list: readonly T[]): T[] => list.map((entry) => ({ ...entry, state: given(entry.state) }))
  return {
    ...withoutOld, retained: head.retained.map(given), branches: registered(head.branches), tags: registered(head.tags), leases: registered(head.leases),
    jobs: registered(head.jobs),
  }
}

/** The older half of the retained states goes into their tree; the first leaf of it loses what is no longer retained. */
function* foldStates(head: Head, packer: PagePacker): Stage<Head> {
  const count = RETAINED_MAX / 2
  const edits: TreeEdit[] = head.retained.slice(0, count).map((state) => [stateKey(state.sequence), state])
  for (const key of yield* firstLeafKeys(STATES_TREE, head.states)) if (key < stateKey(head.keepFrom)) edits.unshift([key, undefined])
  const states = yield* updateTree(STATES_TREE, head.states, edits, packer)
  const { states: _, ...rest } = head
  return { ...rest, retained: head.retained.slice(count), ...states !== undefined && { states } }
}

/** Edits of one leaf. */
interface Group {
  readonly tree: keyof TreeRoots
  readonly leafBytes: number
  readonly edits: LogEdit[]
  bytes: number
}

function* foldInline(head: Head, packer: PagePacker): Stage<Head> {
  const taken = chosen(yield* groupsOf(head), bytesOf(head.inline))
  const roots: { -readonly [T in keyof TreeRoots]: TreeRoots[T] } = { ...head.state.roots }
  for (const tree of STATE_TREES) {
    const edits = taken.filter((group) => group.tree === tree).flatMap((group) => group.edits.map(({ key, value }): TreeEdit => [key, value]))
    const root = yield* updateTree(tree, roots[tree], edits, packer)
    if (root === undefined) delete roots[tree]
    else roots[tree] = root
  }
  const gone = new Set(taken.flatMap(({ edits }) => edits))
  return { ...head, state: { ...head.state, roots }, inline: head.inline.filter((edit) => !gone.has(edit)) }
}

/** The leaves for which most bytes wait: half of the room becomes free if that writes little, else only as much as must. */
function chosen(groups: readonly Group[], inlineBytes: number): Group[] {
  const taken: Group[] = []
  let left = inlineBytes
  let leafBytes = 0
  for (const group of [...groups].sort((a, b) => b.bytes - a.bytes)) {
    if (left <= INLINE_BYTES_MAX / 2) break
    if (left <= INLINE_BYTES_MAX && leafBytes + group.leafBytes > FOLD_BYTES_MAX) break
    taken.push(group)
    left -= group.bytes
    leafBytes += group.leafBytes
  }
  return taken
}

function* groupsOf({ inline, state }: Head): Stage<Group[]> {
  const groups = new Map<string, Group>()
  for (const tree of STATE_TREES) {
    const edits = inline.filter((edit) => edit.tree === tree)
    const leaves = yield* leavesOf(tree, state.roots[tree], edits.map(({ key }) => key))
    for (const edit of edits) {
      const { leaf, bytes } = leaves.get(edit.key)!
      const id = entryId({ tree, key: leaf })
      const group = groups.get(id) ?? { tree, leafBytes: bytes, edits: [], bytes: 0 }
      group.edits.push(edit)
      group.bytes += bytesOf([edit])
      groups.set(id, group)
    }
  }
  return [...groups.values()]
}

function bytesOf(edits: readonly LogEdit[]): number {
  return edits.reduce((sum, edit) => sum + JSON.stringify(edit).length + 1, 0)
}
