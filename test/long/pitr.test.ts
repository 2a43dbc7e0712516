/** Twenty points in time per major, see test/oracle/pitr.test.ts. */
import { describe, test } from 'vitest'
import { Random, TEST_SEED } from '../support/random.ts'
import { majors, unlessStuck } from '../support/oracle.ts'
import { withPitr } from '../support/pitr.ts'
import { checkPoints } from '../support/pitrcheck.ts'

const POINTS = 20

describe.each(majors())('the lake at points in time on Postgres %i', (major) => {
  test.each([true, false])(`checksums %s, seed ${TEST_SEED}`, (checksums) =>
    unlessStuck(() => withPitr(major, { seed: TEST_SEED + Number(checksums), rounds: 5, checksums }, (found) => checkPoints(found, new Random(TEST_SEED), POINTS / 2))))
})
