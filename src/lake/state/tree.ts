import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import { validate } from '../../common/validate.ts'
import { type Entry, type Page, PAGE_REF, PAGE_TEXT_MAX, pageOf, type PageRef, type TreeName } from './page.ts'
import type { PagePacker, Stage } from './stage.ts'

/*
 * A tree of immutable pages: sorted entries, cut into leaves; above them pages with the first key and the reference of each page below, up to one root.
 * A change writes the leaves it touches and the pages above them, nothing else; the old root still has the old entries.
 */

/** A page above this is cut into pages of about half of it; one below the smaller bound is joined with a neighbour. */
const PAGE_BYTES_MAX = 192 << 10
const PAGE_BYTES_MIN = 64 << 10

/** What a key becomes; undefined removes it. */
export type TreeEdit = readonly [key: string, value: unknown]

/** The values of those of `keys` that the tree has. */
export function* findEntries(tree: TreeName, root: PageRef | undefined, keys: Iterable<string>): Stage<Map<string, unknown>> {
  const found = new Map<string, unknown>()
  const sorted = [...new Set(keys)].sort(compare)
  let wave: { ref: PageRef; level?: number; keys: readonly string[] }[] = root === undefined || sorted.length === 0 ? [] : [{ ref: root, keys: sorted }]
  while (wave.length > 0) {
    const pages = yield wave.map(({ ref, level }) => ({ ref, tree, ...level !== undefined && { level } }))
    const next: typeof wave = []
    for (const [i, page] of pages.entries()) {
      const at = wave[i]!
      if (page.level === 0) {
        const wanted = new Set(at.keys)
        for (const [key, value] of page.entries) if (wanted.has(key)) found.set(key, value)
        continue
      }
      const children = childrenOf(page, at.ref)
      for (const [child, wanted] of byChild(children, at.keys, (key) => key)) next.push({ ref: children[child]!.ref, level: page.level - 1, keys: wanted })
    }
    wave = next
  }
  return found
}

/**
 * Leaves in order, one in memory at a time. @param enter false for a page whose entries the caller does not need @param visit the entries of a leaf
 */
export function* scanTree(
  tree: TreeName, root: PageRef | undefined, visit: (entries: readonly Entry[]) => void, enter: (ref: PageRef) => boolean = () => true,
): Stage<void> {
  const stack: { ref: PageRef; level?: number }[] = root === undefined ? [] : [{ ref: root }]
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (!enter(at.ref)) continue
    const [page] = (yield [{ tree, ...at }]) as [Page]
    if (page.level === 0) visit(page.entries)
    else for (const { ref } of childrenOf(page, at.ref).toReversed()) stack.push({ ref, level: page.level - 1 })
  }
}

/** Keys of the first leaf; of a tree without entries no key. */
export function* firstLeafKeys(tree: TreeName, root: PageRef | undefined): Stage<readonly string[]> {
  let at: { ref: PageRef; level?: number } | undefined = root && { ref: root }
  while (at !== undefined) {
    const [page] = (yield [{ tree, ...at }]) as [Page]
    if (page.level === 0) return page.entries.map(([key]) => key)
    at = { ref: childrenOf(page, at.ref)[0]!.ref, level: page.level - 1 }
  }
  return []
}

/** Which leaf would take each of `keys`: the first key of that leaf ('' for the first), and its bytes (0 without a tree). */
export function* leavesOf(tree: TreeName, root: PageRef | undefined, keys: readonly string[]): Stage<Map<string, { leaf: string; bytes: number }>> {
  const leaves = new Map<string, { leaf: string; bytes: number }>()
  let wave: { ref: PageRef; level?: number; leaf: string; keys: readonly string[] }[] = []
  if (root === undefined) for (const key of keys) leaves.set(key, { leaf: '', bytes: 0 })
  else wave = [{ ref: root, leaf: '', keys: [...keys].sort(compare) }]
  while (wave.length > 0) {
    const leaf = wave.filter(({ level }) => level === 0)
    for (const { ref, leaf: first, keys: inside } of leaf) for (const key of inside) leaves.set(key, { leaf: first, bytes: ref.length })
    const inner = wave.filter(({ level }) => level !== 0)
    const pages: readonly Page[] = inner.length === 0 ? [] : yield inner.map(({ ref, level }) => ({ ref, tree, ...level !== undefined && { level } }))
    wave = []
    for (const [i, page] of pages.entries()) {
      const at = inner[i]!
      if (page.level === 0) {
        for (const key of at.keys) leaves.set(key, { leaf: at.leaf, bytes: at.ref.length })
        continue
      }
      const children = childrenOf(page, at.ref)
      for (const [child, inside] of byChild(children, at.keys, (key) => key)) {
        wave.push({ ref: children[child]!.ref, level: page.level - 1, leaf: child === 0 ? at.leaf : children[child]!.first, keys: inside })
      }
    }
  }
  return leaves
}

