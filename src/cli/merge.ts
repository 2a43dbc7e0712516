import { availableParallelism } from 'node:os'
import { type Command, Option } from 'commander'
import type { Compression } from '../columnar/planfile.ts'
import type { MergedRelations } from '../jobs/merge/mergejob.ts'
import { mergeLake, type MergeReport } from '../jobs/merge/mergelake.ts'
import { counted, factLines, listed, megabytes, thousands } from './count.ts'
import { EXIT_NO } from './failure.ts'
import { withProgress } from './jobprogress.ts'
import { addCodecsOption, collectTable, parseWorkers } from './options.ts'
import { notePublishProblem, notPublishedLines, publishedFacts } from './publishoptions.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface MergeOptions {
  all?: boolean
  branch?: string
  table: string[]
  workers: number
  compression: Compression
  codecs: string[]
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'merge layers of a lake into fewer, which readers pass over faster; no row changes',
  examples: [
    'ltap merge ./lake   # as transcode does by itself: where size tiers say so',
    'ltap merge s3://bucket/shop --all --table public.orders   # until the table has one layer',
  ],
}

const LISTED_MAX = 20

/** `ltap merge`. */
export function addMerge(program: Command, run: Run): void {
  addCodecsOption(addVerb(program, 'merge <lake>', TEXT))
    .option('--all', 'until each relation has one layer, whatever the size tiers say')
    .option('--branch <name>', 'layers of this branch (default: main)')
    .option('--table <schema.name>', 'only this table and its TOAST relation (repeatable)', collectTable, [])
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .addOption(new Option('--compression <codec>', 'compression of the Parquet files').choices(['snappy', 'zstd', 'none']).default('zstd'))
    .action(async (lake: string, { all = false, branch, table, workers, compression, codecs, ...options }: MergeOptions) => {
      const output = begin(run, options)
      const started = performance.now()
      const report = await withProgress(output, 'merge', (onProgress) =>
        mergeLake({
          lake, all, ...(branch !== undefined && { branch }), tables: table, workers, compression, codecs, onProgress, onNotice: output.notice,
        }))
      const seconds = (performance.now() - started) / 1000
      if (report.left.length > 0) run.exitCode = EXIT_NO
      notePublishProblem(output, report, lake)
      await output.result({ ...report, seconds }, () => reportText(report, seconds))
    })
}

function reportText(report: MergeReport, seconds: number): string {
  const { url, lsn, relations } = report
  return [
    relations === 0 ? `${url} at ${lsn}: no layers to merge\n` : `${url} at ${lsn}: layers of ${counted(relations, 'relation')} were merged\n`,
    factLines([...mergedFacts(report), ...publishedFacts(report), ['time', `${seconds.toFixed(1)} s`]]),
    ...notMergedLines(report),
    ...notPublishedLines(report),
  ].join('')
}

/** What merges did; nothing if there were none. */
export function mergedFacts({ relations, layersBefore, layersAfter, files, packs, blocks, bytesRead, bytes }: MergedRelations): [string, string][] {
  if (relations === 0) return []
  const layers = `${thousands(layersBefore)} layers of ${counted(relations, 'relation')} are now ${thousands(layersAfter)}`
  const objects = [...(files > 0 || packs === 0 ? [counted(files, 'file')] : []), ...(packs > 0 ? [counted(packs, 'pack')] : [])]
  const written = `${counted(blocks, 'page')}, each proven, in ${objects.join(' and ')}`
  return [['merged', `${layers}: ${written}; ${megabytes(bytesRead)} read, ${megabytes(bytes)} written`]]
}

/** Layers that should be merged and cannot be. */
export function notMergedLines({ left }: MergedRelations): string[] {
  return listed('not merged', left.map(({ relation, reason }) => `${relation}: ${reason}`), LISTED_MAX)
}
