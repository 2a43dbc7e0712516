import { expect, test } from 'vitest'
import { fuzzPages } from './fuzzpages.ts'

/** Printed with every failure. */
const SEED = Math.floor(Math.random() * 2 ** 31)

test(`3,000 damaged pages, seed ${SEED}`, () => {
  const report = fuzzPages(3000, SEED)
  expect(report.pages).toBeGreaterThanOrEqual(3000)
})
