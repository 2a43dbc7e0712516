/** Twenty points in time per major, see test/oracle/pitr.test.ts. */
import { describe, test } from 'vitest'
import { Random } from '../support/ddlvalues.ts'
import { majors, unlessStuck } from '../support/oracle.ts'
import { withPitr } from '../support/pitr.ts'
import { checkPoints } from '../support/pitrcheck.ts'

const POINTS = 20
const SEED = Number(process.env['LTAP_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))

describe.each(majors())('the lake at points in time on Postgres %i', (major) => {
  test.each([true, false])(`checksums %s, seed ${SEED}`, (checksums) =>
    unlessStuck(() => withPitr(major, { seed: SEED + Number(checksums), rounds: 5, checksums }, (found) => checkPoints(found, new Random(SEED), POINTS / 2))))
})
