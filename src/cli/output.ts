import type { Readable, Writable } from 'node:stream'
import { printable, printableLines } from '../common/printable.ts'
import { breathe } from '../io/process/interruption.ts'

/** Where a run reads and writes: the process's own streams, or a test's. */
export interface Streams {
  stdin: Readable
  stdout: Writable
  stderr: Writable & { isTTY?: boolean }
}

/** What a verb says. Text and JSON go to stdout, what accompanies them to stderr. */
export class Output {
  readonly streams: Streams
  /** --json: stdout carries JSON only. */
  readonly json: boolean

  constructor(streams: Streams, json: boolean) {
    this.streams = streams
    this.json = json
  }

  /** Writes to stdout as it is, JSON, CSV and our own colors; resolves when the stream takes more. */
  readonly write = (text: string): Promise<void> => writeTo(this.streams.stdout, text)

  /** Writes to stdout for people. Names in a line are better escaped with {@link printable}, which takes line ends too. */
  readonly print = (text: string): Promise<void> => this.write(printableLines(text))

  /** The result of a verb: `text` with its line ends, or `value` as one JSON document. */
  async result(value: unknown, text: () => string): Promise<void> {
    if (this.json) await this.write(`${JSON.stringify(value, bigintText, 2)}\n`)
    else await this.print(text())
  }

  /** A remark of a job. */
  readonly notice = (text: string): void => void this.note(`ltap: ${text}`).catch(() => {})

  /** A remark that is no part of the result. */
  async note(line: string): Promise<void> {
    await writeTo(this.streams.stderr, `${printable(line)}\n`)
  }
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

async function writeTo(stream: Writable, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()))
  })
  await breathe()
}
