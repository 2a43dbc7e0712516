/** Points in time on each major, see test/oracle/pitr.test.ts. */
import { describe, test } from 'vitest'
import { Random, TEST_SEED } from '../support/random.ts'
import { majors, unlessStuck } from '../support/oracle.ts'
import { withPitr } from '../support/pitr.ts'
import { checkPoints } from '../support/pitrcheck.ts'
import { amount, drawn } from '../support/scope.ts'

const POINTS = amount({ sample: 3, all: 10 })

describe.each(majors())('the lake at points in time on Postgres %i', (major) => {
  test.each(drawn([true, false], 1, `checksums of ${major}`))(`checksums %s, seed ${TEST_SEED}`, (checksums) =>
    unlessStuck(() => withPitr(major, { seed: TEST_SEED + Number(checksums), rounds: 5, checksums }, (found) => checkPoints(found, new Random(TEST_SEED), POINTS))))
})
