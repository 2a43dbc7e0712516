import { registeredHeads } from '../../engine/collect.ts'
import { utf8Decode } from '../../common/utf8.ts'
import type { Lake } from '../../engine/lake.ts'
import { readPiece } from '../../engine/pagereader.ts'
import { decodeHead } from '../../lake/state/head.ts'
import { FORMAT_KEY, parseObjectName } from '../../lake/state/names.ts'
import { pageText, type PageRef } from '../../lake/state/page.ts'
import { objectsOf } from '../../lake/state/objects.ts'
import { reachableObjects, Visited } from '../../lake/state/reachable.ts'
import { ownFile } from '../publish/publishedfiles.ts'
import { readPackDirectory } from './packdirectories.ts'

/** An object that may have bytes of rows, and that no state needs as it is. */
export interface StrayObject {
  object: string
  reason: string
}

/** What the states of a lake refer to. */
export interface ObjectsOfStates {
  /** Keys of all objects that an entry of a state refers to. */
  readonly known: ReadonlySet<string>
  /** Packs among them: where the pages of relations begin that a state has. */
  readonly packs: ReadonlyMap<string, ReadonlySet<number>>
  /** Files with rows that were deleted: reported for themselves. */
  readonly holding: ReadonlySet<string>
}

const HEAD_OBJECT = /^ltap\/branches\/([^/]+)\/HEAD(?:\/(\d{20}))?$/

/**
 * Every object of the store that is not, as a whole, what some state refers to: objects that the next gc removes, pages of a state beside pages of states
 * that are gone, packs with pages of relations that are gone, earlier HEADs. Entries of files have bounds of columns, at most 16 bytes of a value.
 */
export async function strayObjects(lake: Lake, states: ObjectsOfStates): Promise<StrayObject[]> {
  const { store } = lake.ports
  const listed: { key: string; size: number }[] = []
  for await (const { key, size } of store.list('')) listed.push({ key, size })
  const pages = await pagesOfStates(lake)
  const stray: StrayObject[] = []
  const newest = newestVersions(listed)
  for (const { key, size } of listed) {
    const reason = key === FORMAT_KEY ? undefined : HEAD_OBJECT.test(key) ? await headReason(lake, key, states)
      : parseObjectName(key) === undefined ? logReason(key, newest) : await objectReason(lake, { key, size }, pages, states)
    if (reason !== undefined) stray.push({ object: key, reason })
  }
  return stray
}

/** A file of a Delta log, which has bounds of columns. */
function logFile(key: string): { folder: string; version: number } | undefined {
  const { folder, kind, version } = ownFile(key) ?? {}
  return folder === undefined || kind !== 'delta' || version === undefined ? undefined : { folder, version }
}

function newestVersions(listed: readonly { key: string }[]): Map<string, number> {
  const newest = new Map<string, number>()
  for (const { key } of listed) {
    const file = logFile(key)
    if (file !== undefined && file.version > (newest.get(file.folder) ?? -1)) newest.set(file.folder, file.version)
  }
  return newest
}

function logReason(key: string, newest: ReadonlyMap<string, number>): string | undefined {
  const file = logFile(key)
  if (file === undefined || newest.get(file.folder) === file.version) return undefined
  return 'it is an earlier version of a Delta log, which may have bounds of columns: ltap publish --keep-snapshots 1 removes it'
}

/** Pages that some state needs, by object. */
async function pagesOfStates(lake: Lake): Promise<Map<string, PageRef[]>> {
  const pages = new Map<string, PageRef[]>()
  const added = new Visited()
  const add = (ref: PageRef): void => {
    if (!added.add(ref)) return
    const others = pages.get(ref.key)
    if (others === undefined) pages.set(ref.key, [ref])
    else others.push(ref)
  }
  const visited = new Visited()
  for (const head of (await registeredHeads(lake)).values()) if (head) await lake.pages.run(reachableObjects(head, visited, new Set(), () => {}, add))
  return pages
}

async function objectReason(
  lake: Lake, { key, size }: { key: string; size: number }, pages: ReadonlyMap<string, readonly PageRef[]>, states: ObjectsOfStates,
): Promise<string | undefined> {
  const { known, packs } = states
  const needed = pages.get(key)
  if (needed !== undefined) return await pagesReason(lake, size, needed, states)
  if (!known.has(key)) {
    return 'no state shows it: ltap gc removes it once no program may commit it, no page of a state has an entry of it that is out of date, and no '
      + 'snapshot of a published table needs it (ltap publish --keep-snapshots 1 lets the earlier ones go)'
  }
  const starts = packs.get(key)
  if (starts === undefined) return undefined
  const { relations } = await readPackDirectory(lake.ports.store, key)
  const gone = relations.filter(({ start, sizes }) => sizes.length > 0 && !starts.has(start)).length
  if (gone === 0) return undefined
  return `it has pages of ${gone} relations that no state shows, beside pages that states have: gone when these are in newer packs and ltap gc ran`
}

async function pagesReason(lake: Lake, size: number, pages: readonly PageRef[], { holding }: ObjectsOfStates): Promise<string | undefined> {
  if (pages.reduce((sum, { length }) => sum + length, 0) < size) return 'pages of states that are gone lie beside pages that states need, and go with these'
  if (holding.size === 0) return undefined
  for (const ref of pages) {
    const text = utf8Decode(pageText(await readPiece(lake.ports.store, ref), ref, lake.compressor))
    for (const key of holding) if (text.includes(key)) return 'it has entries of files that have such rows, and goes with the states that have these'
  }
  return undefined
}

/** A HEAD has entries of files inline. */
async function headReason(lake: Lake, key: string, { known, holding }: ObjectsOfStates): Promise<string | undefined> {
  const [, branch, number] = HEAD_OBJECT.exec(key) as unknown as [string, string, string | undefined]
  const found = await lake.ports.store.get(key)
  if (found === undefined) return undefined
  const head = decodeHead(found.bytes, branch, lake.compressor)
  const objects = head.inline.flatMap(({ tree, key: entry, value }) => objectsOf({ tree, key: entry }, value))
  if (!objects.some((object) => !known.has(object) || holding.has(object))) return undefined
  const goes = number === undefined ? 'ltap gc removes them' : 'it is an earlier HEAD, which goes when HEAD was replaced some 128 times more'
  return `it has entries of files that are gone, or that have such rows: ${goes}`
}
