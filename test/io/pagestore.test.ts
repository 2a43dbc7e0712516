import fc from 'fast-check'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { JournalWriter } from '../../src/io/pagestore/journal.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import {
  applyToModel, applyToStore, arbitraryOp, emptyModel, fileParts, IDENTITY, modelOfFiles, modelOfStore, type Op, settleModel, visibleParts,
} from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

// Nothing here loses power, and waiting for the disk is most of the time.
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

const RUNS = amount({ quick: 25, sample: 25, all: 1000 })
const SMALL_CACHE = { cacheBytes: 256 * 8192 }

/** The directory comes back with the relation, and stays when that goes: it was removed with the tablespace. */
const PUT_INTO_DROPPED_TABLESPACE: Op[] = [
  { op: 'dropTablespace' }, { op: 'write', dir: 2, rel: 1, fork: 0, block: 0, value: 1 }, { op: 'drop', dir: 2, rel: 1 }, { op: 'flush' },
]

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-pagestore-'))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

test('what a seeding left that was killed at its end goes when the store is opened', () => {
  createPageStore(root, IDENTITY, progressAt(100))
  const seeding = join(root, 'ltap/seeding')
  writeFileSync(seeding, '')
  openPageStore(root).close()
  expect(existsSync(seeding)).toBe(false)
})

describe('against a model', () => {
  test(`random operations, flushes and reopenings, seed ${TEST_SEED}`, () => {
    let runs = 0
    fc.assert(
      fc.property(fc.array(arbitraryOp, { minLength: 10, maxLength: 120 }), (ops) => {
        const path = join(root, String(runs++))
        createPageStore(path, IDENTITY, progressAt(100))
        let store = openPageStore(path, SMALL_CACHE)
        let model = emptyModel()
        let inits = new Set<string>()
        let flushed = structuredClone(model)
        let lsn = 100
        for (const op of ops) {
          lsn += 8
          if (op.op === 'flush') {
            settleModel(model, inits)
            store.flush(progressAt(lsn))
            flushed = structuredClone(model)
            expect(fileParts(modelOfFiles(path))).toEqual(fileParts(model))
          } else if (op.op === 'reopen') {
            store.close()
            store = openPageStore(path, SMALL_CACHE)
            model = structuredClone(flushed)
            inits = new Set()
          } else {
            applyToStore(store, op, lsn)
            applyToModel(model, op, inits)
          }
        }
        expect(visibleParts(modelOfStore(store))).toEqual(visibleParts(model))
        settleModel(model, inits)
        store.flush(progressAt(lsn + 8))
        expect(fileParts(modelOfFiles(path))).toEqual(fileParts(model))
        store.close()
        const again = openPageStore(path, SMALL_CACHE)
        expect(visibleParts(modelOfStore(again))).toEqual(visibleParts(model))
        expect(again.flushed.lsn).toBe(lsn + 8)
        again.close()
        rmSync(path, { recursive: true })
      }),
      { seed: TEST_SEED, numRuns: RUNS, examples: [[PUT_INTO_DROPPED_TABLESPACE]] },
    )
  })
})

