/** Blocks that a page store says changed since a mark, against a plain model: any flush is a mark, kept over kills and reopenings. */
import fc from 'fast-check'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import { StoredFork } from '../../src/replay/pagestore/storedfork.ts'
import type { PageStore } from '../../src/replay/pagestore/pagestore.ts'
import { applyToModel, applyToStore, arbitraryOp, DIRECTORIES, emptyModel, FORKS, IDENTITY, type Model, type Op, RELATIONS, settleModel } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

/** A planted fault: flushes that are told together lose a fork. */
const planted = vi.hoisted(() => ({ losesFork: false }))
vi.mock('../../src/replay/pagestore/storeevents.ts', async (original) => {
  const events = await original<typeof import('../../src/replay/pagestore/storeevents.ts')>()
  const formatFlush: typeof events.formatFlush = (text, from, lsn, forks) => events.formatFlush(text, from, lsn, planted.losesFork ? forks.slice(1) : forks)
  return { ...events, formatFlush }
})

// Nothing here loses power, and waiting for the disk is most of the time.
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

const RUNS = amount({ quick: 25, sample: 25, all: 1000 })
const SMALL_CACHE = { cacheBytes: 256 * 8192 }
const START = 100

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-changes-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  planted.losesFork = false
  rmSync(root, { recursive: true, force: true })
})

/** What happened to each fork since a mark. */
interface Tracked {
  mark: number
  /** By the model's key of forks. */
  smallest: Map<string, number>
  touched: Map<string, Set<number>>
}

/** A model that remembers, for each flush, what came after it. */
class MarkedModel {
  model = emptyModel()
  inits = new Set<string>()
  marks: Tracked[] = []
  private kept = structuredClone({ model: this.model, marks: this.marks })

  constructor() {
    this.addMark(START)
    this.keep()
  }

  apply(op: Op): void {
    // A copied database begins with the main forks of its unlogged relations, and so does what it is copied from.
    if (op.op === 'copyDatabase') for (const key of this.inits) if (key.startsWith(`${op.from}/`)) this.cut(key.replace(/2$/, '0'), 0)
    applyToModel(this.model, op, this.inits)
    if (op.op === 'copyDatabase') for (const key of this.model.forks.keys()) if (key.startsWith(`${op.dir}/`)) this.cut(key, 0)
    if (op.op === 'write' && this.model.forks.has(`${op.dir}/${op.rel}/${op.fork}`)) this.touch(`${op.dir}/${op.rel}/${op.fork}`, op.block)
    this.measure()
  }

  flush(lsn: number): void {
    for (const key of this.inits) if (this.model.forks.has(key)) this.cut(key.replace(/2$/, '0'), 0)
    settleModel(this.model, this.inits)
    this.measure()
    this.addMark(lsn)
    this.keep()
  }

  reopen(): void {
    ({ model: this.model, marks: this.marks } = structuredClone(this.kept))
    this.inits = new Set()
  }

  private keep(): void {
    this.kept = structuredClone({ model: this.model, marks: this.marks })
  }

  private addMark(mark: number): void {
    this.marks.push({ mark, smallest: new Map([...this.model.forks].map(([key, pages]) => [key, pages.length])), touched: new Map() })
  }

  private touch(key: string, block: number): void {
    for (const { touched } of this.marks) touched.set(key, (touched.get(key) ?? new Set()).add(block))
  }

  private cut(key: string, blocks: number): void {
    for (const { smallest } of this.marks) smallest.set(key, Math.min(smallest.get(key) ?? 0, blocks))
  }

  /** A fork that is not there has length 0. */
  private measure(): void {
    for (const { smallest } of this.marks) {
      for (const key of new Set([...smallest.keys(), ...this.model.forks.keys()])) {
        smallest.set(key, Math.min(smallest.get(key) ?? 0, this.model.forks.get(key)?.length ?? 0))
      }
    }
  }
}

