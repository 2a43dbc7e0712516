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
    .addHelpText('after', examplesText(examples))
}

/** What stands below the options of a verb, or below the verbs of a group. */
export function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n`
}

/** An action's first step: notes --verbose, and gives the output for --json. */
export function begin(run: Run, options: { json?: boolean; verbose?: boolean }): Output {
  run.verbose = options.verbose === true
  return new Output(run.streams, options.json === true)
}

/** Adds one verb, or a group of verbs, to `parent`. `argv` is what the command line has behind its name. */
type AddVerb = (parent: Command, run: Run, argv: readonly string[]) => void | Promise<void>

/** Loads the modules of a verb. */
export type LoadVerb = () => Promise<AddVerb>

/**
 * Adds the verb that `argv` begins with, or all of them, for help and suggestions, if it begins with none.
 * A verb's modules are loaded here and not before: together they take a third of a second.
 */
export async function addNamed(parent: Command, run: Run, verbs: ReadonlyMap<string, LoadVerb>, argv: readonly string[]): Promise<void> {
  const named = verbs.get(argv[0] ?? '')
  for (const load of named ? [named] : verbs.values()) await (await load())(parent, run, argv.slice(1))
}
