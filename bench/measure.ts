import { Bench } from 'tinybench'
import type { BenchSize } from './tables.ts'

export interface Timing {
  medianMs: number
  minMs: number
  maxMs: number
}

/** One side of a comparison; `prepare` runs before every call and is not measured. */
export interface Side {
  name: string
  run: () => unknown
  prepare?: () => void | Promise<void>
}

export interface Comparison {
  ours: Timing
  peer: Timing
  /** How many times the peer's speed: median time of the peer by ours. */
  ratio: number
  /** The same within single rounds: the least and the greatest. */
  ratioMin: number
  ratioMax: number
  rounds: number
}

const ROUNDS: Record<BenchSize, number> = { full: 7, smoke: 5 }

/** Measures both sides in turn, round after round, so that a busy moment of the machine hits both. Each runs once before, unmeasured. */
export async function compare(ours: Side, peer: Side, size: BenchSize): Promise<Comparison> {
  const sides = [peer, ours]
  for (const { run, prepare } of sides) {
    await prepare?.()
    await run()
  }
  const times: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS[size]; round++) {
    const bench = new Bench({ iterations: 1, time: 0, warmup: false, throws: true })
    for (const { name, run, prepare } of sides) bench.add(name, async () => void (await run()), { async: true, ...(prepare && { beforeEach: () => prepare() }) })
    for (const [i, { result }] of (await bench.run()).entries()) {
      if (result.state !== 'completed') throw new Error(`${sides[i]!.name}: ${result.state}`)
      times[i]!.push(result.latency.min)
    }
  }
  const [peerTimes, ourTimes] = times
  const ratios = ourTimes.map((time, i) => peerTimes[i]! / time)
  const [ourTiming, peerTiming] = [timing(ourTimes), timing(peerTimes)]
  return {
    ours: ourTiming, peer: peerTiming, ratio: peerTiming.medianMs / ourTiming.medianMs, ratioMin: Math.min(...ratios), ratioMax: Math.max(...ratios),
    rounds: ourTimes.length,
  }
}

/** @param times milliseconds, one or more */
export function timing(times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b)
  return { medianMs: sorted[sorted.length >> 1]!, minMs: sorted[0]!, maxMs: sorted.at(-1)! }
}
