import type { Command } from 'commander'
import { Output, type Streams } from './output.ts'

/** What the verbs of one run share. */
export interface Run {
  streams: Streams
  /** 0 unless a verb sets it: 1 when the answer is no. */
  exitCode: number
  verbose: boolean
  /** The one that runs, once its arguments are parsed. */
  verb?: Command
}

export interface VerbText {
  /** One line, lower case, no full stop. */
  summary: string
  /** Lines below `Examples:`, without their indentation. */
  examples: readonly string[]
}

/**
 * Adds a verb with the options all verbs have: --json and --verbose.
 * @param usage name and arguments, `query <sql>`
 */
export function addVerb(parent: Command, usage: string, { summary, examples }: VerbText): Command {
  return parent
    .command(usage)
    .description(summary)
    .option('--json', 'write the result as JSON')
    .option('--verbose', 'show stack traces')
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n`)
}

/** An action's first step: notes --verbose, and gives the output for --json. */
export function begin(run: Run, options: { json?: boolean; verbose?: boolean }): Output {
  run.verbose = options.verbose === true
  return new Output(run.streams, options.json === true)
}
