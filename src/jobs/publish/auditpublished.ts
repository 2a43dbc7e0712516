import { registeredHeads } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { LogRecord } from '../../lake/publishedlog.ts'
import { crc32c } from '../../common/crc32c.ts'
import type { LakeDifference } from '../lakereport.ts'
import { ownFile, visitPublished } from './publishedfiles.ts'

/** Whether the data files of a log are what was written. Those that are missing are named among the objects of the lake. */
async function auditLog(store: ObjectStore, relation: string, log: LogRecord | undefined, differ: (difference: LakeDifference) => void): Promise<void> {
  for (const { key, bytes, crc } of log?.files ?? []) {
    const found = await store.get(key)
    if (found === undefined || found.bytes.length === bytes && crc32c(found.bytes) === crc) continue
    differ({ relation, file: key, reason: 'its bytes are not those that ltap wrote: delete it, then run ltap publish' })
  }
}

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
    await visitPublished(lake, head, async ({ entry, record, commits, names }) => {
      const relation = `${entry.namespace}.${entry.name}`
      await auditLog(store, relation, record.log as LogRecord | undefined, differ)
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
