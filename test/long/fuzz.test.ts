import { expect, test } from 'vitest'
import { fuzzLake } from '../columnar/fuzzlake.ts'
import { fuzzPages } from '../columnar/fuzzpages.ts'

/** Printed with every failure. */
const SEED = Math.floor(Math.random() * 2 ** 31)

test(`100,000 damaged pages, seed ${SEED}`, () => {
  const report = fuzzPages(100_000, SEED)
  expect(report.pages).toBeGreaterThanOrEqual(100_000)
  console.info(report)
})

test(`20,000 damaged lake files, seed ${SEED}`, () => {
  const report = fuzzLake(20_000, SEED)
  expect(report.files).toBeGreaterThanOrEqual(20_000)
  console.info(report)
})
