/** One cell of the recovery matrix, as the quick and the long tests check it. */
import { expect } from 'vitest'
import { formatWalPosition } from '../../src/common/ids.ts'
import { pageLsn } from '../../src/page/heappage.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { type MemoryReplayStore, relationKey } from '../../src/replay/memoryreplaystore.ts'
import { type RecoveryCase, type RecoveryOptions, type ServerVariant, withBackup, withCrash, withRecovery } from './recovery.ts'
import { compareWithRecovered, redoCase } from './recoveryredo.ts'
import { type Coverage, countRecord } from './walcoverage.ts'
import { prepareWalWorkload, runWalWorkload, type WalWorkloadOptions } from './walworkload.ts'
import { concurrently } from './walworkloadsessions.ts'
import { EAGER_SETTINGS, prepareCrash, runUntilCrash } from './walworkloadcrash.ts'

export function describeVariant({ checksums, walLogHints, walCompression, fullPageWrites, walLevel }: ServerVariant): string {
  const onOff = (on: boolean) => (on ? 'on' : 'off')
  return `checksums ${onOff(checksums)}, wal_log_hints ${onOff(walLogHints)}, wal_compression ${walCompression}, ` +
    `full_page_writes ${onOff(fullPageWrites)}, wal_level ${walLevel}`
}

/** Redo from the pages as they were, then from canonical ones: no difference to what the server recovered. Counts what was applied. */
export async function checkRecovery(
  major: number, variant: ServerVariant, coverage: Coverage, workload: WalWorkloadOptions = {}, options: Partial<RecoveryOptions> = {},
): Promise<void> {
  const { fullPageWrites, walLevel } = variant
  await withRecovery(major, { ...variant, settings: { track_commit_timestamp: 'on' }, ...options }, {
    prepare: prepareWalWorkload,
    run: (cluster) => runWalWorkload(cluster, { logical: walLevel === 'logical', fullPageWrites, ...workload }),
  }, (found) => compare(found, coverage))
}

/**
 * The same after crash recovery: pages of the base are newer than records, blocks and files that records change are gone. Says how often,
 * since a workload where that never happens proves nothing.
 */
export async function checkCrash(major: number, variant: ServerVariant, coverage: Coverage, seed = 1): Promise<void> {
  await withCrash(major, { ...variant, settings: EAGER_SETTINGS }, { prepare: prepareCrash, run: (cluster) => runUntilCrash(cluster, seed) }, (found) => {
    const counts = { newer: 0, missing: 0 }
    compare(found, coverage, (record, store) => countStale(record, store, counts))
    console.log(`  ${counts.newer} blocks were newer than a record, ${counts.missing} were missing`)
    // Else the image of a page's first change after the checkpoint brings it back to where it was, and a missing one too.
    if (variant.fullPageWrites) return
    expect(counts.newer).toBeGreaterThan(1000)
    expect(counts.missing).toBeGreaterThan(0)
  })
}

/** The same from a base copy that was taken from a running server, every page of its own moment or torn. */
export async function checkBackup(major: number, variant: ServerVariant, coverage: Coverage, seed = 1): Promise<void> {
  await withBackup(major, { ...variant, settings: EAGER_SETTINGS }, {
    prepare: prepareCrash, busy: (cluster) => concurrently(cluster, seed, false), run: (cluster) => runUntilCrash(cluster, seed),
  }, (found) => compare(found, coverage))
}

function compare(found: RecoveryCase, coverage: Coverage, before: (record: WalRecord, store: MemoryReplayStore) => void = () => {}): void {
  const { store, records } = redoCase(found, { before, after: (record) => countRecord(coverage, record, found.major) })
  const result = compareWithRecovered(found, store)
  const place = `Postgres ${found.major}, ${describeVariant(found.variant)}, from ${formatWalPosition(found.start)}`
  console.log(`${place}: ${records} records, ${result.pages} pages of ${result.relations} relations`)
  expect(result.differences.join('\n')).toBe('')
  expect(result.relations).toBeGreaterThan(500)
  const canonical = compareWithRecovered(found, redoCase(found, {}, true).store, true)
  expect(canonical.differences.join('\n')).toBe('')
  expect(canonical.pages).toBe(result.pages)
}

function countStale(record: WalRecord, store: MemoryReplayStore, counts: { newer: number; missing: number }): void {
  for (let i = 0; i < record.blockCount; i++) {
    const block = record.blocks[i]!
    const relation = store.relations.get(relationKey(block))
    if (block.fork !== MAIN_FORK || block.applyImage || block.willInit || store.disowned.has(relationKey(block))) continue
    const page = relation?.forks[MAIN_FORK]?.page(block.block)
    if (page === undefined) counts.missing++
    else if (pageLsn(page) >= record.endLsn) counts.newer++
  }
}
