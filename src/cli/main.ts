#!/usr/bin/env node
import { keepThreadPoolAwake } from '../io/threadpool.ts'
import { isBrokenPipe } from './failure.ts'
import { runCommandLine } from './run.ts'

// A pipe that breaks between writes: the next write ends the run.
process.stdout.on('error', (error) => {
  if (!isBrokenPipe(error)) throw error
})
keepThreadPoolAwake()
process.exitCode = await runCommandLine(process.argv.slice(2), process)
