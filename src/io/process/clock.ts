import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { Clock } from '../../common/clock.ts'

/** This machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => ms > 0 ? wait(ms, undefined, { ...signal && { signal } }) : nextTurn(undefined, { ...signal && { signal } }),
}