/** A page that is not written yet. */
interface Draft {
  readonly level: number
  readonly entries: readonly Entry[]
}

/** A page below another one: as it lies in the store, or changed. */
type Child = { readonly first: string; readonly ref: PageRef } | Draft

/** @param edits any order; of several for one key the last counts @returns the new root, undefined for a tree without entries */
export function* updateTree(tree: TreeName, root: PageRef | undefined, edits: Iterable<TreeEdit>, packer: PagePacker): Stage<PageRef | undefined> {
  const sorted = [...new Map(edits)].sort(([a], [b]) => compare(a, b))
  if (sorted.length === 0) return root
  let draft: Draft = { level: 0, entries: [] }
  if (root === undefined) draft = { level: 0, entries: merged([], sorted) }
  else {
    const [page] = (yield [{ ref: root, tree }]) as [Page]
    draft = yield* updatePage(tree, page, root, sorted, packer)
  }
  // A root with one page below it is not needed.
  if (draft.level > 0 && draft.entries.length === 1) return childrenOf({ tree, ...draft }, root!)[0]!.ref
  return addRoot(tree, draft, packer)
}

/** Adds a page that may be too large, and what is needed above it. */
function addRoot(tree: TreeName, draft: Draft, packer: PagePacker): PageRef | undefined {
  if (draft.entries.length === 0) return undefined
  const entries = addPages(tree, draft, packer)
  return entries.length === 1 ? entries[0]![1] as PageRef : addRoot(tree, { level: draft.level + 1, entries }, packer)
}

/** @returns the entries of the page above */
function addPages(tree: TreeName, draft: Draft, packer: PagePacker): Entry[] {
  return cut(tree, draft).map((part) => [part.entries[0]![0], packer.add({ tree, ...part })])
}

/**
 * As {@link updateTree}, but every page is rewritten, so that the new tree has no page in an object that has pages of others. One leaf is in memory.
 * @param edits any order; of several for one key the last counts @returns the new root, undefined for a tree without entries
 */
export function* rewriteTree(tree: TreeName, root: PageRef | undefined, edits: Iterable<TreeEdit>, packer: PagePacker): Stage<PageRef | undefined> {
  const sorted = [...new Map(edits)].sort(([a], [b]) => compare(a, b))
  const leaves: Entry[] = []
  let left: Entry[] = []
  let bytes = 0
  let next = 0
  const take = (entries: readonly Entry[], end: number): void => {
    const now = merged(entries, sorted.slice(next, end))
    next = end
    left = [...left, ...now]
    bytes += bytesOf({ level: 0, entries: now })
    if (bytes < PAGE_BYTES_MIN) return
    leaves.push(...addPages(tree, { level: 0, entries: left }, packer))
    left = []
    bytes = 0
  }
  yield* scanTree(tree, root, (entries) => {
    const last = entries.at(-1)
    const behind = last === undefined ? next : sorted.findIndex(([key], i) => i >= next && key > last[0])
    take(entries, behind < 0 ? sorted.length : behind)
  })
  take([], sorted.length)
  if (leaves.length === 0) return addRoot(tree, { level: 0, entries: left }, packer)
  if (left.length > 0) leaves.push(...addPages(tree, { level: 0, entries: left }, packer))
  return leaves.length === 1 ? leaves[0]![1] as PageRef : addRoot(tree, { level: 1, entries: leaves }, packer)
}

function* updatePage(tree: TreeName, page: Page, ref: PageRef, edits: readonly TreeEdit[], packer: PagePacker): Stage<Draft> {
  if (page.level === 0) return { level: 0, entries: merged(page.entries, edits) }
  const level = page.level - 1
  const children: Child[] = [...childrenOf(page, ref)]
  const touched = [...byChild(children as { first: string }[], edits, ([key]) => key)]
  const refs = touched.map(([child]) => (children[child] as { ref: PageRef }).ref)
  const pages = yield refs.map((child) => ({ ref: child, tree, level }))
  for (const [i, [child, inside]] of touched.entries()) children[child] = yield* updatePage(tree, pages[i]!, refs[i]!, inside, packer)
  const joined = yield* joinSmall(tree, level, children.filter((child) => 'ref' in child || child.entries.length > 0))
  const entries = joined.flatMap((child): Entry[] =>
    'ref' in child ? [[child.first, child.ref]] : addPages(tree, child, packer))
  return { level: page.level, entries }
}

