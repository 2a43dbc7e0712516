import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { materializeInto } from '../jobs/materialize/materializeinto.ts'
import type { MaterializeReport } from '../jobs/materialize/materializelake.ts'
import { localFolder } from '../io/objectstore/openobjectstore.ts'
import { refuseOtherCache } from '../jobs/materialize/othersource.ts'
import { FORMAT_KEY } from '../lake/state/names.ts'
import { virtualColumnText } from '../lake/views.ts'
import { notReadText } from '../lake/notread.ts'
import { countNotShown, notShownText } from '../lake/notshown.ts'
import { counted, factLines, lanesText, listed, megabytes, thousands } from './count.ts'
import { addCorruptOptions, knownOf } from './corruptoptions.ts'
import { withProgress } from './jobprogress.ts'
import { mergedFacts, notMergedLines } from './merge.ts'
import { addStrictOption, warnNotRead } from './notread.ts'
import { addCodecsOption, addExcludeOption, collect, collectPackBelow, collectTable, packingOptions, parsePackBlocks, parseWorkers } from './options.ts'
import { addPublishOptions, notePublishProblem, notPublishedLines, publishedFacts, publishOptionsOf } from './publishoptions.ts'
import { addReplayFirstOptions, folderBeside, replayFirst } from './replayfirst.ts'
import { planTranscode } from './transcodeplan.ts'
import type { TranscodeOptions } from './transcodeoptions.ts'
import { addVerb, begin, type Run } from './verb.ts'

const TEXT = {
  summary: 'write every heap relation of a stopped server, or of a backup and WAL, as Parquet, each page proven to come back bit for bit',
  examples: [
    'ltap transcode /var/lib/postgresql/17/main --lake ./lake',
    'ltap transcode ./data --lake ./lake --database shop --table public.orders --table public.items',
    "ltap transcode ./data --lake ./lake --exclude 'audit.*' --exclude public.log_2019",
    'ltap transcode ./data --lake ./lake --exclude-secrets   # without password hashes, passwords, connection strings',
    'ltap transcode ./data --lake ./lake --on-corrupt carry   # damaged pages are carried as they are, hidden and listed',
    'ltap transcode ./backup --wal ./archive --to 16/B374D848 --lake ./lake   # as it was then',
    'ltap transcode ./newer-copy --lake ./lake   # what changed since, as a state more',
    'ltap transcode ./data --lake s3://bucket/shop',
    'ltap transcode ./data --lake s3://bucket/shop --plan | ltap work | ltap commit   # the same in pieces, which several machines can share',
  ],
}

/** Lists at most so many damaged pages, orphans, relations not read; --json has all. */
const LISTED_MAX = 20

/** `ltap transcode`. */
export function addTranscode(program: Command, run: Run): void {
  addStrictOption(addPublishOptions(addCorruptOptions(addCodecsOption(addExcludeOption(addReplayFirstOptions(addVerb(program, 'transcode <pgdata>', TEXT)))))))
    .requiredOption('--lake <dir|url>', 'folder of the lake, or s3://bucket/prefix: a new one, or one to which is added what changed since its last state')
    .option('--branch <name>', 'branch of the lake, which ltap branch create has made (default: main)')
    .addOption(new Option('--cache <dir>',
      'with --wal: folder that keeps the replayed files; the next run goes on there, and compares what the WAL changed alone').conflicts('work'))
    .option('--database <name>', 'only this database (repeatable)', collect, [])
    .option('--table <schema.name>', 'only this table and its TOAST relation (repeatable)', collectTable, [])
    .option('--exclude-secrets', 'leave out the catalogs that hold password hashes, passwords and connection strings')
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .addOption(new Option('--compression <codec>', 'compression of the Parquet files').choices(['snappy', 'zstd', 'none']).default('zstd'))
    .addOption(new Option('--types <profile>',
      'portable: types that Iceberg v2, Delta and Spark all read; iceberg: uuid and time native, no Delta (default: portable, or that of the lake)')
      .choices(['portable', 'iceberg']))
    .option('--pack-threshold <blocks>',
      'catalogs, sequences and TOAST relations below this length share objects (default: as before, at first 64)', parsePackBlocks)
    .option('--pack-below <[table=]blocks>',
      'user tables below this length do, too, or this one, schema.name=blocks (repeatable; default: as before, at first 0)', collectPackBelow, [])
    .option('--no-merge', 'leave layers as they are, where size tiers say that several should become one')
    .option('--plan', 'write nothing of the tables, but units of work as lines of JSON, for ltap work on any machine and one ltap commit')
    .action(async (pgdata: string, given: TranscodeOptions) => {
      const { lake, database, table, exclude, excludeSecrets = false, workers, compression, types, codecs, onCorrupt, unknownTransactions, strict,
        branch, merge, cache, packThreshold: _threshold, packBelow: _below, ...options } = given
      const packing = packingOptions(given)
      const output = begin(run, options)
      const started = performance.now()
      const filter = { databases: database, tables: table, exclude, excludeSecrets }
      if (given.plan) {
        await planTranscode(run, output, pgdata, given)
        return
      }
      if (cache !== undefined) await refuseOtherCache(lake, cache, branch)
      else if (isReplayedAgain(given)) output.notice('the source is replayed from its start: --cache <dir> keeps the replayed files for the next run')
      const report = await replayFirst(output, pgdata, folderBeside(lake), given, {}, (files, wal) => withProgress(output, 'transcode', (onProgress) =>
        materializeInto({
          pgdata: files, source: pgdata, ...(wal !== undefined && { wal }), lake, ...(branch !== undefined && { branch }), filter, workers, compression,
          ...(types && { profile: types }), onCorrupt, unknownTransactions, codecs, packing, merge,
          publish: publishOptionsOf(given), ...knownOf(given), onProgress, onNotice: output.notice,
        })))
      const summary = summarize(report, lake, (performance.now() - started) / 1000)
      await output.result(summary, () => summaryText(summary))
      const { mergeProblem: problem } = report
      if (problem !== null) output.notice(`layers were not merged: ${problem}; the new state is in the lake, ltap merge does the rest`)
      notePublishProblem(output, report, lake)
      await warnNotRead(run, output, report.notRead, strict)
    })
}

