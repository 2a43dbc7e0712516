import { PassThrough, Readable, Writable } from 'node:stream'
import { runCommandLine } from '../../src/cli/run.ts'

export interface Ran {
  code: number
  stdout: string
  stderr: string
}

/** Runs a command line in this process. @param heard is told stdout's text so far, whenever there is more */
export async function ltap(argv: readonly string[], stdin = '', heard: (stdout: string) => void = () => {}): Promise<Ran> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const texts = [stdout, stderr].map(async (stream) => {
    let text = ''
    for await (const piece of stream) {
      text += String(piece)
      if (stream === stdout) heard(text)
    }
    return text
  })
  const code = await runCommandLine(argv, { stdin: Readable.from([stdin]), stdout, stderr })
  stdout.end()
  stderr.end()
  const [out, err] = await Promise.all(texts)
  return { code, stdout: out!, stderr: err! }
}

/** Fails as a pipe does whose reader is gone. */
export function brokenPipe(): Writable {
  const error = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' })
  const stream = new Writable({ write: (_piece, _encoding, done) => done(error) })
  stream.on('error', () => {})
  return stream
}