/** By fork that is there: `[smallest, blocks, changed blocks]`. */
function expectedChanges({ forks }: Model, { smallest, touched }: Tracked): Record<string, unknown> {
  return Object.fromEntries([...forks].map(([key, { length }]) => {
    const least = smallest.get(key) ?? 0
    const changed = Array.from({ length }, (_, block) => block).filter((block) => block >= least || touched.get(key)?.has(block))
    return [key, [least, length, changed]]
  }))
}

/** A mark that the store does not know any more. */
function isForgotten(store: PageStore, mark: number): boolean {
  try {
    store.changedSince(mark)
    return false
  } catch (error) {
    expect(error).toMatchObject({ name: 'EnvironmentError', code: 'pagestore.mark' })
    return true
  }
}

/** @param forks forks that are there: those that the store does not name are as they were */
function foundChanges(store: PageStore, mark: number, { forks }: Model): Record<string, unknown> {
  const found: Record<string, unknown> = Object.fromEntries([...forks].map(([key, { length }]) => [key, [length, length, []]]))
  const { from, to, forks: changes } = store.changedSince(mark)
  expect([from <= mark, to]).toEqual([true, store.flushed.lsn])
  for (const { spcOid, dbOid, relNumber, fork, smallest, blocks, changed } of changes) {
    const dir = DIRECTORIES.findIndex((directory) => directory.spcOid === spcOid && directory.dbOid === dbOid)
    found[`${dir}/${RELATIONS.indexOf(relNumber)}/${FORKS.indexOf(fork)}`] = [smallest, blocks, [...changed]]
  }
  return found
}

interface Seen {
  /** Marks that were asked for. */
  marks: number
  /** Of these, marks that flushes told together lie around, and marks that were refused. */
  coarse: number
  forgotten: number
}

/** The answer for each mark. A short list may give a flush before the mark, whose changes are exact, or refuse marks before one. */
function checkMarks(store: PageStore, { model, marks }: MarkedModel, isShort: boolean, seen: Seen): void {
  let isKnown = false
  for (const { mark } of marks) {
    seen.marks++
    if (isShort && !isKnown && isForgotten(store, mark)) {
      seen.forgotten++
      continue
    }
    isKnown = true
    const { from } = store.changedSince(mark)
    if (from !== mark) seen.coarse++
    if (!isShort) expect(from).toBe(mark)
    const tracked = marks.find((flush) => flush.mark === from)
    expect(foundChanges(store, mark, model), `since ${mark}`).toEqual(expectedChanges(model, tracked!))
  }
  expect(isKnown).toBe(true)
}

/** @param changesBytes of the store; without it no mark is forgotten */
function run(ops: readonly Op[], path: string, changesBytes?: number, seen: Seen = { marks: 0, coarse: 0, forgotten: 0 }): void {
  createPageStore(path, IDENTITY, progressAt(START))
  const options = { ...SMALL_CACHE, ...changesBytes !== undefined && { changesBytes } }
  let store = openPageStore(path, options)
  const model = new MarkedModel()
  let lsn = START
  let flushes = 0
  const check = (): void => {
    if (changesBytes !== undefined && flushes++ % 25 !== 0) return
    checkMarks(store, model, changesBytes !== undefined, seen)
    const file = readFileSync(join(path, 'ltap/events.ndjson'), 'utf8')
    // What one flush says is kept, however much it is.
    const last = file.slice(file.lastIndexOf('"event":"flush"', file.length - 1))
    if (changesBytes !== undefined && file.split('"event":"flush"').length > 2) expect(file.length, last).toBeLessThanOrEqual(changesBytes)
  }
  for (const op of [...ops, { op: 'flush' } as const, { op: 'reopen' } as const]) {
    lsn += 8
    if (op.op === 'flush') {
      store.flush(progressAt(lsn))
      model.flush(lsn)
      check()
    } else if (op.op === 'reopen') {
      // What was not flushed is lost, as by a kill.
      store.close()
      store = openPageStore(path, options)
      model.reopen()
      check()
    } else {
      applyToStore(store, op, lsn)
      model.apply(op)
    }
  }
  store.close()
  rmSync(path, { recursive: true })
}

