/** Randomness that can be had again. */

/**
 * What random tests begin with, and print: LTAP_TEST_SEED, or each time another. CI takes one from the commit, so that a commit's tests are the
 * same each time they run.
 */
export const TEST_SEED = Number(process.env['LTAP_TEST_SEED'] ?? Date.now() % 1_000_000_000)

/** mulberry32: the same seed, the same numbers. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** 32 bits. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 <= result < below; 0 if `below` is. */
  int(below: number): number {
    return below <= 0 ? 0 : this.next() % Math.floor(below)
  }

  chance(percent: number): boolean {
    return this.int(100) < percent
  }

  pick<T>(of: readonly T[]): T {
    if (of.length === 0) throw new Error('nothing to pick from')
    return of[this.int(of.length)]!
  }
}
