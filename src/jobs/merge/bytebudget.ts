/** Lets work begin while what it needs together is within a bound. Work that needs more than the bound runs alone. */
export class ByteBudget {
  private readonly max: number
  private used = 0
  private readonly waiting: (() => void)[] = []

  constructor(max: number) {
    this.max = max
  }

  /** Resolves when there is room. @returns what gives the bytes back */
  async take(bytes: number): Promise<() => void> {
    while (this.used > 0 && this.used + bytes > this.max) await new Promise<void>((resolve) => this.waiting.push(resolve))
    this.used += bytes
    return () => {
      this.used -= bytes
      for (const wake of this.waiting.splice(0)) wake()
    }
  }
}