function property(runs: number): void {
  let n = 0
  fc.assert(fc.property(fc.array(arbitraryOp, { minLength: 10, maxLength: 120 }), (ops) => run(ops, join(root, String(n++)))), { seed: TEST_SEED, numRuns: runs })
}

test(`random histories, every flush a mark, seed ${TEST_SEED}`, () => {
  property(RUNS)
})

const MANY_FLUSHES = fc.array(fc.oneof({ weight: 3, arbitrary: arbitraryOp }, { weight: 1, arbitrary: fc.constant<Op>({ op: 'flush' }) }), { minLength: 250, maxLength: 350 })

function shortProperty(runs: number): Seen {
  const seen = { marks: 0, coarse: 0, forgotten: 0 }
  let n = 0
  fc.assert(fc.property(MANY_FLUSHES, (ops) => {
    for (const changesBytes of [1, 12_000, 20_000]) run(ops, join(root, `short${n++}`), changesBytes, seen)
  }), { seed: TEST_SEED, numRuns: runs, endOnFailure: true })
  return seen
}

test(`a list of changes that is kept short: more than was asked for, or a mark that is refused, seed ${TEST_SEED}`, () => {
  const { marks, coarse, forgotten } = shortProperty(amount({ quick: 1, sample: 6, all: 100 }))
  expect(coarse).toBeGreaterThan(0)
  expect(forgotten).toBeGreaterThan(0)
  expect(coarse + forgotten).toBeLessThan(marks)
  planted.losesFork = true
  expect(() => shortProperty(20)).toThrow()
})

test.each([6000, 1])('a flush without WAL is still told to those who ask with its LSN when the list is shortened to %i bytes', (changesBytes) => {
  const path = join(root, 'still')
  createPageStore(path, IDENTITY, progressAt(START))
  const store = openPageStore(path, { changesBytes })
  /** A caller that took its mark before a flush asks for what that flush changed. */
  const marks: { mark: number; block: number }[] = []
  for (let i = 0, lsn = START; i < 120; i++) {
    const mark = lsn
    if (i % 3 === 0) lsn += 8
    applyToStore(store, { op: 'write', dir: 1, rel: 1, fork: 0, block: i, value: 1 }, lsn)
    store.flush(progressAt(lsn))
    marks.push({ mark, block: i })
  }
  let [coarse, known] = [0, 0]
  for (const { mark, block } of marks) {
    if (changesBytes === 1 && isForgotten(store, mark)) continue
    known++
    const { from, forks } = store.changedSince(mark)
    if (from < mark) coarse++
    expect([...forks[0]!.changed], `block ${block} since ${mark}`).toContain(block)
  }
  if (changesBytes > 1) expect(coarse).toBeGreaterThan(10)
  expect(known).toBeGreaterThan(0)
  store.close()
})

test('planted faults are found: blocks that a truncation passed, and a forgotten page', () => {
  const { changes } = Object.getOwnPropertyDescriptors(StoredFork.prototype)
  const right = changes.value as StoredFork['changes']
  vi.spyOn(StoredFork.prototype, 'changes').mockImplementation(function (this: StoredFork, frames, isCopy) {
    const found = right.call(this, frames, isCopy)
    return found === undefined ? found : { ...found, smallest: found.blocks }
  })
  expect(() => property(200)).toThrow()
  vi.spyOn(StoredFork.prototype, 'changes').mockImplementation(function (this: StoredFork, frames, isCopy) {
    return right.call(this, frames.slice(1), isCopy)
  })
  expect(() => property(200)).toThrow()
})

