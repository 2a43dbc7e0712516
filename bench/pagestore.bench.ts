/**
 * The WAL of TPC-B transactions applied to a page store on disk whose memory holds all of it, pages read on the way, beside pages in memory; and
 * with the flush that makes it durable.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { seed } from '../src/io/seed/seed.ts'
import { createPageStore, openPageStore } from '../src/io/pagestore/openstore.ts'
import type { PageStore } from '../src/replay/pagestore/pagestore.ts'
import { benchDir } from './data.ts'
import { compare, type Side } from './measure.ts'
import { printResult } from './report.ts'
import { base, control, MemorySide, replay, size, start, table } from './tpcbredo.ts'
import { progressAt } from '../test/support/replayprogress.ts'

/** It takes at most a fifth more time, while nothing is flushed. */
const WANTED = 0.83
const CACHE_BYTES = 4 * 2 ** 30

const { timeline } = control
const memory = new MemorySide()
let seeded = ''
let onDisk: PageStore | undefined
try {
  for (const flushed of [false, true]) {
    const stored: Side = { name: 'page store', prepare, run: () => replayOnDisk(flushed) }
    const comparison = await compare(stored, memory, size)
    printResult({
      kind: 'speed', bench: 'pagestore', table, variant: flushed ? 'flushed' : 'not flushed', peerName: 'memory', heapBytes: memory.walBytes,
      ...comparison, ...(flushed ? {} : { wanted: WANTED }), hash: memory.hash,
    })
  }
} finally {
  close()
}

async function prepare(): Promise<void> {
  close()
  seeded = mkdtempSync(join(benchDir(), 'pagestore-'))
  const { identity, indexes } = await seed(base, seeded)
  createPageStore(seeded, identity, progressAt(start, timeline), indexes)
  onDisk = openPageStore(seeded, { cacheBytes: CACHE_BYTES })
}

function replayOnDisk(flushed: boolean): void {
  const lsn = start + replay(onDisk!, (endLsn) => onDisk!.beginRecord(endLsn))
  if (flushed) onDisk!.flush(progressAt(lsn, timeline))
}

function close(): void {
  onDisk?.close()
  onDisk = undefined
  if (seeded !== '') rmSync(seeded, { recursive: true, force: true })
}
