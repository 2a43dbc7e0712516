/** Where a replay is, for tests of stores that need no more than an LSN. */
import type { ReplayProgress } from '../../src/replay/replay.ts'

export function progressAt(lsn: number, timeline = 1): ReplayProgress {
  return {
    lsn, time: 0, consistency: { at: lsn, reached: true },
    transactions: {
      timeline, nextXid: { low: 800, epoch: 0 }, nextOid: 24576, nextMulti: 1, nextMultiOffset: 0, oldestXid: 722, oldestClogXid: 722, oldestMulti: 1,
      unresolvedFrom: { low: 800, epoch: 0 }, prepared: [], missingPages: [], consistent: true, lastOffsetsPage: -1, aheadOffsetsPage: -1,
    },
    redo: { walLogHints: false, invalidPages: [] },
  }
}
