import fc from 'fast-check'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import type { PageStore } from '../../src/replay/pagestore/pagestore.ts'
import { applyToModel, applyToStore, arbitraryOp, emptyModel, fileParts, IDENTITY, modelOfFiles, type Model, type Op, settleModel } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

/** Calls that change files: the process dies at one of them, a write done by half, and nothing gets through after it. */
const death = vi.hoisted(() => ({ armed: false, left: 0, half: false, errno: 'EIO' }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const fail = (): never => {
    throw Object.assign(new Error(`${death.errno}: made by the test`), { code: death.errno, syscall: 'write' })
  }
  const dies = (): boolean => death.armed && death.left-- <= 0
  const guarded = <A extends unknown[], R>(call: (...args: A) => R) => (...args: A): R => (dies() ? fail() : call(...args))
  return {
    ...fs,
    writeSync: (fd: number, bytes: Uint8Array, start: number, length: number, position: number | null): number => {
      if (!dies()) return fs.writeSync(fd, bytes, start, length, position)
      if (death.half && death.left === -1) fs.writeSync(fd, bytes, start, Math.floor(length / 2), position)
      return fail()
    },
    openSync: (path: string, flags: string | number, mode?: number): number => {
      const makes = typeof flags === 'number' ? (flags & fs.constants.O_CREAT) !== 0 : flags !== 'r' && flags !== 'r+'
      return makes && dies() ? fail() : fs.openSync(path, flags, mode)
    },
    // Dying is not losing power: what was written is there.
    fsyncSync: guarded(() => {}),
    ftruncateSync: guarded(fs.ftruncateSync), renameSync: guarded(fs.renameSync), unlinkSync: guarded(fs.unlinkSync),
    rmSync: guarded(fs.rmSync), mkdirSync: guarded(fs.mkdirSync), copyFileSync: guarded(fs.copyFileSync),
  }
})

const WORKLOADS = amount({ quick: 1, sample: 1, all: 20 })
const FIRST_LSN = 1000
const SECOND_LSN = 2000

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-pagestorecrash-'))
})
afterEach(() => {
  death.armed = false
  rmSync(root, { recursive: true, force: true })
})

/** Runs `body`; the `calls`-th change of a file and all after it fail. @returns whether it came to that */
function dying(calls: number, half: boolean, body: () => void): boolean {
  Object.assign(death, { armed: true, left: calls, half })
  try {
    body()
    return false
  } catch (error) {
    if (death.left >= 0) throw error
    return true
  } finally {
    death.armed = false
  }
}

function apply(store: PageStore, ops: readonly Op[], lsn: number): void {
  for (const op of ops) applyToStore(store, op, lsn)
  store.flush(progressAt(lsn))
}

function model(from: Model, ops: readonly Op[]): Model {
  const result = structuredClone(from)
  const inits = new Set<string>()
  for (const op of ops) applyToModel(result, op, inits)
  settleModel(result, inits)
  return result
}

describe('the process dies at every change of a file', () => {
  // Small files: they are copied for every death.
  const near = (op: Op): Op => ('block' in op ? { ...op, block: op.block % 13 } : 'blocks' in op ? { ...op, blocks: op.blocks % 13 } : op)
  const ops = fc.array(arbitraryOp.filter(({ op }) => op !== 'flush' && op !== 'reopen').map(near), { minLength: 15, maxLength: 40 })
  const workloads = fc.sample(fc.tuple(ops, ops), { seed: TEST_SEED, numRuns: WORKLOADS })
  // A short list of changes is written as a whole, another one is lengthened.
  const cases = workloads.flatMap(([before, after]) => [{ before, after, changesBytes: 1 << 20 }, { before, after, changesBytes: 1 }])
  test.each(cases)(`and the store is as of its last flush, list of $changesBytes bytes, seed ${TEST_SEED}`, ({ before, after, changesBytes }) => {
    const prepared = join(root, 'prepared')
    createPageStore(prepared, IDENTITY, progressAt(0))
    const first = openPageStore(prepared)
    apply(first, before, FIRST_LSN)
    first.close()
    const states = new Map([[FIRST_LSN, model(emptyModel(), before)]])
    states.set(SECOND_LSN, model(states.get(FIRST_LSN)!, after))

    const seen = new Set<number>()
    const changes = new Set<string>()
    let calls = 0
    for (let died = true; died; calls++) {
      const path = join(root, String(calls))
      cpSync(prepared, path, { recursive: true })
      let store = openPageStore(path, { changesBytes })
      died = dying(calls, calls % 2 === 0, () => apply(store, after, SECOND_LSN))
      store.close()
      // Now and then the process dies again while it recovers: its lock is then nobody's.
      if (calls % 3 === 0 && dying(calls % 17, false, () => openPageStore(path).close())) {
        for (const name of readdirSync(join(path, 'ltap')).filter((name) => /^lock\b/.test(name))) rmSync(join(path, 'ltap', name))
      }

      store = openPageStore(path, { changesBytes })
      const { lsn } = store.flushed
      seen.add(lsn)
      expect(fileParts(modelOfFiles(path)), `died at call ${calls}`).toEqual(fileParts(states.get(lsn)!))
      expect(readdirSync(join(path, 'ltap')).sort()).toEqual(['events.ndjson', 'indexes', 'lock', 'state'])
      const events = readFileSync(join(path, 'ltap/events.ndjson'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { lsn: string })
      expect(events.every((event) => Number.parseInt(event.lsn.slice(2), 16) <= lsn)).toBe(true)
      if (lsn === FIRST_LSN) apply(store, after, SECOND_LSN)
      expect(fileParts(modelOfFiles(path))).toEqual(fileParts(states.get(SECOND_LSN)!))
      changes.add(JSON.stringify(store.changedSince(FIRST_LSN)))
      if (changesBytes === 1) expect(() => store.changedSince(0)).toThrow(/pagestore\.mark/)
      else expect(store.changedSince(0).from).toBe(0)
      store.close()
      rmSync(path, { recursive: true })
    }
    expect([...seen].sort()).toEqual([FIRST_LSN, SECOND_LSN])
    // Whenever it died, the second flush changed the same.
    expect(changes.size).toBe(1)
    expect(calls).toBeGreaterThan(20)
  })
})

test('a full disk is one clear error, and the store stays as of its last flush', () => {
  const path = join(root, 'full')
  createPageStore(path, IDENTITY, progressAt(0))
  const store = openPageStore(path)
  death.errno = 'ENOSPC'
  const write: Op = { op: 'write', dir: 0, rel: 0, fork: 0, block: 3, value: 7 }
  applyToStore(store, write, 8)
  Object.assign(death, { armed: true, left: 1, half: true })
  expect(() => store.flush(progressAt(8))).toThrow(/file\.full: no space left/)
  Object.assign(death, { armed: false, errno: 'EIO' })
  expect(() => store.flush(progressAt(8))).toThrow(/flush after one that failed/)
  store.close()
  const again = openPageStore(path)
  expect(again.flushed.lsn).toBe(0)
  expect(modelOfFiles(path).forks.size).toBe(0)
  again.close()
})
