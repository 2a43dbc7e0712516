import { expect, test } from 'vitest'
import { TEST_SEED } from '../support/random.ts'
import { fuzzLake } from './fuzzlake.ts'

/** Printed with every failure. */

test(`500 damaged lake files, seed ${TEST_SEED}`, () => {
  const report = fuzzLake(500, TEST_SEED)
  expect(report.files).toBeGreaterThanOrEqual(500)
})
