import { EnvironmentError } from '../../common/errors.ts'
import type { Clock } from '../../common/clock.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { StagedObject } from '../../lake/state/stage.ts'
import type { TableCommit } from '../../lake/tableformat.ts'

const ATTEMPTS_MAX = 8
const PAUSE_MS = 100

/**
 * Puts a table's snapshot before readers. What is there already, with the same bytes, is done: so a publication that was killed is completed.
 * @throws EnvironmentError publish.foreign if something else has the name, store.*
 */
export async function putCommit(store: ObjectStore, clock: Clock, { point, hints }: TableCommit): Promise<void> {
  await create(store, clock, point)
  for (const { key, bytes } of hints) await store.put(key, bytes)
}

async function create(store: ObjectStore, clock: Clock, { key, bytes }: StagedObject): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const { outcome } = await store.put(key, bytes, { ifNoneMatch: true })
    if (outcome === 'written') return
    const found = await store.get(key)
    if (found !== undefined) {
      if (Buffer.compare(found.bytes, bytes) === 0) return
      throw new EnvironmentError('publish.foreign',
        `${key} is there already, and it is not what ltap wrote: another program wrote to this table. Move its files away, then run ltap publish again`,
        { file: key })
    }
    await clock.sleep(PAUSE_MS * 2 ** attempt)
  }
  throw new EnvironmentError(
    'store.unreachable', `${key} was not written to ${store.url} in ${ATTEMPTS_MAX} attempts: run ltap publish when the store answers`, { file: key })
}
