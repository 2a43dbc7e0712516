import { expect, test } from 'vitest'
import { fuzzLake } from './fuzzlake.ts'

/** Printed with every failure. */
const SEED = Math.floor(Math.random() * 2 ** 31)

test(`1,000 damaged lake files, seed ${SEED}`, () => {
  const report = fuzzLake(1000, SEED)
  expect(report.files).toBeGreaterThanOrEqual(1000)
  console.info(report)
})