test('events come in order; a mark that is not a flush is taken back to one; others are refused', () => {
  const path = join(root, 'store')
  createPageStore(path, IDENTITY, progressAt(START))
  const store = openPageStore(path)
  const relation = { spcOid: 1663, dbOid: 5, relNumber: 16384 }
  expect(store.changedSince(START)).toEqual({ from: START, to: START, forks: [], events: [] })
  applyToStore(store, { op: 'write', dir: 1, rel: 1, fork: 0, block: 9, value: 1 }, 108)
  store.flush(progressAt(200))
  applyToStore(store, { op: 'truncate', dir: 1, rel: 1, fork: 0, blocks: 4 }, 208)
  applyToStore(store, { op: 'write', dir: 1, rel: 1, fork: 0, block: 5, value: 2 }, 216)
  applyToStore(store, { op: 'copyDatabase', from: 1, dir: 0 }, 224)
  store.flush(progressAt(300))
  const changes = store.changedSince(250)
  expect(changes).toMatchObject({
    from: 200, to: 300,
    events: [
      { lsn: 208, event: 'truncate', relation, fork: 0, blocks: 4 },
      { lsn: 224, event: 'copy-database', directory: { spcOid: 1663, dbOid: 1 }, from: { spcOid: 1663, dbOid: 5 } },
    ],
    forks: [{ spcOid: 1663, dbOid: 1, relNumber: 16384, fork: 0, smallest: 0, blocks: 6 }, { ...relation, fork: 0, smallest: 4, blocks: 6 }],
  })
  expect(changes.forks.map(({ changed }) => [...changed])).toEqual([[0, 1, 2, 3, 4, 5], [4, 5]])
  applyToStore(store, { op: 'drop', dir: 1, rel: 1 }, 308)
  store.flush(progressAt(400))
  expect(store.changedSince(200).forks.map(({ dbOid }) => dbOid)).toEqual([1])
  expect(store.changedSince(300)).toMatchObject({ forks: [], events: [{ lsn: 308, event: 'drop', relation }] })
  for (const mark of [START - 1, 401]) expect(() => store.changedSince(mark)).toThrow(expect.objectContaining({ name: 'EnvironmentError', code: 'pagestore.mark' }))
  store.close()
})

test('a store of an older ltap knows changes from its first flush by this one on', () => {
  const path = join(root, 'store')
  createPageStore(path, IDENTITY, progressAt(START))
  const older = openPageStore(path)
  applyToStore(older, { op: 'create', dir: 1, rel: 1, fork: 0 }, 108)
  older.flush(progressAt(200))
  older.close()
  // As it wrote them: lines of events alone.
  const file = join(path, 'ltap/events.ndjson')
  const lines = readFileSync(file, 'utf8').split('\n')
  const [event, flush] = lines
  writeFileSync(file, `${event}\n${' '.repeat(flush!.length)}\n`)
  const store = openPageStore(path)
  expect(() => store.changedSince(START)).toThrow(/changes are known after 0\/C8 and up to 0\/C8, not after 0\/64; take all blocks/)
  expect(store.changedSince(200).events).toEqual([])
  applyToStore(store, { op: 'drop', dir: 1, rel: 1 }, 208)
  store.flush(progressAt(300))
  expect(store.changedSince(200).events).toMatchObject([{ event: 'drop' }])
  expect(() => store.changedSince(199)).toThrow(/pagestore\.mark/)
  store.close()
})

test('every changed byte of a flush and its events is an error or a mark that is refused, never another answer', () => {
  const path = join(root, 'store')
  createPageStore(path, IDENTITY, progressAt(START))
  const store = openPageStore(path)
  applyToStore(store, { op: 'write', dir: 1, rel: 1, fork: 0, block: 9, value: 1 }, 108)
  store.flush(progressAt(200))
  const file = join(path, 'ltap/events.ndjson')
  const good = readFileSync(file)
  for (let at = 0; at < good.length; at++) {
    const bad = Buffer.from(good)
    bad[at]! ^= 1 << (at % 7)
    writeFileSync(file, bad)
    expect(() => store.changedSince(START), `byte ${at}`).toThrow(/pagestore\.(?:events|mark)/)
  }
  store.close()
})