/** WAL is applied to a folder that goes at the end, and the lake may have states already. */
function isReplayedAgain({ lake, wal, to, timeline, work }: TranscodeOptions): boolean {
  const folder = localFolder(lake)
  return work === undefined && (wal ?? to ?? timeline) !== undefined && (folder === undefined || existsSync(join(folder, FORMAT_KEY)))
}

/** What `ltap transcode --json` prints: of what was written pages, rows and values, of the whole cluster the rest. */
function summarize(report: MaterializeReport, lake: string, seconds: number) {
  const { lanes, orphanFiles, temporaryFiles, partialBlocks, damaged, bytes, ...rest } = report
  const trailingBytes = partialBlocks.reduce((sum, partial) => sum + partial.bytes, 0)
  return {
    lake, ...rest, pages: lanes.pages, tuples: lanes.tuples, bytes, parquetBytes: bytes, lanes,
    forensic: { dangling: lanes.dangling, orphanFiles, temporaryFiles, trailingBytes, partialBlocks }, damagedPages: damaged, seconds,
  }
}

type Summary = ReturnType<typeof summarize>

function summaryText(summary: Summary): string {
  const { lake, major, lsn, from, committed, lanes, forensic, damagedPages, damage, notRead, notShown, unknownTransactions, heapBytes, seconds } = summary
  const { dangling, orphanFiles, temporaryFiles, partialBlocks } = forensic
  if (!committed) {
    const facts = publishedFacts(summary)
    return `${lake} has Postgres ${major} at ${lsn} already: nothing to do\n${factLines(facts)}${notPublishedLines(summary).join('')}`
  }
  const rate = `${megabytes(heapBytes / Math.max(seconds, 0.001))}/s`
  const changed = from === null ? '' : `; ${thousands(summary.unchanged)} unchanged, ${thousands(summary.gone)} gone`
  return `${[
    `Postgres ${major} at ${lsn} is in ${lake}${from === null ? '' : `, which was at ${from}`}\n`,
    factLines([
      ['relations', `${counted(summary.relations, 'relation')} of ${counted(summary.databases, 'database')}, ${counted(summary.files, 'file')}, ` +
        `${thousands(summary.packed)} in packs${changed}`],
      ['pages', `${thousands(summary.pages)}, each proven; ${megabytes(heapBytes)} of heap, ${megabytes(summary.parquetBytes)} of Parquet`],
      ...(from === null ? [] : [['compared', counted(summary.compared, 'page')] as const]),
      ['tuples', `${thousands(summary.tuples)}; ${counted(summary.hiddenRows, 'row')} of ${thousands(summary.rows)} hidden`],
      ['values', lanesText(lanes)],
      ...mergedFacts(summary.merged),
      ...publishedFacts(summary),
      ['forensic', `${thousands(dangling)} dangling TOAST pointers, ${counted(orphanFiles.length, 'orphan file')}, ` +
        `${counted(temporaryFiles, 'temporary file')}, ${counted(partialBlocks.length, 'partial block')}`],
      ['damaged', counted(damagedPages.length, 'page')],
      ['not shown', counted(countNotShown(notShown), 'value')],
      ...(lanes.unknownStatus === 0 ? [] : [['unknown', unknownText(lanes.unknownStatus, unknownTransactions?.policy)] as const]),
      ['not read', counted(notRead.length, 'relation')],
      ['time', `${seconds.toFixed(1)} s, ${rate}`],
    ]),
    ...listed('damaged', damage, LISTED_MAX),
    ...listed('damaged page', damagedPages.map(({ relation, block, error }) => `${relation} block ${block}: ${error}`), LISTED_MAX),
    ...notMergedLines(summary.merged),
    ...notPublishedLines(summary),
    ...listed('values not shown', notShown.map(notShownText), LISTED_MAX),
    ...listed('orphan file', orphanFiles, LISTED_MAX),
    ...listed('partial block', partialBlocks.map(({ relation, bytes }) => `${relation} has ${bytes} bytes behind its last whole block`), LISTED_MAX),
    ...listed('virtual column', summary.virtualColumns.map((column) => `${column.relation}: ${virtualColumnText(column)}`), LISTED_MAX),
    ...listed('not populated', summary.notPopulated, LISTED_MAX),
    ...listed('relation not read', notRead.map(notReadText), LISTED_MAX),
  ].join('')}`
}

function unknownText(rows: number, policy: 'hide' | 'show' = 'hide'): string {
  return `${counted(rows, 'row version')} whose transaction status is lost, ${policy === 'hide' ? 'hidden' : 'shown'} (--unknown-transactions)`
}
