import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isStoreUrl } from '../io/objectstore/openobjectstore.ts'
import { materializeInto } from '../jobs/materialize/materializeinto.ts'
import type { MaterializeReport } from '../jobs/materialize/materializelake.ts'
import { notReadText } from '../lake/notread.ts'
import { FORMAT_KEY } from '../lake/state/names.ts'
import { knownOf } from './corruptoptions.ts'
import { counted, factLines, lanesText, listed, megabytes, thousands } from './count.ts'
import { withProgress } from './jobprogress.ts'
import { mergedFacts, notMergedLines } from './merge.ts'
import { warnNotRead } from './notread.ts'
import type { Output } from './output.ts'
import { folderBeside, replayFirst } from './replayfirst.ts'
import type { TranscodeOptions } from './transcodeoptions.ts'
import type { Run } from './verb.ts'

/** Whether `--lake` names a place for layers: an object store, or a folder that has a lake of them. */
export function isLayeredPlace(lake: string): boolean {
  return isStoreUrl(lake) || existsSync(join(lake, FORMAT_KEY))
}

/** Lists at most so many of a kind; --json has all. */
const LISTED_MAX = 20

/** `ltap transcode` into a lake of format 2. */
export async function transcodeIntoLayers(run: Run, output: Output, pgdata: string, given: TranscodeOptions): Promise<void> {
  const { lake, branch, database, table, exclude, excludeSecrets = false, workers, compression, types, onCorrupt, unknownTransactions, codecs, merge,
    strict, packThreshold: threshold, packBelow: below } = given
  const packing = { ...(threshold !== undefined && { threshold }), ...(below !== undefined && { below }) }
  const started = performance.now()
  const filter = { databases: database, tables: table, exclude, excludeSecrets }
  const report = await replayFirst(output, pgdata, folderBeside(lake), given, {}, (files, wal) => withProgress(output, 'transcode', (onProgress) =>
    materializeInto({
      pgdata: files, source: pgdata, ...(wal !== undefined && { wal }), lake, ...(branch !== undefined && { branch }), filter, workers, compression,
      ...(types && { profile: types }), onCorrupt, unknownTransactions, codecs, packing, merge, ...knownOf(given), onProgress, onNotice: output.notice,
    })))
  const seconds = (performance.now() - started) / 1000
  await output.result({ ...report, seconds }, () => summaryText(report, seconds))
  if (report.mergeProblem !== null) output.notice(`layers were not merged: ${report.mergeProblem}; the new state is in the lake, ltap merge does the rest`)
  await warnNotRead(run, output, report.notRead, strict)
}

function summaryText(report: MaterializeReport, seconds: number): string {
  const { url, major, lsn, from, relations, unchanged, gone, files, packed, blocks, heapBytes, bytes, lanes, damaged, damage, notRead } = report
  if (!report.committed) return `${url} has Postgres ${major} at ${lsn} already: nothing to do\n`
  const rate = `${megabytes(heapBytes / Math.max(seconds, 0.001))}/s`
  return `${[
    `Postgres ${major} at ${lsn} is in ${url}${from === null ? '' : `, which was at ${from}`}\n`,
    factLines([
      ['relations', `${counted(relations, 'relation')}, ${thousands(unchanged)} of them unchanged; ${thousands(gone)} gone`],
      ['written', `${counted(blocks, 'page')}, each proven, in ${counted(files, 'file')} and in packs, of ${counted(packed, 'relation')}; ` +
        `${megabytes(heapBytes)} of heap, ${megabytes(bytes)} written`],
      ['rows', `${thousands(report.hiddenRows)} of ${thousands(report.rows)} hidden`],
      ['values', lanesText(lanes)],
      ...mergedFacts(report.merged),
      ['damaged', counted(damaged.length, 'page')],
      ['not read', counted(notRead.length, 'relation')],
      ['time', `${seconds.toFixed(1)} s, ${rate}`],
    ]),
    ...listed('damaged', damage, LISTED_MAX),
    ...listed('damaged page', damaged.map(({ relation, block, error }) => `${relation} block ${block}: ${error}`), LISTED_MAX),
    ...notMergedLines(report.merged),
    ...listed('relation not read', notRead.map(notReadText), LISTED_MAX),
  ].join('')}`
}
