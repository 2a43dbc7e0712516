/** Forged inputs of a real cluster, read in a worker thread under a watchdog. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { compileChild } from './compiledchild.ts'
import type { ForgedSetup } from './forgedinputs.ts'

/** A watchdog, not a measurement: no input takes a hundredth of it. */
const HANG_MS = 240_000

export interface ForgedReport {
  /** By kind: refused, accepted. */
  counts: Record<string, { refused: number; accepted: number }>
  /** Input and what went wrong. */
  faults: string[]
}

const CHILD = `
import { parentPort, workerData } from 'node:worker_threads'
import { ForgedInputs } from './test/support/forgedinputs.js'
const { setup, from, to, shared } = workerData
const inputs = new ForgedInputs(setup)
const at = new Int32Array(shared)
for (let n = from; n < to; n++) {
  Atomics.store(at, 0, n)
  let outcome
  try {
    outcome = await inputs.run(n)
  } catch (error) {
    outcome = 'fault: ' + String(error?.stack ?? error).slice(0, 1500)
  }
  parentPort.postMessage({ n, kind: ForgedInputs.kindOf(n), outcome })
}
Atomics.store(at, 0, to)
`

/** Inputs of one thread: after panics of the Parquet reader its memory is leaked. */
const CHUNK = 2_500

export async function runForged(setup: ForgedSetup, folder: string, count: number): Promise<ForgedReport> {
  const report: ForgedReport = { counts: {}, faults: [] }
  const root = join(folder, 'child')
  mkdirSync(root)
  const script = compileChild(root, ['test/support/forgedinputs.ts'], CHILD)
  for (let from = 0; from < count; ) {
    from = await runChunk(setup, script, from, Math.min(from + CHUNK, count), report)
    console.info(`${from} of ${count} inputs of ${setup.major}: ${JSON.stringify(report)}`)
  }
  return report
}

/** @returns the input to go on with */
async function runChunk(setup: ForgedSetup, script: string, from: number, to: number, report: ForgedReport): Promise<number> {
  const shared = new SharedArrayBuffer(4)
  const at = new Int32Array(shared)
  const worker = new Worker(script, { workerData: { setup, from, to, shared } })
  let ended = false
  let seen = from - 1
  worker.on('message', ({ n, kind, outcome }: { n: number; kind: string; outcome: string }) => {
    seen = n
    const counts = (report.counts[kind] ??= { refused: 0, accepted: 0 })
    if (outcome === 'refused' || outcome === 'accepted') counts[outcome]++
    else report.faults.push(`input ${n}, ${kind}: ${outcome}`)
  })
  const over = new Promise<void>((resolve) => {
    worker.on('error', (error) => report.faults.push(`input ${Atomics.load(at, 0)}: the thread ended: ${String(error)}`))
    worker.on('exit', () => {
      ended = true
      resolve()
    })
  })
  let last = -1
  let since = Date.now()
  while (!ended) {
    await Promise.race([over, sleep(1000)])
    const now = Atomics.load(at, 0)
    if (now !== last) [last, since] = [now, Date.now()]
    if (ended || Date.now() - since < HANG_MS) continue
    report.faults.push(`input ${now}: no end after ${HANG_MS / 1000} s`)
    await worker.terminate()
    return now + 1
  }
  return seen + 1 < to && Atomics.load(at, 0) < to ? Math.max(seen, Atomics.load(at, 0)) + 1 : to
}
