import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { openLakeStore } from '../jobs/lakes/openlake.ts'
import { workUnits } from '../jobs/scaleout/workunits.ts'
import { counted } from './count.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { linesOf } from './lines.ts'
import { addCodecsOption, parseWorkers } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface WorkOptions {
  lake?: string
  source?: string
  workers: number
  codecs: string[]
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'do units of work that ltap transcode --plan printed: each line on stdin becomes a line on stdout, for ltap commit',
  examples: [
    'ltap work < units.jsonl > results.jsonl',
    "xargs -P 4 -d '\\n' -n 20 sh -c 'printf \"%s\\n\" \"$@\" | ltap work --workers 1' _ < units.jsonl > results.jsonl",
    'ltap work --source ./snapshot/data < units.jsonl   # the data directory is elsewhere on this machine',
  ],
}

/** `ltap work`. */
export function addWork(program: Command, run: Run): void {
  addCodecsOption(addVerb(program, 'work', TEXT))
    .option('--source <dir>', 'where the data directory, or a copy of it, is on this machine (default: where it was planned)')
    .option('--lake <dir|url>', 'where the lake is for this machine (default: where it was planned)')
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .action(async ({ lake, source, workers, codecs, ...options }: WorkOptions) => {
      const output = begin(run, options)
      const { units, failed } = await workUnits({
        lines: linesOf([], run.streams.stdin), emit: (line) => output.write(`${line}\n`), openStore: openLakeStore, workers, codecs,
        ...(lake !== undefined && { lake }), ...(source !== undefined && { source }),
      })
      if (failed === 0) return
      run.exitCode = EXIT_BAD_INPUT
      await output.note(`ltap: ${counted(failed, 'unit')} failed, ${counted(units, 'unit')} done: the results say why; ltap commit prints what is left to do`)
    })
}
