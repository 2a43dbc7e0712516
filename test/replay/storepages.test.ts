/** Reading a fork of a store: one contract for the folder's store and the one in memory. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import type { RelFileLocator } from '../../src/common/rel.ts'
import { FSM_FORK, INIT_FORK, MAIN_FORK } from '../../src/common/relpath.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import { type PageSource, readPages } from '../../src/page/pagesource.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import type { ReplayStore } from '../../src/replay/replay.ts'
import { IDENTITY } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'

// Nothing here loses power, and waiting for the disk is most of the time.
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

type ReadStore = ReplayStore & { pages(locator: RelFileLocator, fork: number): PageSource | undefined }

const RELATION = { spcOid: 1663, dbOid: 5, relNumber: 16384 }

/** A store that makes what it is asked for, as redo's port does. */
class Eager extends MemoryReplayStore {
  override pages(locator: RelFileLocator, fork: number): PageSource | undefined {
    this.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)
    return super.pages(locator, fork)
  }
}

/** A store whose prepared pages are its own. */
class Shared extends MemoryReplayStore {
  override pages(locator: RelFileLocator, fork: number): PageSource | undefined {
    const [source, found] = [super.pages(locator, fork), this.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)]
    if (source !== undefined) source.read = (block) => found!.page(block)!.bytes
    return source
  }
}

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-storepages-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function withFolderStore(body: (store: ReadStore) => Promise<void>): Promise<void> {
  createPageStore(root, IDENTITY, progressAt(100))
  const store = openPageStore(root)
  return body(store).finally(() => store.close())
}

function write(store: ReadStore, block: number, value: number, fork = MAIN_FORK): void {
  store.beginRecord(200)
  const found = store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, fork)!
  const page = found.page(block) ?? found.extend(block)
  page.words.fill(value)
  page.dirty = true
  store.endRecord()
}

const word = (page: Uint8Array): number => page[4000]! | page[4001]! << 8

/** An unknown relation stays unknown. */
function checkUnknown(store: ReadStore): void {
  write(store, 0, 7)
  const unknown = { spcOid: 1663, dbOid: 7, relNumber: 99_999 }
  for (const fork of [0, 1, 2, 3]) expect(store.pages(unknown, fork)).toBeUndefined()
  expect(store.exists(unknown, MAIN_FORK)).toBe(false)
  expect(store.directoryExists(unknown)).toBe(false)
  expect(store.pages({ ...RELATION, relNumber: 99_999 }, MAIN_FORK)).toBeUndefined()
  expect(store.pages(RELATION, FSM_FORK)).toBeUndefined()
  const index = { ...RELATION, relNumber: 16_390 }
  store.disown(index)
  expect(store.pages(index, MAIN_FORK)).toBeUndefined()
}

/** Prepared pages stay; the next prepare has what redo made meanwhile. */
async function checkMeanwhile(store: ReadStore): Promise<void> {
  write(store, 0, 0x01010101)
  write(store, 1, 0x01010101)
  const source = store.pages(RELATION, MAIN_FORK)!
  await source.prepare(BlockSet.of([0, 1]))
  write(store, 1, 0x02020202)
  expect(word(source.read(1))).toBe(0x0101)
  await source.prepare(BlockSet.of([1]))
  expect(word(source.read(1))).toBe(0x0202)
  expect(() => source.read(0)).toThrow(/was not prepared/)
  write(store, 5, 3)
  expect(source.blocks).toBe(6)
  source.close()
}

/** A fork that was cut or dropped says so. */
async function checkGone(store: ReadStore): Promise<void> {
  write(store, 5, 1)
  const source = store.pages(RELATION, MAIN_FORK)!
  store.truncate(RELATION, MAIN_FORK, 2)
  expect(source.blocks).toBe(2)
  await expect(source.prepare(BlockSet.of([4]))).rejects.toThrow(/^pagestore.gone: .*relation 1663\/5\/16384, fork main, block 4/)
  store.drop(RELATION)
  expect(source.blocks).toBe(0)
  expect(store.pages(RELATION, MAIN_FORK)).toBeUndefined()
  await expect(source.prepare(BlockSet.of([0]))).rejects.toThrow(/^pagestore.gone/)
}

/** The main fork of an unlogged relation is its init fork, although nobody reset it yet. */
async function checkUnlogged(store: ReadStore): Promise<void> {
  write(store, 0, 3)
  write(store, 0, 5, INIT_FORK)
  expect(word(await readPages(store.pages(RELATION, MAIN_FORK)!, BlockSet.range(0, 1)))).toBe(5)
  expect(word(await readPages(store.pages(RELATION, INIT_FORK)!, BlockSet.range(0, 1)))).toBe(5)
}

const CHECKS = { checkUnknown, checkMeanwhile, checkGone, checkUnlogged }

describe.each(Object.entries(CHECKS))('%s', (_name, check) => {
  test('a page store', () => withFolderStore(async (store) => check(store)))
  test('a store in memory', async () => check(new MemoryReplayStore(17)))
})

test('planted faults are found: a store that makes what it is asked for, one that gives its own pages', async () => {
  expect(() => checkUnknown(new Eager(17))).toThrow()
  await expect(checkMeanwhile(new Shared(17))).rejects.toThrow()
})
