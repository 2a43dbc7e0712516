/** `replayCluster` against real recovery on all majors, see test/oracle/replay.test.ts. */
import { describe, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { checkBusyBackup, checkCleanCopy, checkCrashed, checkStandby } from '../support/replaycheck.ts'

const STANDBYS = ['backup', 'stopped', 'killed'] as const

describe.each(majors())('replay equals recovery on Postgres %i', (major) => {
  test('a clean copy and later WAL', () => checkCleanCopy(major))

  test('a crashed directory with its own pg_wal', () => checkCrashed(major))

  test('a base backup of a busy server', () => checkBusyBackup(major))

  // The majors share the kinds between them: a standby is the same recovery in all of them.
  const kind = STANDBYS[major % STANDBYS.length]!
  test(`a standby: ${kind}`, () => checkStandby(major, kind))
})