/** A changed page that became small takes the entries of its neighbour. */
function* joinSmall(tree: TreeName, level: number, children: Child[]): Stage<Child[]> {
  for (let i = 0; i < children.length && children.length > 1;) {
    const child = children[i]!
    if ('ref' in child || bytesOf(child) >= PAGE_BYTES_MIN) {
      i++
      continue
    }
    const first = i === 0 ? 0 : i - 1
    const pair: (readonly Entry[])[] = []
    for (const neighbour of [children[first]!, children[first + 1]!]) {
      if ('ref' in neighbour) pair.push(((yield [{ ref: neighbour.ref, tree, level }]) as [Page])[0].entries)
      else pair.push(neighbour.entries)
    }
    children.splice(first, 2, { level, entries: pair.flat() })
    // Both pages were small, so the joined page may be small, too.
    i = first
    if (bytesOf(children[first] as Draft) < PAGE_BYTES_MIN) continue
    i++
  }
  return children
}

function merged(entries: readonly Entry[], edits: readonly TreeEdit[]): Entry[] {
  const result: Entry[] = []
  let e = 0
  for (const edit of edits) {
    while (e < entries.length && entries[e]![0] < edit[0]) result.push(entries[e++]!)
    if (e < entries.length && entries[e]![0] === edit[0]) e++
    if (edit[1] !== undefined) result.push(edit)
  }
  for (; e < entries.length; e++) result.push(entries[e]!)
  return result
}

/** Number of bytes of JSON beside an entry in its page. */
const PAGE_HEAD_MAX = 1024

/** A page has at least one entry, and a reader takes no larger page. @throws UnsupportedError lake.entry-size */
function refuseGiant(tree: TreeName, key: string, size: number): void {
  if (size <= PAGE_TEXT_MAX - PAGE_HEAD_MAX) return
  throw new UnsupportedError('lake.entry-size',
    `the entry ${key} of ${tree} would have ${size} bytes, above ${PAGE_TEXT_MAX - PAGE_HEAD_MAX}: `
    + 'a relation has too many files or layers for one state; merge it first (ltap merge --all), or leave it out')
}

function sizeOf(entry: Entry): number {
  return JSON.stringify(entry).length + 1
}

function bytesOf({ entries }: Draft): number {
  return entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
}

/** In pages of about equal size, none above the bound unless it has one entry. @throws UnsupportedError lake.entry-size */
function cut(tree: TreeName, { level, entries }: Draft): Draft[] {
  const sizes = entries.map(sizeOf)
  for (const [i, [key]] of entries.entries()) refuseGiant(tree, key, sizes[i]!)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  if (total <= PAGE_BYTES_MAX) return [{ level, entries }]
  const target = total / Math.ceil(total / (PAGE_BYTES_MAX / 2))
  const pages: Draft[] = []
  let start = 0
  let bytes = 0
  for (let i = 0; i < entries.length; i++) {
    if (i > start && bytes + sizes[i]! / 2 > target) {
      pages.push({ level, entries: entries.slice(start, i) })
      start = i
      bytes = 0
    }
    bytes += sizes[i]!
  }
  return [...pages, { level, entries: entries.slice(start) }]
}

/** Children of pages that are kept: to check hundreds of references for each entry that is looked up would take longer than all else. */
const checked = new WeakMap<Page, readonly { first: string; ref: PageRef }[]>()

function childrenOf(page: Page, ref: PageRef): readonly { first: string; ref: PageRef }[] {
  const known = checked.get(page) ?? checkedChildren(page, ref)
  checked.set(page, known)
  return known
}

function checkedChildren(page: Page, ref: PageRef): { first: string; ref: PageRef }[] {
  const persisted = pageOf(ref)
  if (page.entries.length === 0) throw new CorruptionError(persisted.code, `${persisted.name} is damaged: entries is empty, above level 0`)
  return page.entries.map(([first, value], i) => ({ first, ref: validate(PAGE_REF, value, persisted, `entries[${i}][1]`) }))
}

/** Sorted items by the number of the child that they belong to. An item below the first key belongs to the first child. */
function byChild<T>(children: readonly { first: string }[], items: readonly T[], keyOf: (item: T) => string): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  let child = 0
  for (const item of items) {
    while (child + 1 < children.length && children[child + 1]!.first <= keyOf(item)) child++
    const group = groups.get(child)
    if (group) group.push(item)
    else groups.set(child, [item])
  }
  return groups
}

/** The order of keys: that of `<` for strings. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
