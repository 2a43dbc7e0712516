/** Bytes and requests of a commit besides its data, in a lake of 100,000 relations: 1 changes, 250 times; then 1,000 at once. Counts, which no machine changes. */
import { Random } from '../test/support/random.ts'
import type { StoreUse } from '../src/lake/state/madeby.ts'
import { WideLake } from '../test/support/widelake.ts'
import { textHash } from './hash.ts'
import { printResult } from './report.ts'

const RELATIONS = 100_000
const COMMITS = 250
const WANTED = { bytes: 500_000, puts: 3, headBytes: 256 << 10, opening: 3 }

const random = new Random(1)
const lake = await WideLake.make(random)
const first = await lake.change(Array.from({ length: RELATIONS }, (_, i) => i))
const opening = await lake.of(() => lake.open())
const worst = { bytes: 0, puts: 0, head: 0 }
const all: StoreUse[] = [first, opening]
for (let n = 0; n < COMMITS; n++) {
  const cost = await lake.change([random.int(RELATIONS)])
  all.push(cost)
  worst.bytes = Math.max(worst.bytes, cost.bytesUp)
  worst.puts = Math.max(worst.puts, cost.requests.put ?? 0)
  worst.head = Math.max(worst.head, await lake.headBytes())
}
const many = await lake.change(new Set(Array.from({ length: 1000 }, () => random.int(RELATIONS))))
all.push(many)
const hash = textHash(JSON.stringify(all.map(({ requests }) => requests)))

print('1 changes: the greatest commit', 'bytes', worst.bytes, 'the limit', WANTED.bytes, 1)
print('1 changes: the greatest commit', 'PUTs', worst.puts, 'the limit', WANTED.puts, 1)
print('1 changes: the greatest HEAD', 'bytes', worst.head, 'the limit', WANTED.headBytes, 1)
print('open', 'GETs', opening.requests.get ?? 0, 'the limit', WANTED.opening, 1)
print('open', 'LISTs', opening.requests.list ?? 0, 'GETs', opening.requests.get ?? 0, 0)
print('1,000 change', 'bytes', many.bytesUp, 'the commit of all', first.bytesUp)
print('1,000 change', 'PUTs', many.requests.put ?? 0, 'the commit of all', first.requests.put ?? 0)

function print(variant: string, unit: string, ours: number, peerName: string, peer: number, wanted?: number): void {
  printResult({ kind: 'cost', bench: 'commits', table: `${RELATIONS} relations`, variant, unit, ours, peerName, peer, ...wanted !== undefined && { wanted }, hash })
}
