/** Randomness that can be had again. */

/** What random tests begin with: LTAP_TEST_SEED, which a run without it draws, prints and sets (vitest.config.ts). In CI it is the commit's. */
export const TEST_SEED = Number(process.env['LTAP_TEST_SEED'])

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
