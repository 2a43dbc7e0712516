/** `replayCluster` against real recovery on all majors, see test/oracle/replay.test.ts. */
import { describe, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { checkBusyBackup, checkCleanCopy, checkCrashed } from '../support/replaycheck.ts'

describe.each(majors())('replay equals recovery on Postgres %i', (major) => {
  test('a clean copy and later WAL', () => checkCleanCopy(major))

  test('a crashed directory with its own pg_wal', () => checkCrashed(major))

  test('a base backup of a busy server', () => checkBusyBackup(major))
})
