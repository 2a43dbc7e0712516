import type { ObjectStore } from './objectstore.ts'

/** Keys of one request that deletes: the most that S3 takes. */
const DELETED_AT_ONCE = 1000

/** Deletes any number of objects, in as few requests as may be. @throws EnvironmentError store.* */
export async function deleteObjects(store: ObjectStore, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += DELETED_AT_ONCE) await store.delete(keys.slice(start, start + DELETED_AT_ONCE))
}
