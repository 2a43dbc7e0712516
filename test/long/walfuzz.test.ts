import { expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { fuzzWal } from '../wal/walfuzz.ts'

const CASES = amount({ sample: 800, all: 5000 })

test.each(majors())(`damaged WAL of Postgres %i (seed ${TEST_SEED})`, async major => {
  expect(await fuzzWal(major, TEST_SEED + major, CASES)).toBe(CASES)
})
