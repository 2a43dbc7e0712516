import type { Command } from 'commander'
import { collectLake, type CollectedBranch, type CollectReport } from '../jobs/lakes/collectlake.ts'
import { reportErasure } from '../jobs/lakes/erasure.ts'
import { EXIT_NO, UsageError } from './failure.ts'
import { erasureText } from './erasuretext.ts'
import { counted, factLines, listed, megabytes } from './count.ts'
import { parseSince } from './options.ts'
import { stateText } from './statetext.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface GcOptions {
  keep?: string
  branch?: string
  dryRun?: boolean
  erasure?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'remove from a lake the states that are older than asked for, and every object that no state needs any more',
  examples: [
    'ltap gc s3://bucket/shop --keep 30d   # the last state that is 30 days old, and all newer ones, stay',
    'ltap gc ./lake --keep 16/B374D848 --dry-run   # only says what would go',
    "ltap gc ./lake --erasure '2026-01-31 12:00:00Z'   # is there still a byte of what was deleted before?",
    'ltap gc ./lake   # what killed programs left; every state stays',
  ],
}

const LISTED_MAX = 20

/** `ltap gc`. */
export function addGc(program: Command, run: Run): void {
  addVerb(program, 'gc <lake>', TEXT)
    .option('--keep <since>', 'a duration (30d, 12h), an LSN or a time: states before the last one at or before it go, but for what tags, leases, branches ' +
      'and jobs pin (default: all stay)', parseSince)
    .option('--branch <name>', 'states of this branch alone (default: of each branch)')
    .option('--dry-run', 'write and delete nothing')
    .option('--erasure <before>', 'write nothing; report which objects still have bytes of rows deleted before this LSN, time or duration back from now ' +
      '(exit code 1 if some have)', parseSince)
    .action(async (lake: string, { keep, branch, dryRun, erasure, ...options }: GcOptions) => {
      const output = begin(run, options)
      if (erasure !== undefined) {
        if (keep !== undefined || branch !== undefined) {
          throw new UsageError('--erasure looks at the whole lake and removes nothing: leave out --keep and --branch')
        }
        const found = await reportErasure({ lake, before: erasure })
        if (!found.erased) run.exitCode = EXIT_NO
        await output.result(found, () => erasureText(found))
        return
      }
      const report = await collectLake({
        lake, ...(keep !== undefined && { keep }), ...(branch !== undefined && { branch }), ...(dryRun !== undefined && { dryRun }),
      })
      await output.result(report, () => reportText(report))
    })
}

function reportText(report: CollectReport): string {
  const { url, dryRun, branches, objects, bytes, dead, deadBytes, leftovers, metadata } = report
  const left = [objects - dead, bytes - deadBytes] as const
  return [
    dryRun ? `${url}: a dry run, nothing was written or deleted\n` : `${url}: ${megabytes(deadBytes)} freed\n`,
    factLines([
      [dryRun ? 'would go' : 'removed', `${counted(dead, 'object')}, ${megabytes(deadBytes)}; ${counted(leftovers, 'unfinished upload')}${
        metadata === 0 ? '' : `; ${counted(metadata, 'metadata file')} of published tables`}`],
      [dryRun ? 'would stay' : 'left', `${counted(left[0], 'object')}, ${megabytes(left[1])}`],
    ]),
    ...branches.flatMap((branch) => branchLines(branch, dryRun)),
  ].join('')
}

function branchLines({ name, kept, oldest, gone, undated, pinned, endedLeases }: CollectedBranch, dryRun: boolean): string[] {
  const go = `${counted(gone, 'state')} ${dryRun ? 'would go' : gone === 1 ? 'is gone' : 'are gone'}`
  const noTime = undated === 0 ? '' : `; ${undated} of these do not say their time`
  return [
    `branch ${name}: ${go}, ${counted(kept, 'state')} from ${stateText(oldest)} on ${kept === 1 ? 'stays' : 'stay'}${noTime}\n`,
    ...listed('pinned', pinned.map((state) => `${state.kind} ${state.name} of ${name} keeps ${stateText(state)}`), LISTED_MAX),
    ...listed('lease over', endedLeases, LISTED_MAX),
  ]
}
