/** `replayCluster` against real recovery on all majors, see test/oracle/replay.test.ts. */
import { describe, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { checkBusyBackup, checkCleanCopy, checkCrashed, checkStandby } from '../support/replaycheck.ts'
import { drawn } from '../support/scope.ts'

const SOURCES: [string, (major: number) => Promise<void>][] = [
  ['a clean copy and later WAL', checkCleanCopy],
  ['a crashed directory with its own pg_wal', checkCrashed],
  ['a base backup of a busy server', checkBusyBackup],
  ['a backup of a standby', (major) => checkStandby(major, 'backup')],
  ['a standby that was stopped', (major) => checkStandby(major, 'stopped')],
  ['a standby that was killed', (major) => checkStandby(major, 'killed')],
]

describe.each(majors())('replay equals recovery on Postgres %i', (major) => {
  const names = drawn(SOURCES.map(([name]) => name), 1, `sources of replay on ${major}`)
  test.each(SOURCES.filter(([name]) => names.includes(name)))('%s', (_, check) => check(major))
})
