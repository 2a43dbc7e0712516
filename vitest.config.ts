import { defineConfig } from 'vitest/config'
import { parseScope } from './test/support/scopename.ts'
import { runSeed } from './test/support/runseed.mjs'
import { SlowTests } from './test/support/slowtests.ts'

/** test/support/scope.ts says what each scope has. Workers inherit both variables, so that a run has one scope and one seed. */
const scope = parseScope(process.env['LTAP_TEST_SCOPE'] ??= 'quick')
const seed = (process.env['LTAP_TEST_SEED'] ??= String(runSeed(scope)))
console.info(`LTAP_TEST_SCOPE=${scope} LTAP_TEST_SEED=${seed}`)

const MINUTE = 60_000

export default defineConfig({
  test: {
    include: [scope === 'sample' ? 'test/long/**/*.test.ts' : 'test/**/*.test.ts'],
    exclude: ['node_modules/**', ...(scope === 'quick' ? ['test/long/**'] : [])],
    setupFiles: ['test/support/setup.ts'],
    testTimeout: (scope === 'quick' ? 2 : 20) * MINUTE,
    hookTimeout: (scope === 'quick' ? 2 : 10) * MINUTE,
    maxWorkers: 2,
    reporters: ['default', new SlowTests((scope === 'quick' ? 1 : scope === 'sample' ? 3 : 60) * MINUTE)],
  },
})
