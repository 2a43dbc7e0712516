import { crc32c } from '../../common/crc32c.ts'
import { assert, CorruptionError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { ObjectReference } from '../../lake/layer.ts'

/** @throws EnvironmentError store.* */
export async function putObject(store: ObjectStore, key: string, bytes: Uint8Array): Promise<void> {
  const { outcome } = await store.put(key, bytes)
  assert(outcome === 'written', 'an unconditional write succeeds, or it is an error')
}

/** A whole object, as it was written. @throws CorruptionError lake.object */
export async function readObject(store: ObjectStore, { key, bytes, crc }: ObjectReference): Promise<Uint8Array> {
  const found = await store.get(key)
  if (found === undefined) throw new CorruptionError('lake.object', `the lake refers to the object ${key}, which is not in ${store.url}`)
  if (found.bytes.length === bytes && crc32c(found.bytes) === crc) return found.bytes
  throw new CorruptionError('lake.object', `the object ${key} in ${store.url} has ${found.bytes.length} bytes that are not the ${bytes} that were written`)
}
