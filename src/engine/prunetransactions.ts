import { crc32c } from '../common/crc32c.ts'
import { CorruptionError } from '../common/errors.ts'
import { parseBlockIndex } from '../lake/blockindex.ts'
import type { LayerFile } from '../lake/layer.ts'
import type { EntryKey } from '../lake/state/entries.ts'
import type { Head } from '../lake/state/head.ts'
import { neededTransactions, pruneStatus, unneededStatus } from '../lake/state/prunestatus.ts'
import { statusXid } from '../lake/state/status.ts'
import type { Lake } from './lake.ts'
import { missingObject } from './pagereader.ts'
import type { BranchWriter } from './writer.ts'

/**
 * Entries of transactions that ended and that no row of the newest state of a branch depends on. What that state depends on changes by a commit of
 * layers alone, so it is the writer who removes them, with its next commit; gc changes what older states are retained, and has no part in it.
 * @returns what to remove; without an ended transaction only the status is read, else all entries of layers once
 * @throws CorruptionError for a damaged state
 */
export async function unneededTransactions(lake: Lake, head: Head): Promise<EntryKey[]> {
  const ended = await lake.pages.run(unneededStatus(head, head.state, new Set()))
  if (ended.length === 0) return []
  const { xids, indexes } = await lake.pages.run(neededTransactions(head, head.state))
  for (const index of indexes) for (const { xid } of parseBlockIndex(await indexOf(lake, index)).unresolved) xids.add(xid)
  return ended.filter((entry) => !xids.has(Number(statusXid(entry))))
}

/**
 * Removes what {@link unneededTransactions} finds in the newest state of the writer's branch, as a commit of its own.
 * @returns how many entries were removed
 * @throws CorruptionError for a damaged state; what a commit throws
 */
export async function pruneTransactions(lake: Lake, writer: BranchWriter): Promise<number> {
  const unneeded = await unneededTransactions(lake, writer.head)
  if (unneeded.length > 0) await writer.commit(pruneStatus(unneeded))
  return unneeded.length
}

/** Bytes of a block index, those of an object checked. */
async function indexOf({ ports: { store } }: Lake, index: LayerFile['index']): Promise<Uint8Array> {
  if (index instanceof Uint8Array) return index
  const { key, bytes, crc } = index
  const found = await store.get(key)
  if (found === undefined) throw missingObject(store, key)
  if (found.bytes.length === bytes && crc32c(found.bytes) === crc) return found.bytes
  throw new CorruptionError('lake.block-index', `${key} is damaged: its ${found.bytes.length} bytes do not have the CRC of its reference`)
}
