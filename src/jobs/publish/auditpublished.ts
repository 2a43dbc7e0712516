import { registeredHeads } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import type { LakeDifference } from '../lakereport.ts'
import { ownFile, visitPublished } from './publishedfiles.ts'

/**
 * Looks for what other engines find by its name: metadata files, versions and checkpoints of Delta logs, the hints to them. Objects that these refer to are
 * looked for with all others of the lake.
 * @throws EnvironmentError store.*; CorruptionError, UnsupportedError lake.* of a HEAD or a state
 */
export async function auditPublished(lake: Lake, differ: (difference: LakeDifference) => void): Promise<void> {
  const { store } = lake.ports
  const listed = new Set<string>()
  for await (const { key } of store.list('')) if (ownFile(key) !== undefined) listed.add(key)
  for (const head of (await registeredHeads(lake)).values()) {
    if (!head || head.dropped) continue
    await visitPublished(lake, head, async ({ entry, commits, names }) => {
      const relation = `${entry.namespace}.${entry.name}`
      const missing = new Set<string>()
      for (const key of names) if (!listed.has(key) && await store.head(key) === undefined) missing.add(key)
      for (const file of missing) differ({ relation, file, reason: 'it is missing, and other engines need it: ltap publish makes it again' })
      for (const { key, bytes } of commits.flatMap(({ point, hints }) => [point, ...hints])) {
        const found = missing.has(key) ? undefined : await store.get(key)
        if (found !== undefined && Buffer.compare(found.bytes, bytes) !== 0) {
          differ({ relation, file: key, reason: 'it is not what ltap wrote: move it away, then run ltap publish' })
        }
      }
    }, (entry, error) => differ({ relation: `${entry.namespace}.${entry.name}`, reason: error.message }))
  }
}
