import type { Command } from 'commander'
import { openLakeStore } from '../jobs/lakes/openlake.ts'
import { commitJob, type CommitReport } from '../jobs/scaleout/commitjob.ts'
import { unitLine } from '../lake/job/unit.ts'
import { counted, factLines, lanesText, listed, megabytes, thousands } from './count.ts'
import { EXIT_NO } from './failure.ts'
import { linesOf } from './lines.ts'
import { notReadText } from '../lake/notread.ts'
import { addStrictOption, warnNotRead } from './notread.ts'
import { notePublishProblem, notPublishedLines, publishedFacts } from './publishoptions.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface CommitOptions {
  lake?: string
  job?: string
  strict?: boolean
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'make the one commit of a planned job out of the results of ltap work; if units are missing, print these and commit nothing',
  examples: [
    'ltap commit < results.jsonl',
    'ltap commit results-*.jsonl',
    'ltap commit results.jsonl > left.jsonl || ltap work < left.jsonl >> results.jsonl   # then ltap commit results.jsonl again',
  ],
}

const LISTED_MAX = 20

/** `ltap commit`. */
export function addCommit(program: Command, run: Run): void {
  addStrictOption(addVerb(program, 'commit [results...]', TEXT))
    .option('--lake <dir|url>', 'where the lake is for this machine (default: where the job was planned)')
    .option('--job <id>', 'if there are results of several jobs: which one')
    .action(async (results: string[], { lake, job, strict, ...options }: CommitOptions) => {
      const output = begin(run, options)
      const report = await commitJob({
        lines: linesOf(results, run.streams.stdin), openStore: openLakeStore, onRemark: output.notice, ...(lake !== undefined && { lake }),
        ...(job !== undefined && { job }),
      })
      if (report.done === 'no') {
        run.exitCode = EXIT_NO
        for (const unit of report.units) await output.write(`${unitLine(unit)}\n`)
        await output.note(`ltap: nothing was committed: ${counted(report.units.length, 'unit')} of job ${report.job} must still be done; they are on stdout, `
          + 'for ltap work; then commit again with all results')
        return
      }
      await output.result(report, () => reportText(report))
      if (report.done !== 'committed') return
      notePublishProblem(output, report, report.url)
      await warnNotRead(run, output, report.notRead, strict)
    })
}

function reportText(report: CommitReport & { done: 'committed' | 'before' }): string {
  if (report.done === 'before') return `job ${report.job} is committed already: ${report.url} has LSN ${report.lsn} from it\n`
  const { url, lsn, from, counts, notRead, damage } = report
  const { relations, unchanged, gone, files, blocks, bytes, hiddenRows, rows, lanes, damaged } = counts
  return [
    `${lsn} is in ${url}${from === null ? '' : `, which was at ${from}`}\n`,
    factLines([
      ['relations', `${counted(relations, 'relation')}, ${thousands(unchanged)} of them unchanged; ${thousands(gone)} gone`],
      ['written', `${counted(blocks, 'page')}, each proven, in ${counted(files, 'file')}; ${megabytes(bytes)}`],
      ['rows', `${thousands(hiddenRows)} of ${thousands(rows)} hidden`],
      ['values', lanesText(lanes)],
      ...publishedFacts(report),
      ['damaged', counted(damaged.length, 'page')],
      ['not read', counted(notRead.length, 'relation')],
    ]),
    ...listed('damaged', damage, LISTED_MAX),
    ...listed('damaged page', damaged.map(({ relation, block, error }) => `${relation} block ${block}: ${error}`), LISTED_MAX),
    ...notPublishedLines(report),
    ...listed('relation not read', notRead.map(notReadText), LISTED_MAX),
  ].join('')
}
