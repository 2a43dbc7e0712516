import { crc32c } from '../common/crc32c.ts'
import { CorruptionError } from '../common/errors.ts'
import { parseBlockIndex } from '../lake/blockindex.ts'
import type { ObjectReference } from '../lake/layer.ts'
import { neededTransactions, pruneStatus, unneededStatus } from '../lake/state/prunestatus.ts'
import type { Lake } from './lake.ts'
import { missingObject } from './pagereader.ts'
import type { BranchWriter } from './writer.ts'

/**
 * Removes the status of transactions that no row of the newest state of the writer's branch depends on. All entries of layers are read once: it
 * belongs to gc, not to a commit.
 * @returns how many entries were removed
 * @throws CorruptionError for a damaged state; what a commit throws
 */
export async function pruneTransactions(lake: Lake, writer: BranchWriter): Promise<number> {
  const { head } = writer
  const { xids, indexes } = await lake.pages.run(neededTransactions(head, head.state))
  for (const index of indexes) for (const { xid } of parseBlockIndex(await indexOf(lake, index)).unresolved) xids.add(xid)
  const unneeded = await lake.pages.run(unneededStatus(head, head.state, xids))
  if (unneeded.length > 0) await writer.commit(pruneStatus(unneeded))
  return unneeded.length
}

/** The object beside a layer file, checked. */
async function indexOf({ ports: { store } }: Lake, { key, bytes, crc }: ObjectReference): Promise<Uint8Array> {
  const found = await store.get(key)
  if (found === undefined) throw missingObject(store, key)
  if (found.bytes.length === bytes && crc32c(found.bytes) === crc) return found.bytes
  throw new CorruptionError('lake.block-index', `${key} is damaged: its ${found.bytes.length} bytes do not have the CRC of its reference`)
}
