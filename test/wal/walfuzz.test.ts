import { expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { fuzzWal } from './walfuzz.ts'

const CASES = 350

test.each(majors())(`damaged WAL of Postgres %i (seed ${TEST_SEED})`, async major => {
  expect(await fuzzWal(major, TEST_SEED + major, CASES)).toBe(CASES)
})
