/** Transactions of every kind: replay of the WAL against the real server's recovery from the same bytes. */
import { describe, expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { replayEqualsRecovery } from './replaycase.ts'

describe.each(majors())('transactions in the WAL of Postgres %i', (major) => {
  // Near the end of a page each, one segment further than the old ones: extension and truncation come soon.
  test('replay equals recovery', async () => {
    const counters = { nextXid: { low: 34 * 32768 - 400, epoch: 0 }, nextMulti: 35 * 2048 - 100, nextMultiOffset: 34 * 1636 - 150 }
    const state = await replayEqualsRecovery(major, [counters])
    expect(state.nextXid.low).toBeGreaterThan(34 * 32768)
    expect(state.nextMulti).toBeGreaterThan(35 * 2048)
    expect(state.nextMultiOffset).toBeGreaterThan(34 * 1636)
  })
})
