import { expect, test } from 'vitest'
import { fuzzLake } from './fuzzlake.ts'

/** Printed with every failure. */
const SEED = Math.floor(Math.random() * 2 ** 31)

test(`500 damaged lake files, seed ${SEED}`, () => {
  const report = fuzzLake(500, SEED)
  expect(report.files).toBeGreaterThanOrEqual(500)
})
