import type { Clock } from '../../src/common/clock.ts'

/** A clock that moves by `tick` milliseconds with each look, and turns that pass at once. */
export function steppedClock(tick: number): Clock & { turns: number } {
  let now = 0
  return {
    turns: 0,
    now: () => now += tick,
    async sleep(_ms, signal) {
      this.turns++
      signal?.throwIfAborted()
      await Promise.resolve()
    },
  }
}
