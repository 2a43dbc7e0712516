import type { Output } from '../output.ts'
import { startProgress } from '../progress.ts'
import { makePaint, type Paint } from './paint.ts'

/** Bytes done so far and in all, as the jobs report them. */
export type OnProgress = (doneBytes: number, totalBytes: number) => void

export interface StepTime {
  step: string
  seconds: number
  /** Bytes of heap that went through it; undefined where a rate says nothing. */
  bytes?: number
}

const TITLE_WIDTH = 62

/** Tells the demo step by step: text on stdout, nothing with --json. */
export class Narrator {
  readonly paint: Paint
  readonly times: StepTime[] = []
  private readonly output: Output
  private readonly terminal: boolean

  constructor(output: Output) {
    const { stdout } = output.streams
    this.output = output
    this.terminal = !output.json && 'isTTY' in stdout && stdout.isTTY === true
    this.paint = makePaint(this.terminal && process.env.NO_COLOR === undefined)
  }

  async say(...lines: string[]): Promise<void> {
    if (!this.output.json) await this.output.write(lines.map((line) => `${line}\n`).join(''))
  }

  /**
   * Runs one step and prints its title with the time it took.
   * @param body `what` shows on a terminal what is being done now
   */
  async step<T>(step: string, title: string, body: (what: (text: string) => Promise<void>) => Promise<T>): Promise<T> {
    const { bold, good } = this.paint
    const show = async (text: string): Promise<void> => {
      if (this.terminal) await this.output.write(`\r\x1b[K  ${title}${text === '' ? '' : `: ${text}`} ...`)
    }
    await show('')
    const started = performance.now()
    try {
      const result = await body(show)
      const seconds = (performance.now() - started) / 1000
      this.times.push({ step, seconds })
      await this.erase()
      await this.say(`${good('*')} ${bold(title.padEnd(TITLE_WIDTH))} ${`${seconds.toFixed(1)} s`.padStart(7)}`)
      return result
    } catch (error) {
      await this.erase()
      throw error
    }
  }

  /** A step over the pages of the heap, with a progress bar and a rate. */
  async pages<T>(step: string, title: string, body: (onProgress: OnProgress) => Promise<T>): Promise<T> {
    let bytes = 0
    const result = await this.step(step, title, async () => {
      let progress: ReturnType<typeof startProgress> | undefined
      try {
        return await body((done, total) => {
          bytes = total
          progress ??= startProgress(this.output, { title: step, total: Math.round(total / 1e6), unit: 'MB' })
          progress.update(Math.round(done / 1e6), '')
        })
      } finally {
        progress?.stop()
      }
    })
    this.times.at(-1)!.bytes = bytes
    return result
  }

  private async erase(): Promise<void> {
    if (this.terminal) await this.output.write('\r\x1b[K')
  }
}
