import type { ObjectStore } from '../../engine/objectstore.ts'
import { openObjectStore } from '../../io/objectstore/openobjectstore.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'

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
  return known
}
