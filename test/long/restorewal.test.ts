/** Restores with WAL on each major, see test/oracle/restorewal.test.ts. */
import { describe, test } from 'vitest'
import { majors, unlessStuck } from '../support/oracle.ts'
import { withPitr } from '../support/pitr.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { checkRestores } from '../support/restorewal.ts'
import { amount } from '../support/scope.ts'

const POINTS = amount({ sample: 2, all: 20 })

describe.each(majors())('restores with WAL on Postgres %i', (major) => {
  test(`${POINTS} LSNs, seed ${TEST_SEED}`, () => unlessStuck(() => withPitr(major, { seed: TEST_SEED, rounds: 3 }, (found) =>
    checkRestores(found, new Random(TEST_SEED + 1), POINTS))))
})
