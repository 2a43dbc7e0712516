/** Redo of stored WAL from a server that compresses as those in npm cannot (fixtures/wal/make.ts). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pageLsn } from '../../src/page/heappage.ts'
import { Redo } from '../../src/redo/redo.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'

test.each(['lz4', 'zstd'])('images compressed with %s, of a server that has it, become pages', (method) => {
  const file = join(import.meta.dirname, '../../fixtures/wal', `images-15-${method}`)
  const { start, images } = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as { start: number; images: Record<string, string> }
  const store = new MemoryReplayStore(17)
  const redo = new Redo(store, { major: 15, checksums: false, walLogHints: false })
  const reader = new WalReader({ major: 15, start, timeline: 1, segmentSize: 1 << 20 })
  reader.feed(new Uint8Array(readFileSync(`${file}.wal`)))
  const made: Record<string, string> = {}
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    redo.apply(record)
    const block = record.block(0)
    if (block?.applyImage !== true) continue
    const page = store.fork(block.spcOid, block.dbOid, block.relNumber, MAIN_FORK)?.page(block.block)
    if (page === undefined) continue
    expect(pageLsn(page)).toBe(record.endLsn)
    // Without LSN and checksum, as the fixture's hashes.
    made[`${block.relNumber}.${block.block}`] ??= createHash('sha256').update(page.bytes.subarray(10)).digest('hex')
  }
  expect(Object.keys(images).length).toBeGreaterThan(3)
  expect(made).toMatchObject(images)
})
