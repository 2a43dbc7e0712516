/** Where the circles close: xids, multixacts and members pass 2^32 within the workload. */
import { describe, expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { replayEqualsRecovery } from '../xact/replaycase.ts'

describe.each(drawn(majors(), 1, 'majors whose counters wrap'))('transactions in the WAL of Postgres %i', (major) => {
  // A third of the circle at a time: no server goes half of it without freezing.
  test('replay equals recovery where all counters wrap', async () => {
    const state = await replayEqualsRecovery(major, [
      { nextXid: { low: 1_500_000_000, epoch: 0 }, nextMulti: 1_500_000_000, nextMultiOffset: 1_500_000_000 },
      { nextXid: { low: 3_000_000_000, epoch: 0 }, nextMulti: 3_000_000_000, nextMultiOffset: 3_000_000_000 },
      { nextXid: { low: 0xffffffff - 400, epoch: 0 }, nextMulti: 0xffffffff - 100, nextMultiOffset: 0xffffffff - 150 },
    ])
    expect(state.nextXid.epoch).toBe(1)
    expect(state.nextMulti).toBeLessThan(1000)
    expect(state.nextMultiOffset).toBeLessThan(1000)
  })
})
