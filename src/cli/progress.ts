import { SingleBar } from 'cli-progress'
import { printable } from '../common/printable.ts'
import type { Output } from './output.ts'

/** Shows how far a long verb is. */
export interface Progress {
  /** @param done of the total, in the same unit @param what what is being done now */
  update(done: number, what: string): void
  /** Leaves the line clean. Call it also before an error is shown. */
  stop(): void
}

export interface ProgressOptions {
  /** `transcode`. */
  title: string
  total: number
  /** What `total` counts: `pages`. */
  unit: string
  /** Milliseconds, monotonic. */
  now?: () => number
}

const LINE_EVERY_MS = 5_000
/** Before one of them has passed, the rate so far says little about the time left. */
const GUESS_AFTER = { ms: 10_000, share: 0.1 }

/** A bar with rate and time left on a terminal, a plain line every five seconds elsewhere, nothing with --json. On stderr. */
export function startProgress(output: Output, options: ProgressOptions): Progress {
  if (output.json) return { update: () => {}, stop: () => {} }
  return output.streams.stderr.isTTY ? startBar(output, options) : startLines(output, options)
}

function startBar(output: Output, { title, total, unit, now = () => performance.now() }: ProgressOptions): Progress {
  const started = now()
  const bar = new SingleBar({
    stream: output.streams.stderr as NodeJS.WritableStream,
    format: `${title} [{bar}] {percentage}% | {value}/{total} ${unit} | {rate} ${unit}/s | {left} | {what}`,
    barCompleteChar: '#',
    barIncompleteChar: '-',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
  })
  bar.start(total, 0, { rate: 0, left: '', what: '' })
  return {
    update: (done, what) => {
      const elapsed = now() - started
      bar.update(done, { rate: rateOf(done, elapsed), left: leftText(done, total, elapsed), what: printable(what) })
    },
    stop: () => bar.stop(),
  }
}

function startLines(output: Output, { title, total, unit, now = () => performance.now() }: ProgressOptions): Progress {
  const started = now()
  let last = started
  return {
    update: (done, what) => {
      const at = now()
      if (at - last < LINE_EVERY_MS) return
      last = at
      const elapsed = at - started
      const left = leftText(done, total, elapsed)
      void output.note(`${title}: ${done} of ${total} ${unit}, ${rateOf(done, elapsed)} ${unit}/s${left && `, ${left}`}: ${what}`).catch(() => {})
    },
    stop: () => {},
  }
}

/** `about 12 s left`; empty where nothing can be said yet. */
function leftText(done: number, total: number, elapsedMs: number): string {
  if (done <= 0 || (elapsedMs < GUESS_AFTER.ms && done < total * GUESS_AFTER.share)) return ''
  return `about ${Math.ceil((Math.max(0, total - done) / done) * (elapsedMs / 1000))} s left`
}

function rateOf(done: number, elapsedMs: number): number {
  return elapsedMs <= 0 ? 0 : Math.round((done / elapsedMs) * 1000)
}
