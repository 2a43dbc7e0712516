/** What a commit costs besides its data, in requests and bytes: a lake of 100,000 relations. */
import { expect, test } from 'vitest'
import type { StoreUse } from '../../src/lake/state/madeby.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { WideLake } from '../support/widelake.ts'

const RELATIONS = 100_000

function shown(what: string, { requests, bytesUp, bytesDown }: StoreUse): string {
  return `${what}: ${Object.entries(requests).map(([kind, count]) => `${count} ${kind}`).join(', ')}, ${bytesUp} bytes up, ${bytesDown} down`
}

test('1 and 1,000 relations of 100,000 change', async () => {
  const random = new Random(TEST_SEED)
  const lake = await WideLake.make(random)
  const first = await lake.change(Array.from({ length: RELATIONS }, (_, i) => i))
  console.info(shown('first commit', first))
  const open = await lake.of(() => lake.open())
  const oneRelation = await lake.of(() => lake.openRelation(4711))
  console.info(shown('open', open))
  console.info(shown('open and the layers of one relation', oneRelation))
  let worst = { puts: 0, up: 0, head: 0 }
  let sum = 0
  for (let n = 0; n < 250; n++) {
    const { requests, bytesUp: up } = await lake.change([random.int(RELATIONS)])
    worst = { puts: Math.max(worst.puts, requests.put!), up: Math.max(worst.up, up), head: Math.max(worst.head, await lake.headBytes()) }
    sum += up
  }
  console.info(`one relation of 100,000, 250 times: at most ${worst.puts} puts and ${worst.up} bytes, ${Math.round(sum / 250)} on average, HEAD at most ${worst.head} bytes`)
  const many = await lake.change(new Set(Array.from({ length: 1000 }, () => random.int(RELATIONS))))
  console.info(shown('1,000 relations of 100,000', many))
  console.info(`heap ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB`)
  expect(open.requests.list).toBeUndefined()
  expect(open.requests.get).toBeLessThanOrEqual(3)
  expect(oneRelation.requests.get).toBeLessThanOrEqual(4)
  expect(worst.puts).toBeLessThanOrEqual(3)
  expect(worst.up).toBeLessThanOrEqual(500_000)
  expect(worst.head).toBeLessThanOrEqual(256 << 10)
  expect(many.requests.put).toBeLessThanOrEqual(5)
  expect(many.bytesUp).toBeLessThanOrEqual(3_000_000)
  const seen = new Set<string>()
  await (await lake.open()).scan('layers', (key) => seen.add(key))
  expect(seen.size).toBe(RELATIONS)
})
