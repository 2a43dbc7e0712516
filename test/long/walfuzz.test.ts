import { expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { fuzzWal } from '../wal/walfuzz.ts'

const SEED = Number(process.env['LTAP_TEST_SEED'] ?? Date.now() % 1_000_000_000)
const CASES = 5000

test.each(majors())(`damaged WAL of Postgres %i (seed ${SEED})`, async major => {
  expect(await fuzzWal(major, SEED + major, CASES)).toBe(CASES)
})
