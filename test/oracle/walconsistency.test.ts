/**
 * Redo against the images that wal_consistency_checking puts into records: what the server says each page looks like after each record,
 * compared after masking what is not logged (checkXLogConsistency, xlogrecovery.c).
 */
import { describe, expect, test } from 'vitest'
import { pageLsn } from '../../src/page/heappage.ts'
import { maskHeapPage, maskSequencePage } from '../../src/redo/mask.ts'
import { restoreImage } from '../../src/wal/blockimage.ts'
import { type BlockReference, type WalRecord, XLR_CHECK_CONSISTENCY } from '../../src/wal/record.ts'
import { RM_SEQ_ID } from '../../src/wal/rmgr.ts'
import { dumpRecord } from '../../src/wal/waldump.ts'
import { relationKey, type MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { withRecovery } from '../support/recovery.ts'
import { redoCase } from '../support/recoveryredo.ts'
import { prepareWalWorkload, runWalWorkload } from '../support/walworkload.ts'

describe.each(drawn(majors(), 1, 'majors of walconsistency'))('wal_consistency_checking on Postgres %i', (major) => {
  test('every image equals the page after its record', async () => {
    const variant = { checksums: major > 14, walLogHints: false, walCompression: 'off', fullPageWrites: true, walLevel: 'replica' } as const
    const settings = { wal_consistency_checking: 'heap,heap2,sequence' }
    await withRecovery(major, { ...variant, settings, recover: false }, {
      prepare: prepareWalWorkload,
      run: (cluster) => runWalWorkload(cluster, { fullPageWrites: true, xids: 0 }),
    }, (found) => {
      const counts = { compared: 0, restored: 0, ahead: 0 }
      const mismatches: string[] = []
      redoCase(found, { after: (record, store) => {
        if ((record.info & XLR_CHECK_CONSISTENCY) === 0) return
        for (let i = 0; i < record.blockCount; i++) {
          const block = record.blocks[i]!
          const outcome = check(record, block, store)
          if (outcome === 'different') mismatches.push(`block ${block.id}: ${dumpRecord(record, found.major)}`)
          else counts[outcome]++
        }
      } })
      const { compared, restored, ahead } = counts
      console.log(`Postgres ${major}: ${compared} images equal, ${restored} were restored, ${ahead} pages were newer, ${mismatches.length} differ`)
      expect(mismatches.slice(0, 5).join('')).toBe('')
      expect(counts.compared).toBeGreaterThan(20_000)
    })
  })
})

const ours = new Uint8Array(8192)
const theirs = new Uint8Array(8192)

function check(record: WalRecord, block: BlockReference, store: MemoryReplayStore): 'compared' | 'restored' | 'ahead' | 'different' {
  if (!block.hasImage) throw new Error('a record to be checked has a block without an image')
  if (block.applyImage) return 'restored'
  const page = store.relations.get(relationKey(block))?.forks[block.fork]?.page(block.block)
  if (page === undefined) return 'different'
  if (pageLsn(page) > record.endLsn) return 'ahead'
  ours.set(page.bytes)
  restoreImage(record, block, theirs)
  for (const bytes of [ours, theirs]) {
    if (record.rmgr === RM_SEQ_ID) maskSequencePage(bytes)
    else maskHeapPage(bytes, block.block)
  }
  return Buffer.compare(ours, theirs) === 0 ? 'compared' : 'different'
}
