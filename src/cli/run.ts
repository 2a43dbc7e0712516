import { Command, CommanderError, Help, type Option } from 'commander'
import { printableLines } from '../common/printable.ts'
import { stopIfEnding } from '../io/process/interruption.ts'
import { refuseScheme } from '../io/disk/localpath.ts'
import { LTAP_VERSION } from '../jobs/version.ts'
import { damageAdvice } from './damageadvice.ts'
import { describeFailure, EXIT_DONE, EXIT_USAGE, exitCodeOf, isBrokenPipe } from './failure.ts'
import type { Streams } from './output.ts'
import { checkFormat } from './rowprinter.ts'
import { usageHint } from './usagehint.ts'
import { addNamed, type LoadVerb, type Run } from './verb.ts'

/** The verbs of ltap, in the order of its help. */
const VERBS = new Map<string, LoadVerb>([
  ['transcode', async () => (await import('./transcode.ts')).addTranscode],
  ['work', async () => (await import('./work.ts')).addWork],
  ['commit', async () => (await import('./commit.ts')).addCommit],
  ['job', async () => (await import('./job.ts')).addJob],
  ['verify', async () => (await import('./verify.ts')).addVerify],
  ['rebuild', async () => (await import('./rebuild.ts')).addRebuild],
  ['restore', async () => (await import('./restore.ts')).addRestore],
  ['merge', async () => (await import('./merge.ts')).addMerge],
  ['publish', async () => (await import('./publish.ts')).addPublish],
  ['catalog', async () => (await import('./catalog.ts')).addCatalog],
  ['replay', async () => (await import('./replay.ts')).addReplay],
  ['query', async () => (await import('./query.ts')).addQuery],
  ['gc', async () => (await import('./gc.ts')).addGc],
  ['branch', async () => (await import('./branch.ts')).addBranch],
  ['tag', async () => (await import('./pin.ts')).addTag],
  ['lease', async () => (await import('./pin.ts')).addLease],
  ['inspect', async () => (await import('./inspect.ts')).addInspect],
  ['demo', async () => (await import('./demo.ts')).addDemo],
])

const EXAMPLES = `
Examples:
  ltap query --lake ./lake "SELECT count(*) FROM orders"
  ltap inspect page ./data/base/16384/16385 --block 0

'ltap help <command>' shows more of each.
Exit codes: 0 done, 1 the answer is no, 2 usage, 3 bad input or environment.
`

/**
 * Runs one command line. Never throws and never exits.
 * @param argv arguments without node and script
 * @returns the exit code
 */
export async function runCommandLine(argv: readonly string[], streams: Streams): Promise<number> {
  const run: Run = { streams, exitCode: EXIT_DONE, verbose: argv.includes('--verbose') }
  try {
    await (await buildProgram(run, argv)).parseAsync([...argv], { from: 'user' })
    return run.exitCode
  } catch (error) {
    // Everything is being undone: that is why it failed.
    await stopIfEnding()
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE
    if (isBrokenPipe(error)) return EXIT_DONE
    streams.stderr.write(`${describeFailure(error, run.verbose, damageAdvice(run.verb, error))}\n`)
    return exitCodeOf(error)
  }
}

async function buildProgram(run: Run, argv: readonly string[]): Promise<Command> {
  const { stdout, stderr } = run.streams
  const program = new Command('ltap')
    .description('Postgres heap pages as Parquet and back, bit for bit')
    .version(LTAP_VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(printableLines(text)),
      outputError: (text, write) => write(errorText(argv, text)),
    })
    .configureHelp({ optionDescription })
    .showSuggestionAfterError()
    .addHelpText('after', EXAMPLES)
    .hook('preAction', (_program, verb) => {
      run.verb = verb
      checkFormat(verb.opts())
      refuseSchemes(verb)
    })
  if (argv[0] !== '--version' && argv[0] !== '-V') await addNamed(program, run, VERBS, argv)
  return program
}

function errorText(argv: readonly string[], text: string): string {
  const hint = usageHint(argv, text)
  return `${text.replace(/^error: /, 'ltap: ').replace(/ is invalid\. ([a-z'].*)\.\n/s, ' is invalid: $1\n')}${hint && `(${hint})\n`}`
}

function optionDescription(option: Option): string {
  return `${new Help().optionDescription(option).replace(' (default: [])', '')}${option.mandatory ? ' (required)' : ''}`
}

/** Arguments and options that name no folder or file. */
const NO_PATHS = new Set(['sql', 'schema.name', 'table', 'database', 'exclude', 'to', 'keep', 'at', 'branch', 'from', 'name', 'for', 'erasure', 'job', 'host'])

/** Verbs whose `--lake`, or argument `lake`, may be the URL of an object store; `lake` is `inspect lake`, the last ones are of branches, tags and leases. */
const VERBS_OF_STORES = new Set([
  'transcode', 'verify', 'rebuild', 'query', 'restore', 'merge', 'publish', 'catalog', 'lake', 'gc',
  'create', 'list', 'delete', 'work', 'commit', 'drop',
])

/**
 * Every other argument and option of a verb that is no name is a local path, options that are added later included. @throws UnsupportedError path.scheme
 */
function refuseSchemes(verb: Command): void {
  const given = [...verb.registeredArguments.map((argument, i) => [argument.name(), verb.processedArgs[i]]), ...Object.entries(verb.opts())]
  const takesUrl = (name: string): boolean => (name === 'lake' && VERBS_OF_STORES.has(verb.name())) || (name === 'out' && verb.name() === 'query')
  const isUrl = (name: string, value: string): boolean => takesUrl(name) && /^(?:s3:(?!\/[^/])|file:)/i.test(value)
  for (const [name, value] of given as [string, unknown][]) {
    if (typeof value === 'string' && !NO_PATHS.has(name) && !isUrl(name, value)) refuseScheme(value)
  }
}
