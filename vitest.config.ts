import { defineConfig } from 'vitest/config'
import { runSeed } from './test/support/runseed.mjs'
import { parseScope } from './test/support/scopename.ts'
import { HeaviestFirst } from './test/support/sequencer.ts'
import { SlowTests } from './test/support/slowtests.ts'
import { testFiles } from './test/support/testfiles.ts'

/** test/support/scope.ts says what each scope has. Workers inherit both variables: a run has one scope and one seed. */
const scope = parseScope(process.env['LTAP_TEST_SCOPE'] ??= 'quick')
const seed = (process.env['LTAP_TEST_SEED'] ??= String(runSeed(scope)))
console.info(`LTAP_TEST_SCOPE=${scope} LTAP_TEST_SEED=${seed}`)

/** Files that are named on the command line run in any scope, in its size. */
const isNamed = process.argv.slice(2).some((argument) => argument.startsWith('test/'))

const MINUTE = 60_000
const slow = { quick: 1, sample: 2, all: 60 }[scope] * MINUTE
const isQuick = scope === 'quick' && !isNamed

export default defineConfig({
  test: {
    include: isNamed ? ['test/**/*.test.ts'] : testFiles(scope, Number(seed)),
    exclude: ['node_modules/**'],
    globalSetup: ['test/support/globalsetup.ts'],
    setupFiles: ['test/support/setup.ts'],
    // For what hangs, on a machine however busy: a test needs no limit of its own. A statement on a server has one of four minutes.
    testTimeout: (isQuick ? 6 : scope === 'all' ? 60 : 20) * MINUTE,
    hookTimeout: (isQuick ? 6 : 20) * MINUTE,
    teardownTimeout: MINUTE,
    maxWorkers: 2,
    sequence: { sequencer: HeaviestFirst },
    reporters: ['default', new SlowTests(slow)],
  },
})
