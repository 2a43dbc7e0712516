/** Reading a page store: nothing is made by it, the cache does not fill, redo may go on. And its lock, in one process and between containers. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { INIT_FORK, MAIN_FORK } from '../../src/common/relpath.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import type { PageStore } from '../../src/replay/pagestore/pagestore.ts'
import { checkPageChecksum } from '../../src/page/checksum.ts'
import { readPages } from '../../src/page/pagesource.ts'
import { IDENTITY } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'

// Nothing here loses power, and waiting for the disk is most of the time.
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

const CACHE = { cacheBytes: 8 << 20 }
const BLOCKS = 17_500
const RELATION = { spcOid: 1663, dbOid: 5, relNumber: 16384 }
const UNKNOWN = { spcOid: 1663, dbOid: 7, relNumber: 99_999 }

let root: string
let store: PageStore
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-pagestorereading-'))
  createPageStore(root, { ...IDENTITY, checksums: true }, progressAt(100))
  store = openPageStore(root, CACHE)
})
afterEach(() => {
  store.close()
  rmSync(root, { recursive: true, force: true })
})

/** Lines about relations, without those of flushes. */
function fileEvents(): string[] {
  return readFileSync(join(root, 'ltap/events.ndjson'), 'utf8').split('\n').filter((line) => !line.includes('"event":"flush"'))
}

function write(block: number, value: number, locator = RELATION, fork = MAIN_FORK): void {
  store.beginRecord(200)
  const found = store.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)!
  const page = found.page(block) ?? found.extend(block)
  page.words.fill(value)
  page.dirty = true
  store.endRecord()
}

const flush = (): void => store.flush(progressAt(store.flushed.lsn + 8))
const word = (page: Uint8Array): number => page[4000]! | page[4001]! << 8

test('asking for an unknown relation makes nothing, not at the next flush either', () => {
  write(0, 7)
  flush()
  const files = (): string[] => readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()
  const [before, events] = [files(), fileEvents()]
  for (const fork of [0, 1, 2, 3]) expect(store.pages(UNKNOWN, fork)).toBeUndefined()
  expect(store.pages({ ...RELATION, relNumber: 99_999 }, MAIN_FORK)).toBeUndefined()
  flush()
  expect(files()).toEqual(before)
  expect(fileEvents()).toEqual(events)
  // A planted fault: redo's port makes what it is asked for.
  store.fork(UNKNOWN.spcOid, UNKNOWN.dbOid, UNKNOWN.relNumber, MAIN_FORK)
  flush()
  expect(existsSync(join(root, 'base/7/99999'))).toBe(true)
})

test('more blocks than the cache holds are read, and take no frame of it', async () => {
  write(BLOCKS - 1, 9)
  write(3, 5)
  flush()
  store.close()
  store = openPageStore(root, CACHE)
  const source = store.pages(RELATION, MAIN_FORK)!
  expect(source.blocks).toBe(BLOCKS)
  const pages = await readPages(source, BlockSet.range(0, BLOCKS))
  expect([3, 4, BLOCKS - 1].map((block) => word(pages.subarray(block * BLOCK_SIZE)))).toEqual([5, 0, 9])
  expect(store.cachedPages).toBe(0)
  // Through redo's port, without an end of the record, they are all held, and that is said.
  const fork = store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, MAIN_FORK)!
  expect(() => {
    for (let block = 0; block < BLOCKS; block++) fork.page(block)
  }).toThrow(/pages were asked for and endRecord was never called; who only reads takes a PageSource/)
})

describe('while redo goes on', () => {
  test('prepared pages stay as they were, the next prepare has the new ones with their checksums', async () => {
    write(0, 0x01010101)
    write(1, 0x01010101)
    const source = store.pages(RELATION, MAIN_FORK)!
    await source.prepare(BlockSet.of([0, 1]))
    checkPageChecksum(source.read(1), 1)
    write(1, 0x02020202)
    expect(word(source.read(1))).toBe(0x0101)
    await source.prepare(BlockSet.of([1]))
    expect(word(source.read(1))).toBe(0x0202)
    checkPageChecksum(source.read(1), 1)
    expect(() => source.read(0)).toThrow(/was not prepared/)
    flush()
    await source.prepare(BlockSet.of([0, 1]))
    expect([0, 1].map((block) => word(source.read(block)))).toEqual([0x0101, 0x0202])
    source.close()
  })

  test('an unlogged relation is what its init fork is, before and after a flush', async () => {
    write(0, 3, RELATION, INIT_FORK)
    const before = await readPages(store.pages(RELATION, MAIN_FORK)!, BlockSet.range(0, 1))
    flush()
    expect(Buffer.compare(before, await readPages(store.pages(RELATION, MAIN_FORK)!, BlockSet.range(0, 1)))).toBe(0)
  })
})

describe('the lock of a store', () => {
  const open = (): void => openPageStore(root, CACHE).close()

  test('two openings in one process cannot share it', () => {
    expect(open).toThrow(/^folder.locked: this process works on the folder/)
    store.close()
    open()
  })

  test('process 1 of another container is not process 1 of this one', () => {
    store.close()
    const file = join(root, 'ltap/lock')
    const holder = { pid: process.pid, start: null, boot: 'another', namespace: 'pid:[1]', host: 'other', nonce: 'n' }
    writeFileSync(file, JSON.stringify(holder))
    expect(open).toThrow(/^folder.locked: process \d+ of other works on the folder/)
    // Its holder gives no sign of life any more.
    const old = Date.now() / 1000 - 120
    utimesSync(file, old, old)
    open()
    expect(existsSync(file)).toBe(false)
  })
})
