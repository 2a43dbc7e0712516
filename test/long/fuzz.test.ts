import { expect, test } from 'vitest'
import { TEST_SEED } from '../support/random.ts'
import { fuzzLake } from '../columnar/fuzzlake.ts'
import { fuzzPages } from '../columnar/fuzzpages.ts'

/** Printed with every failure. */

test(`100,000 damaged pages, seed ${TEST_SEED}`, () => {
  const report = fuzzPages(100_000, TEST_SEED)
  expect(report.pages).toBeGreaterThanOrEqual(100_000)
  console.info(report)
})

test(`20,000 damaged lake files, seed ${TEST_SEED}`, () => {
  const report = fuzzLake(20_000, TEST_SEED)
  expect(report.files).toBeGreaterThanOrEqual(20_000)
  console.info(report)
})