describe('opening', () => {
  const path = (name: string): string => join(root, 'store', name)
  const state = (): Buffer => readFileSync(path('ltap/state'))

  beforeEach(() => {
    createPageStore(join(root, 'store'), IDENTITY, progressAt(0x1a2b3c8, 3), [{ spcOid: 1663, dbOid: 5, relNumber: 2601 }])
  })

  test('gives back what was stored', () => {
    const store = openPageStore(path(''))
    expect(store.flushed).toEqual(progressAt(0x1a2b3c8, 3))
    expect(store.identity).toEqual(IDENTITY)
    expect(store.fork(1663, 5, 2601, 0)).toBeUndefined()
    store.close()
  })

  test('every flipped bit of the state is an error', () => {
    const good = state()
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at]! ^= 1 << (at % 8)
      writeFileSync(path('ltap/state'), bad)
      expect(() => openPageStore(path('')), `byte ${at}`).toThrow(/pagestore\.state/)
    }
    for (const length of [0, 1, good.length - 1]) {
      writeFileSync(path('ltap/state'), good.subarray(0, length))
      expect(() => openPageStore(path(''))).toThrow(/pagestore\.state/)
    }
  })

  test('every flipped bit and every cut of a journal is an error, and nothing of it is applied', () => {
    const journal = new JournalWriter(path(''))
    journal.add({ op: 'make-directory', path: 'base/7' })
    journal.add({ op: 'write-file', path: 'base/7/PG_VERSION' }, new Uint8Array([49, 55, 10]))
    journal.finish()
    const good = readFileSync(path('ltap/journal'))
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at]! ^= 1 << (at % 8)
      // The padding says nothing.
      if (isPadding(good, at)) continue
      writeFileSync(path('ltap/journal'), bad)
      expect(() => openPageStore(path('')), `byte ${at}`).toThrow(/pagestore\.journal/)
      writeFileSync(path('ltap/journal'), good.subarray(0, at))
      expect(() => openPageStore(path('')), `cut at ${at}`).toThrow(/pagestore\.journal/)
      expect(modelOfFiles(path('')).directories.size).toBe(1)
    }
    writeFileSync(path('ltap/journal'), good)
    openPageStore(path('')).close()
    expect(readFileSync(path('base/7/PG_VERSION'), 'latin1')).toBe('17\n')
  })

  test('events that are not those of the state', () => {
    appendFileSync(path('ltap/events.ndjson'), '{}\n')
    expect(() => openPageStore(path(''))).toThrow(/pagestore\.events/)
  })

  test('a list of indexes that is not that of the state', () => {
    writeFileSync(path('ltap/indexes'), '1663/5/2600\n')
    expect(() => openPageStore(path(''))).toThrow(/pagestore\.indexes/)
  })

  test('a folder that is no page store, and one that another process has', () => {
    expect(() => openPageStore(root)).toThrow(/pagestore\.missing/)
    const store = openPageStore(path(''))
    expect(() => openPageStore(path(''))).toThrow(/folder\.locked: this process works on the folder/)
    store.close()
    openPageStore(path('')).close()
  })

  test('a file that became shorter behind the store', () => {
    const store = openPageStore(path(''))
    const page = store.fork(1663, 5, 16384, 0)!.extend(5)
    page.bytes.fill(1)
    page.dirty = true
    store.flush(progressAt(0x2000000, 3))
    store.close()
    const again = openPageStore(path(''))
    const fork = again.fork(1663, 5, 16384, 0)!
    expect(fork.blocks).toBe(6)
    writeFileSync(path('base/5/16384'), new Uint8Array(8192))
    expect(() => fork.page(5)).toThrow(/relation\.short-read/)
    expect(fork.page(0)!.bytes.every((byte) => byte === 0)).toBe(true)
    again.close()
  })
})

test('segments of 1 GiB: far blocks, truncation across them, zeros after both', () => {
  createPageStore(root, IDENTITY, progressAt(0))
  const far = 131072 * 2 + 5
  let store = openPageStore(root, SMALL_CACHE)
  const write = (block: number, value: number): void => {
    const fork = store.fork(1663, 5, 16384, 0)!
    const page = fork.page(block) ?? fork.extend(block)
    page.words.fill(value)
    page.dirty = true
    store.endRecord()
  }
  const first = (block: number): number => store.fork(1663, 5, 16384, 0)!.page(block)!.words[0]!
  for (const block of [far, 131071, 131072, 0]) write(block, block + 1)
  store.flush(progressAt(8))
  store.close()
  store = openPageStore(root, SMALL_CACHE)
  expect(store.fork(1663, 5, 16384, 0)!.blocks).toBe(far + 1)
  expect([far, 131071, 131072, 0, 200000].map(first)).toEqual([far + 1, 131072, 131073, 1, 0])
  store.truncate({ spcOid: 1663, dbOid: 5, relNumber: 16384 }, 0, 131072)
  write(131074, 9)
  expect([131071, 131072, 131074].map(first)).toEqual([131072, 0, 9])
  store.flush(progressAt(16))
  store.close()
  store = openPageStore(root, SMALL_CACHE)
  expect(store.fork(1663, 5, 16384, 0)!.blocks).toBe(131075)
  expect([131071, 131072, 131074].map(first)).toEqual([131072, 0, 9])
  expect(() => store.fork(1663, 5, 16384, 0)!.extend(0xffffffff)).toThrow(/pagestore\.block/)
  store.close()
})

test('memory stays within the cache while much more is written', () => {
  createPageStore(root, IDENTITY, progressAt(0))
  const store = openPageStore(root, { cacheBytes: 1024 * 8192 })
  let flushes = 0
  for (let n = 0; n < 6000; n++) {
    const fork = store.fork(1663, 5, 16384, 0)!
    const page = fork.extend(n)
    page.words.fill(n)
    page.dirty = true
    fork.page((n * 7919) % (n + 1))
    store.endRecord()
    if (!store.needsFlush) continue
    store.flush(progressAt(n))
    flushes++
  }
  expect(flushes).toBeGreaterThan(5)
  for (let n = 0; n < 6000; n++) {
    expect(store.fork(1663, 5, 16384, 0)!.page(n)!.words[77]).toBe(n)
    store.endRecord()
  }
  expect(store.cachedPages).toBeLessThanOrEqual(1024)
  store.close()
})

/** Bytes that only align: after the head and data of an operation. */
function isPadding(journal: Buffer, at: number): boolean {
  for (let start = 8; start + 12 <= journal.length; ) {
    const used = journal.readUInt32LE(start) + journal.readUInt32LE(start + 4)
    const end = start + 12 + used
    if (at >= end && at < end + (-used & 3)) return true
    start = end + (-used & 3)
  }
  return false
}
