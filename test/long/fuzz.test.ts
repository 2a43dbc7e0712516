import { expect, test } from 'vitest'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { fuzzLake } from '../columnar/fuzzlake.ts'
import { fuzzPages } from '../columnar/fuzzpages.ts'

const PAGES = amount({ sample: 15_000, all: 100_000 })
const FILES = amount({ sample: 2_000, all: 20_000 })

test(`${PAGES} damaged pages, seed ${TEST_SEED}`, () => {
  const report = fuzzPages(PAGES, TEST_SEED)
  expect(report.pages).toBeGreaterThanOrEqual(PAGES)
  console.info(report)
})

test(`${FILES} damaged lake files, seed ${TEST_SEED}`, () => {
  const report = fuzzLake(FILES, TEST_SEED)
  expect(report.files).toBeGreaterThanOrEqual(FILES)
  console.info(report)
})
