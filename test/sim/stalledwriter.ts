/**
 * One case that chance finds too rarely: the request that creates a name of HEAD is under way while others create the same name, and ten more, and delete
 * it again (KEPT is planted as 2). The name is created at last, and is nobody's HEAD.
 */
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { addReference } from '../../src/engine/references.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import { Random } from '../support/random.ts'
import { check } from './world.ts'

/** @throws SimulationFailure if a commit was reported that HEAD does not have */
export async function stalledWriter(): Promise<void> {
  const store = new MemoryObjectStore({ now: () => 0 })
  const numbers = new Random(1)
  const random = { nonce: () => Array.from({ length: 20 }, () => 'abcdefghij'[numbers.int(10)]).join(''), fraction: () => 0 }
  const ports = { store, clock: { now: () => 0, sleep: () => Promise.resolve() }, random }
  const stalls = { next: false }
  const stalling = new Proxy(store, {
    get: (target, name) => name !== 'put' ? Reflect.get(target, name, target) : async (...[key, bytes, options]: Parameters<typeof store.put>) => {
      if (stalls.next && options?.ifNoneMatch) {
        stalls.next = false
        const others = await Lake.open(ports)
        for (let i = 0; i < 10; i++) await addReference(others, 'main', 'tags', `tag${i}`, 'newest')
        check(await target.head(key) === undefined, 'others deleted the name')
      }
      return await target.put(key, bytes, options)
    },
  })
  await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-none-match' })
  const writer = await BranchWriter.open(await Lake.open({ ...ports, store: stalling }), 'main')
  stalls.next = true
  await writer.commit(materialize({ from: writer.head.state, position: { timeline: 1, lsn: '0/50' }, relations: [], others: [] }))
  check(!stalls.next, 'a request stalled')
  const { state, tags } = await (await Lake.open(ports)).head('main')
  check(state.lsn === '0/50', `the commit was reported, but HEAD is at LSN ${state.lsn}`)
  check(tags.length === 10, `of 10 tags HEAD has ${tags.length}`)
}
