/** `ltap restore --wal`: a point between two states of a lake is what a server has that recovered there. test/long has more points. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatLsn, formatWalPosition } from '../../src/common/ids.ts'
import { parseTarget } from '../../src/cli/replaytarget.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { openLakeSourceBefore } from '../../src/jobs/restore/lakesource.ts'
import { replaySource } from '../../src/jobs/restore/replayedsource.ts'
import { ltap } from '../cli/streams.ts'
import { fewerMajors } from '../support/oracle.ts'
import { withPitr } from '../support/pitr.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { checkRestores } from '../support/restorewal.ts'

/** The sample draws test/long/restorewal, which has more. */
const POINTS = amount({ quick: 1, sample: 2, all: 2 })

describe.each(fewerMajors('majors of restores with WAL'))('Postgres %i', (major) => {
  test(`${POINTS} LSNs, a time, and what is refused; seed ${TEST_SEED}`, () => withPitr(major, { seed: TEST_SEED, rounds: 1 }, async (found) => {
    await checkRestores(found, new Random(TEST_SEED), POINTS)
    const lake = join(found.work, 'lake')
    const out = join(found.work, 'verb')
    const { time } = found.moments[0]!
    const between = formatWalPosition(found.ends[5]!)
    const args = ['restore', '--lake', lake, '--out', out, '--prepared', 'rollback']
    expect((await ltap([...args, '--to', between])).stderr).toMatch(/^ltap: lake\.no-state: .*the nearest are LSN .* before it and LSN .* behind it.*\n$/)
    expect(await ltap([...args, '--wal', found.wal, '--to', 'tag'])).toMatchObject({ code: 2, stderr: expect.stringContaining('With --wal') as string })
    expect((await ltap([...args, '--wal', found.wal, '--to', '0/8'])).stderr).toMatch(/^ltap: restore\.no-state: .*its oldest one is at LSN/)
    expect((await ltap([...args, '--wal', found.wal, '--to', 'FF/8'])).stderr).toMatch(/replay\.target: the WAL ends at/)
    // A time leads to the same record as a replay of the copy.
    const [target, then] = [parseTarget(time), join(found.work, 'then')]
    const report = await replayCluster({ source: found.base, wal: found.wal, out: then, target })
    const source = await replaySource(await openLakeSourceBefore(lake, target), join(found.work, 'moved'), { wal: found.wal, target })
    expect(formatLsn(source.lsn)).toBe(report.lsn)
    const { consistency: ours, ...rest } = source.replayed!
    const { consistency: theirs, ...expected } = openCluster(then).replayed!
    expect({ ...rest, lsn: expected.lsn }).toEqual({ ...expected, lsn: expected.lsn })
    expect([ours.reached, theirs.reached]).toEqual([true, true])
  }))
})
