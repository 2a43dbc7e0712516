import { defineConfig } from 'vitest/config'
import { runSeed } from './test/support/runseed.mjs'
import { parseScope } from './test/support/scopename.ts'
import { plainSources } from './test/support/plainsources.ts'
import { HeaviestFirst } from './test/support/sequencer.ts'
import { SlowTests } from './test/support/slowtests.ts'
import { allTestFiles, placeOf, testFiles } from './test/support/testfiles.ts'

/** test/support/scope.ts says what each scope has. Workers inherit both variables: a run has one scope and one seed. */
const scope = parseScope(process.env['LTAP_TEST_SCOPE'] ??= 'quick')
const seed = (process.env['LTAP_TEST_SEED'] ??= String(runSeed(scope)))
console.info(`LTAP_TEST_SCOPE=${scope} LTAP_TEST_SEED=${seed}`)

/** Files that are named on the command line run in any scope, in its size. */
const isNamed = process.argv.slice(2).some((argument) => argument.startsWith('test/'))

const MINUTE = 60_000
const slow = { quick: 1, sample: 2, all: 60 }[scope] * MINUTE
const files = isNamed ? allTestFiles() : testFiles(scope, Number(seed))
/** Vitest gives its option to no project. */
const workers = Number(process.argv.find((argument) => argument.startsWith('--maxWorkers='))?.split('=')[1] ?? 2)
const plugins = [await plainSources()]
const limit = (scope === 'all' ? 12 * 60 : 20) * MINUTE

export default defineConfig({
  test: {
    // Most files share the processes of the run, in which Node loads `src` once: a process of its own costs a file half a second of CPU time.
    projects: [
      { extends: true, plugins, test: { name: 'shared', include: files.filter((path) => placeOf(path) === 'shared'), isolate: false } },
      { extends: true, plugins, test: { name: 'own', include: files.filter((path) => placeOf(path) === 'own') } },
      // Vitest replaces only modules that it loads.
      { extends: true, test: { name: 'replaced', include: files.filter((path) => placeOf(path) === 'replaced') } },
    ],
    exclude: ['node_modules/**'],
    globalSetup: ['test/support/globalsetup.ts'],
    setupFiles: ['test/support/setup.ts'],
    // For what hangs, on a machine however busy: no test has a limit of its own. A statement on a server has one of four minutes.
    testTimeout: limit,
    hookTimeout: limit,
    teardownTimeout: MINUTE,
    maxWorkers: workers,
    sequence: { sequencer: HeaviestFirst },
    reporters: ['default', new SlowTests(slow)],
  },
})
