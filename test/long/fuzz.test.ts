import { expect, test } from 'vitest'
import { fuzzPages } from '../columnar/fuzzpages.ts'

/** Printed with every failure. */
const SEED = Math.floor(Math.random() * 2 ** 31)

test(`100,000 damaged pages, seed ${SEED}`, () => {
  const report = fuzzPages(100_000, SEED)
  expect(report.pages).toBeGreaterThanOrEqual(100_000)
  console.info(report)
})
