/** `replayCluster` against real recovery: from a clean copy, a crashed directory, a base backup; interrupted. test/long has all on all majors. */
import { describe, test } from 'vitest'
import { fewerMajors } from '../support/oracle.ts'
import { checkBusyBackup, checkCleanCopy, checkCrashed } from '../support/replaycheck.ts'

describe.each(fewerMajors('majors of replay').map((major, i, all) => [major, i === 0, i === all.length - 1] as const))('replay equals recovery on Postgres %i', (major, first, last) => {
  test('a clean copy and later WAL', () => checkCleanCopy(major))

  test.runIf(first)('a crashed directory with its own pg_wal', () => checkCrashed(major))

  test.runIf(last)('a base backup of a busy server', () => checkBusyBackup(major))
})
