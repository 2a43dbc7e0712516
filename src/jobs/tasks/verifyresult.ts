export interface Difference {
  /** Undefined: the one that is verified. */
  file?: string
  /** Undefined: the whole file. */
  block?: number
  reason: string
}

export interface VerifyResult {
  pages: number
  rows: number
  tuples: number
  /** Tuples that no reader can ever see again. */
  dead: number
  hidden: number
  /** Hint bits that CLOG contradicts. */
  hintContradictions: number
  /** The first ones; `differing` counts all. */
  differences: Difference[]
  differing: number
}

/** The result for a file that cannot even be read. */
export function failedResult(difference: Difference): VerifyResult {
  return { pages: 0, rows: 0, tuples: 0, dead: 0, hidden: 0, hintContradictions: 0, differences: [difference], differing: 1 }
}
