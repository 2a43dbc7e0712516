import fc from 'fast-check'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import { compileChild } from '../support/compiledchild.ts'
import { applyToModel, arbitraryOp, emptyModel, fileParts, IDENTITY, modelOfFiles, type Op, settleModel } from '../support/pagestoremodel.ts'
import { progressAt } from '../support/replayprogress.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const OPS = amount({ sample: 1200, all: 4000 })
const FLUSH_EVERY = 40

const SCRIPT = `
  import { readFileSync } from 'node:fs'
  import { openPageStore } from './src/io/pagestore/openstore.js'
  import { applyToStore } from './test/support/pagestoremodel.js'
  import { progressAt } from './test/support/replayprogress.js'
  const ops = JSON.parse(readFileSync(process.argv[3], 'utf8'))
  const store = openPageStore(process.argv[2], { cacheBytes: 256 * 8192 })
  for (let n = store.flushed.lsn; n < ops.length; n++) {
    applyToStore(store, ops[n], n + 1)
    if ((n + 1) % ${FLUSH_EVERY} === 0 || n + 1 === ops.length) store.flush(progressAt(n + 1))
  }
  store.close()`

let root: string
let child: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-pagestorekill-'))
  child = compileChild(root, ['src/io/pagestore/openstore.ts', 'test/support/pagestoremodel.ts', 'test/support/replayprogress.ts'], SCRIPT)
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

test(`kill -9 at random moments, seed ${TEST_SEED}`, async () => {
  const ops = fc.sample(arbitraryOp.filter(({ op }) => op !== 'flush' && op !== 'reopen'), { seed: TEST_SEED, numRuns: OPS })
  const store = join(root, 'store')
  writeFileSync(join(root, 'ops.json'), JSON.stringify(ops))
  createPageStore(store, IDENTITY, progressAt(0))
  const delays = fc.sample(fc.integer({ min: 60, max: 500 }), { seed: TEST_SEED, numRuns: 10_000 })
  const model = emptyModel()
  const inits = new Set<string>()
  let reached = 0
  let kills = 0
  for (let run = 0; reached < OPS; run++) {
    expect(run).toBeLessThan(2000)
    if (await runChild(store, delays[run]!)) kills++
    const opened = openPageStore(store)
    expect(opened.flushed.lsn).toBeGreaterThanOrEqual(reached)
    for (; reached < opened.flushed.lsn; reached++) {
      applyToModel(model, ops[reached] as Op, inits)
      // The child's flushes reset unlogged relations, too.
      if ((reached + 1) % FLUSH_EVERY === 0) settleModel(model, inits)
    }
    settleModel(model, inits)
    expect(fileParts(modelOfFiles(store)), `killed ${kills} times, at ${reached}`).toEqual(fileParts(model))
    opened.close()
  }
  console.info(`page store killed ${kills} times on the way to ${OPS} operations`)
  expect(kills).toBeGreaterThan(10)
})

/** @returns whether it had to be killed */
async function runChild(store: string, delay: number): Promise<boolean> {
  const running = spawn(process.execPath, [child, store, join(root, 'ops.json')], { stdio: ['ignore', 'ignore', 'inherit'] })
  const timer = setTimeout(() => running.kill('SIGKILL'), delay)
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => running.once('exit', (...end) => done(end)))
  clearTimeout(timer)
  if (signal === 'SIGKILL') return true
  expect(code).toBe(0)
  return false
}
