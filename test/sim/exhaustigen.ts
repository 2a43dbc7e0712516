/**
 * Runs a test until all its choices are enumerated, as TigerBeetle's exhaustigen does: the body chooses, and each run makes other choices than all before.
 *
 *     for (const gen = new Exhaustigen(); gen.goesOn();) body(gen.choose(3), gen.choose(2))
 */
export class Exhaustigen {
  runs = 0
  private readonly choices: { value: number; count: number }[] = []
  private at = 0

  goesOn(): boolean {
    this.at = 0
    if (this.runs++ === 0) return true
    while (this.choices.length > 0) {
      const last = this.choices.at(-1)!
      if (++last.value < last.count) return true
      this.choices.pop()
    }
    this.runs--
    return false
  }

  /** 0 <= choice < count */
  choose(count: number): number {
    if (this.at === this.choices.length) this.choices.push({ value: 0, count })
    return this.choices[this.at++]!.value
  }
}
