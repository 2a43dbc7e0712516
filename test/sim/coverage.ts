/** What a simulation hit: which process met which fault at which step. */

const FAULTS = ['none', 'refused', 'reply lost', 'late', 'slow', 'crash'] as const
export type Fault = typeof FAULTS[number]

const OBJECTS: readonly [pattern: RegExp, name: string][] = [
  [/\/HEAD(?:\/|$)/, 'HEAD'], [/\/published\.json$/, 'confirmation'], [/^ltap\/parts\//, 'part'], [/^ltap\/packs\//, 'pack'], [/^ltap\/format\.json$/, 'format'],
  [/\/version-hint\.text$/, 'hint'], [/\/v\d+\.metadata\.json$/, 'metadata'], [/\/_delta_log\/\d+\.json$/, 'log entry'], [/\/_delta_log\//, 'checkpoint'],
  [/deletion_vector_/, 'deletion vector'], [/\/metadata\//, 'manifest or deletes'], [/\/data\//, 'data'],
]

/** Kind of process: `main writer 12` and `b1 writer of timeline 3 4` say more. */
function kindOf(machine: string): string {
  return machine.replace(/^b\d+ writer.*/, 'branch writer').replaceAll(/ \d+/g, '')
}

function objectOf(key: string): string {
  return OBJECTS.find(([pattern]) => pattern.test(key))?.[1] ?? 'other'
}

export class Coverage {
  /** By kind of process, then by step, then by fault. */
  private readonly hits = new Map<string, Map<string, Map<Fault, number>>>()

  /** @param request get, put, list … @param key of an object */
  add(machine: string, request: string, key: string, fault: Fault, count = 1): void {
    this.addHits(kindOf(machine), `${request} ${objectOf(key)}`, fault, count)
  }

  /** What another one has, too. */
  addAll({ hits }: Coverage): void {
    for (const [actor, steps] of hits) for (const [step, faults] of steps) for (const [fault, count] of faults) this.addHits(actor, step, fault, count)
  }

  private addHits(actor: string, step: string, fault: Fault, count: number): void {
    const steps = this.hits.get(actor) ?? new Map<string, Map<Fault, number>>()
    const faults = steps.get(step) ?? new Map<Fault, number>()
    this.hits.set(actor, steps.set(step, faults.set(fault, (faults.get(fault) ?? 0) + count)))
  }

  /** Steps of each kind of process that never met a fault: `publisher: put hint: late`. */
  missing(): string[] {
    return [...this.hits].flatMap(([actor, steps]) => [...steps].flatMap(([step, met]) => FAULTS.filter((fault) => !met.has(fault)).map((fault) => `${actor}: ${step}: ${fault}`)))
  }

  /** A line for each step of each kind of process: how often it met each fault. */
  report(): string {
    const lines = [`process | step | ${FAULTS.join(' | ')}`]
    for (const [actor, steps] of [...this.hits].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const [step, met] of [...steps].sort(([a], [b]) => (a < b ? -1 : 1))) lines.push(`${actor} | ${step} | ${FAULTS.map((fault) => met.get(fault) ?? 0).join(' | ')}`)
    }
    return lines.join('\n')
  }
}
