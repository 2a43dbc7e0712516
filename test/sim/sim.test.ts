/**
 * The commit protocol under a deterministic simulation: crashes, lost replies, late writes, two writers, gc at any time. A failure names its seed:
 * `LTAP_SIM_SEED=<n> npx vitest run test/sim/sim.test.ts` runs that one alone and prints its trace. `LTAP_SIM_FILE=<file>` runs the seeds that the file names,
 * `{"next":0,"end":100000,"failed":[]}`, and keeps there how far it is: killed and begun again, it goes on; several files with ranges apart run at once.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { TEST_SEED } from '../support/random.ts'
import { amount, SCOPE } from '../support/scope.ts'
import { bundleSimulator } from './bundle.ts'

// As one module, in which nothing waits for the system.
const { Coverage, simulate, Simulation } = await (await bundleSimulator()).load()

const SECONDS = amount({ quick: 10, sample: 30, all: 60 })
const ONE = process.env['LTAP_SIM_SEED']
const FILE = process.env['LTAP_SIM_FILE']

test.runIf(ONE !== undefined)('one seed, traced', async () => {
  const simulation = new Simulation(Number(ONE), true)
  try {
    console.info(await simulation.run())
  } catch (error) {
    console.info(simulation.world.trace!.slice(-400).join('\n'))
    throw error
  }
})

test.runIf(FILE !== undefined)('a range of seeds, from where the last run of it stopped', { timeout: 0 }, async () => {
  const state = JSON.parse(readFileSync(FILE!, 'utf8')) as { next: number; end: number; failed: string[] }
  for (; state.next < state.end; writeFileSync(FILE!, JSON.stringify(state))) {
    await simulate(state.next).catch((error: unknown) => state.failed.push((error as Error).message))
    state.next++
  }
  expect(state.failed).toEqual([])
})

test.skipIf(FILE !== undefined)('what was reported is never lost, readers see whole snapshots, gc takes nothing that is needed', async () => {
  const end = performance.now() + SECONDS * 1000
  const first = (TEST_SEED * 100_003) >>> 0
  const sums: Record<string, number> = {}
  const coverage = new Coverage()
  let seeds = 0
  do {
    const result = await simulate(first + seeds, coverage)
    for (const [name, count] of Object.entries(result)) if (name !== 'next' && name !== 'clock') sums[name] = (sums[name] ?? 0) + count
    seeds++
  } while (performance.now() < end)
  console.info(`${seeds} seeds from ${first} on: ${Object.entries(sums).map(([name, count]) => `${count} ${name}`).join(', ')}`)
  expect(sums['commits']).toBeGreaterThan(0)
  reportCoverage(coverage)
})

/** In scope `all` the whole table: which process met which fault at which step. */
function reportCoverage(coverage: InstanceType<typeof Coverage>): void {
  const missing = coverage.missing()
  if (SCOPE === 'all') console.info(`what the simulator hit:\n${coverage.report()}`)
  console.info(`steps of a process that never met a fault: ${missing.length}${SCOPE === 'quick' ? '' : ` (${missing.join(', ')})`}`)
}

test.each([1, 2, 3, 5].map((n) => TEST_SEED * 7 + n))('seed %i gives the same run each time', async (seed) => {
  expect(await simulate(seed)).toEqual(await simulate(seed))
})

test('seed 1000086: a branch is deleted and collected while another collector goes through its pages', async () => {
  await simulate(1_000_086)
})
