import type { ObjectStore } from '../../engine/objectstore.ts'
import { openObjectStore } from '../../io/objectstore/openobjectstore.ts'
import { NO_USE, useSince, useUntilNow } from '../../engine/requestcounters.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import type { StoreUse } from '../../lake/state/madeby.ts'

/** A store as a task can carry it: a thread opens it by its URL, the thread that lent it uses it as it is. */
export interface StoreReference {
  readonly url: string
  readonly options: S3Options
  /** Number of the store that was lent; another thread does not know it. */
  readonly lent: number
}

let count = 0
const lent = new Map<number, ObjectStore>()
/** Opened stores by URL and settings: a thread keeps its connections from task to task. */
const opened = new Map<string, Promise<ObjectStore>>()
/** Stores that this thread opened: what was told of their use, and for which lent store it was. */
const told = new Map<ObjectStore, { use: StoreUse; lent: number }>()

/** What a thread asked of a store for the one that lent it. */
export interface LentUse extends StoreUse {
  readonly lent: number
}

/** Lets tasks use a store. @returns the reference, and what ends it */
export function lendStore(store: ObjectStore, options: S3Options): { reference: StoreReference; end: () => void } {
  const reference = { url: store.url, options, lent: ++count }
  lent.set(reference.lent, store)
  return { reference, end: () => lent.delete(reference.lent) }
}

/** @throws EnvironmentError store.url, store.endpoint */
export async function storeOf({ url, options, lent: number }: StoreReference): Promise<ObjectStore> {
  const own = lent.get(number)
  if (own !== undefined) return own
  const id = JSON.stringify([url, options])
  const known = opened.get(id) ?? openObjectStore(url, options)
  opened.set(id, known)
  const store = await known
  told.set(store, { use: told.get(store)?.use ?? NO_USE, lent: number })
  return store
}

/** What this thread asked of stores that it opened itself, since this was called last. */
export function takeUse(): LentUse[] {
  return [...told].flatMap(([store, { use, lent: number }]) => {
    const since = useSince(store.counters, use)
    if (Object.keys(since.requests).length === 0) return []
    told.set(store, { use: useUntilNow(store.counters), lent: number })
    return [{ ...since, lent: number }]
  })
}

/** Counts it for the stores that were lent, unless they were taken back. */
export function addUse(uses: readonly LentUse[]): void {
  for (const { lent: number, ...use } of uses) lent.get(number)?.counters.add(use)
}
