/** The store in memory is held against the same model as the page store, by the same operations. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { applyToModel, applyToStore, arbitraryOp, emptyModel, fileParts, modelOfMemory, type Op, settleModel } from '../support/pagestoremodel.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const RUNS = amount({ quick: 150, sample: 150, all: 5000 })

/** What the model says after the operations, and what the store does. */
function run(ops: readonly Op[], store: MemoryReplayStore): { expected: unknown; found: unknown } {
  const model = emptyModel()
  const inits = new Set<string>()
  let lsn = 100
  for (const op of ops) {
    if (op.op === 'reopen') continue
    if (op.op === 'flush') {
      settleModel(model, inits)
      store.resetUnlogged()
      continue
    }
    applyToStore(store, op, lsn += 8)
    applyToModel(model, op, inits)
  }
  settleModel(model, inits)
  store.resetUnlogged()
  return { expected: fileParts(model), found: fileParts(modelOfMemory(store)) }
}

test(`random operations, seed ${TEST_SEED}`, () => {
  fc.assert(fc.property(fc.array(arbitraryOp, { minLength: 10, maxLength: 120 }), (ops) => {
    const { expected, found } = run(ops, new MemoryReplayStore(17))
    expect(found).toEqual(expected)
  }), { seed: TEST_SEED, numRuns: RUNS })
})

test('a tablespace that had an index only is forgotten when it is dropped: a heap of the same number is kept', () => {
  const ops: Op[] = [{ op: 'disown', dir: 2, rel: 0 }, { op: 'dropTablespace' }, { op: 'write', dir: 2, rel: 0, fork: 0, block: 0, value: 1 }]
  const { expected, found } = run(ops, new MemoryReplayStore(17))
  expect(found).toEqual(expected)
})

test('a planted fault, a store that forgets to cut, is found', () => {
  class Forgetful extends MemoryReplayStore {
    override truncate(): void {}
  }
  expect(() => fc.assert(fc.property(fc.array(arbitraryOp, { minLength: 10, maxLength: 120 }), (ops) => {
    const { expected, found } = run(ops, new Forgetful(17))
    expect(found).toEqual(expected)
  }), { seed: TEST_SEED, numRuns: 500 })).toThrow()
})
