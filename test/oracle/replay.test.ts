/** `replayCluster` against real recovery: from a clean copy, a crashed directory, a base backup; interrupted. The sample draws test/long/replay, which has more. */
import { describe, test } from 'vitest'
import { fewerMajors } from '../support/oracle.ts'
import { checkBusyBackup, checkCleanCopy, checkCrashed } from '../support/replaycheck.ts'
import { drawn } from '../support/scope.ts'

const SOURCES = [
  ['a clean copy and later WAL', checkCleanCopy], ['a crashed directory with its own pg_wal', checkCrashed], ['a base backup of a busy server', checkBusyBackup],
] as const

describe.each(fewerMajors('majors of replay'))('replay equals recovery on Postgres %i', (major) => {
  test.each(drawn(SOURCES, 2, 'sources of replay', ([name]) => name))('%s', (_, check) => check(major))
})
