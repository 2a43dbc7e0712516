import type { OnProgress } from '../../jobs/jobprogress.ts'
import { withProgress } from '../jobprogress.ts'
import type { Output } from '../output.ts'
import { makePaint, type Paint } from './paint.ts'

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
  /** Characters that fit on a line of the terminal. */
  private readonly width: number

  constructor(output: Output) {
    const { stdout } = output.streams
    this.output = output
    this.terminal = !output.json && 'isTTY' in stdout && stdout.isTTY === true
    this.width = ('columns' in stdout && Number(stdout.columns)) || 80
    this.paint = makePaint(this.terminal && process.env['NO_COLOR'] === undefined)
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
      const line = `  ${title}${text === '' ? '' : `: ${text}`} ...`
      if (this.terminal) await this.output.write(`\r\x1b[K${line.slice(0, this.width - 1)}`)
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
    const result = await this.step(step, title, () =>
      withProgress(this.output, step, (onProgress) =>
        body((done, total, relation) => {
          bytes = total
          onProgress(done, total, relation)
        })))
    this.times.at(-1)!.bytes = bytes
    return result
  }

  /** Notes the time of a part that speaks for itself. */
  async timed<T>(step: string, body: () => Promise<T>): Promise<T> {
    const started = performance.now()
    const result = await body()
    this.times.push({ step, seconds: (performance.now() - started) / 1000 })
    return result
  }

  private async erase(): Promise<void> {
    if (this.terminal) await this.output.write('\r\x1b[K')
  }
}
