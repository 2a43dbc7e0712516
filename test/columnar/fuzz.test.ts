import { expect, test } from 'vitest'
import { TEST_SEED } from '../support/random.ts'
import { fuzzPages } from './fuzzpages.ts'

/** Printed with every failure. */

test(`3,000 damaged pages, seed ${TEST_SEED}`, () => {
  const report = fuzzPages(3000, TEST_SEED)
  expect(report.pages).toBeGreaterThanOrEqual(3000)
})
