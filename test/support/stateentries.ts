import { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { STATE_TREES } from '../../src/lake/state/stateroot.ts'

/**
 * All entries of the newest state of `main` as text, but for what differs between two runs: names of objects, where pieces lie in them, in which order
 * relations that are not read were found, and what was published when.
 */
export async function stateEntries(store: ObjectStore): Promise<string[]> {
  const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
  const snapshot = await Snapshot.open(lake, 'main')
  const entries: string[] = []
  for (const tree of STATE_TREES.filter((name) => name !== 'published')) {
    await snapshot.scan(tree, (key, value) => entries.push(`${tree} ${key.replace(/^notread\/\d+$/, 'notread')} ${plain(value)}`))
  }
  return entries.sort()
}

function plain(value: unknown): string {
  return JSON.stringify(sorted(value)).replace(/[0-9a-z]{20}-[0-9a-z-]+-[0-9a-z]{20}/g, 'name').replace(/"start":\d+/g, '"start":0')
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]))
}
