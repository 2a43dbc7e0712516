import { availableParallelism } from 'node:os'
import { basename, relative } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { Workers } from '../jobs/pool.ts'
import { thousands } from './count.ts'
import { LakeFolder } from './demo/lakefolder.ts'
import { Narrator } from './demo/narrator.ts'
import { findNeeds } from './demo/needs.ts'
import { ROWS_MIN } from './demo/shop.ts'
import { runTour, type TourReport } from './demo/tour.ts'
import { sizeLines, timeLines } from './demo/summary.ts'
import { Workspace } from './demo/workspace.ts'
import { EXIT_NO } from './failure.ts'
import { parseWorkers } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface DemoOptions {
  lake: string
  rows: number
  workers: number
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'run a real Postgres, transcode it, verify, query, and boot Postgres again on rebuilt files',
  examples: ['ltap demo', 'ltap demo --rows 50000 --lake /tmp/lake'],
}

/** `ltap demo`. */
export function addDemo(program: Command, run: Run): void {
  addVerb(program, 'demo', TEXT)
    .option('--lake <dir>', "folder for the lake; an earlier demo's lake there is replaced", 'ltap-demo-lake')
    .option('--rows <count>', 'order lines of the shop', parseRows, 1_000_000)
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .action(async ({ lake, rows, workers: count, ...options }: DemoOptions) => {
      const output = begin(run, options)
      const needs = await findNeeds()
      const folder = new LakeFolder(lake)
      const narrator = new Narrator(output)
      const workers = new Workers(count)
      const report = await new Workspace(folder, output.notice).use((workspace) => runTour({ needs, workspace, folder, narrator, rows, workers }))
        .finally(() => workers.close())
      if (!report.equal) run.exitCode = EXIT_NO
      await narrator.say(...closing(report, narrator, relative(process.cwd(), folder.path) || '.'))
      if (output.json) await output.result(report, () => '')
    })
}

function closing(report: TourReport, { paint }: Narrator, lake: string): string[] {
  const ltap = ownCommand()
  return [
    '',
    ...indent(sizeLines(report.sizes), paint.bold),
    '',
    ...indent(timeLines(report.times), paint.bold),
    '',
    `${thousands(report.pages)} pages verified, ${thousands(report.differing)} differ; ${thousands(report.rebuiltFiles)} files rebuilt.`,
    report.equal ? paint.good('Nothing was lost.') : paint.bad('The answer is no: see above.'),
    `The lake stays in ${lake}. Try next:`,
    `  ${ltap} query --lake ${lake} "SELECT status, count(*), sum(total) FROM orders GROUP BY status"`,
    `  ${ltap} query --lake ${lake} "SELECT id, country, _ltap.xmin FROM ltap_public.customers WHERE NOT _visible LIMIT 5"`,
    `  ${ltap} verify --lake ${lake}`,
  ]
}

/** How this program was called, so that it can be called again: `npx ltap`, or the script of a checkout. */
function ownCommand(): string {
  const script = process.argv[1] ?? ''
  return basename(script) === 'main.js' ? `node ${relative(process.cwd(), script)}` : 'npx ltap'
}

function indent(lines: readonly string[], heading: (text: string) => string): string[] {
  return lines.map((line, i) => `  ${i === 0 ? heading(line) : line}`)
}

function parseRows(text: string): number {
  const rows = Number(text)
  if (!/^\d{1,8}$/.test(text) || rows < ROWS_MIN) throw new InvalidArgumentError(`a number from ${ROWS_MIN} to 99999999 is needed.`)
  return rows
}
