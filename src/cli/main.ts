#!/usr/bin/env node
import { writeSync } from 'node:fs'
import { constants } from 'node:os'
import { endAll, handleSignals } from '../io/process/interruption.ts'
import { keepThreadPoolAwake } from '../io/process/threadpool.ts'
import { describeFailure, EXIT_BAD_INPUT, EXIT_DONE, isBrokenPipe } from './failure.ts'
import { runCommandLine } from './run.ts'

/** The exit code once there is one: whatever a library does, the process ends with one of ours. */
let ended: number | undefined

/** Straight to the descriptor: the process is about to end. */
function say(line: string): void {
  try {
    writeSync(2, `${process.stderr.isTTY ? '\r\u001b[K' : ''}ltap: ${line}\n`)
  } catch {
    // The reader of the output has closed it.
  }
}

function exit(code: number): never {
  ended = code
  process.exit(code)
}

/** What no verb caught. */
async function fail(error: unknown): Promise<void> {
  if (ended !== undefined) return
  ended = isBrokenPipe(error) ? EXIT_DONE : EXIT_BAD_INPUT
  if (ended !== EXIT_DONE) say(describeFailure(error, process.argv.includes('--verbose')).replace(/^ltap: /, ''))
  await endAll()
  process.exit(ended)
}

process.on('uncaughtException', (error) => void fail(error))
process.on('unhandledRejection', (reason) => void fail(reason))
// A pipe that breaks between writes: the next write ends the run.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => {
    if (!isBrokenPipe(error)) void fail(error)
  })
}
handleSignals(
  (signal) => exit(128 + constants.signals[signal]),
  (signal, remarks) => {
    const who = signal === 'SIGINT' ? 'Ctrl-C' : signal
    say([`ended by ${who}; unfinished files are removed, finished ones stay`, ...remarks].join('; '))
  },
)
// A file that reaches the limit of its size (ulimit -f) is an error of the write then, and no end of the process.
if (process.platform !== 'win32') process.on('SIGXFSZ', () => {})
process.on('exit', () => {
  if (ended !== undefined) return
  say('nothing is left to wait for, and the work is not done (this is a bug in ltap: run again with --verbose and report it)')
  process.exitCode = EXIT_BAD_INPUT
})

keepThreadPoolAwake()
runCommandLine(process.argv.slice(2), process).then((code) => {
  ended = process.exitCode = code
}, fail)
