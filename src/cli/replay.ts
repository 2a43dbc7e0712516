import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { EnvironmentError } from '../common/errors.ts'
import { replayCluster, type ReplayReport } from '../jobs/replay/replaycluster.ts'
import { factLines, megabytes, thousands } from './count.ts'
import { withWalProgress } from './jobprogress.ts'
import { addTargetOptions, type TargetOptions } from './replaytarget.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface ReplayOptions extends TargetOptions {
  out: string
  cache: number
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'apply WAL to the heaps of a data directory or base backup, as recovery does, and leave them as they were at any point',
  examples: [
    'ltap replay ./data --out ./now                                   # a crashed server, to the end of its pg_wal',
    "ltap replay ./backup --wal ./archive --to '2026-01-31 12:00Z' --out ./noon",
    'ltap replay ./backup --wal ./archive --to 16/B374D848 --out ./then && ltap transcode ./then --lake ./lake',
  ],
}

const CACHE_MB = 256

/** `ltap replay`. */
export function addReplay(program: Command, run: Run): void {
  addTargetOptions(addVerb(program, 'replay <source>', TEXT))
    .requiredOption('--out <dir>', 'folder for the files: a new one, or that of an earlier replay, which goes on')
    .option('--cache <MB>', 'memory for pages', parseCache, CACHE_MB)
    .action(async (source: string, { out, cache, wal, to, timeline, ...options }: ReplayOptions) => {
      const output = begin(run, options)
      const started = performance.now()
      const report = await withWalProgress(output, 'replay', (onProgress) => replayCluster({
        source, out, cacheBytes: cache << 20, onProgress,
        ...(wal === undefined ? {} : { wal }), ...(to === undefined ? {} : { target: to }), ...(timeline === undefined ? {} : { timeline }),
      })).catch((error: unknown) => {
        throw withKept(error, out)
      })
      const seconds = (performance.now() - started) / 1000
      await output.result({ ...report, seconds }, () => reportText(report, out, seconds))
    })
}

/** A target that the WAL does not reach: what was replayed is not undone. */
function withKept(error: unknown, out: string): unknown {
  if (!(error instanceof EnvironmentError) || !/^replay\.(?:target|inconsistent)$/.test(error.code)) return error
  const kept = `${out} is replayed as far as this WAL goes, or as the target allows, and the next replay into it goes on from there`
  return new EnvironmentError(error.code, `${error.reason}; ${kept}`, error.position)
}

function reportText({ major, lsn, from, timeline, records, walBytes, trailingBytes, end, resumed }: ReplayReport, out: string, seconds: number): string {
  return [
    `Postgres ${major} at ${lsn} is in ${out}\n`,
    factLines([
      ['replayed', `${thousands(records)} records, ${megabytes(walBytes)} of WAL from ${from}${resumed ? ', where an earlier run ended' : ''}`],
      ['timeline', String(timeline)],
      ['ended', end],
      ...(trailingBytes === 0 ? [] : [['forensic', `${thousands(trailingBytes)} bytes behind the end of relations, which no server reads, left out`] as const]),
      ['time', `${seconds.toFixed(1)} s, ${megabytes(walBytes / Math.max(seconds, 0.001))}/s`],
    ]),
  ].join('')
}

function parseCache(text: string): number {
  const megabytesWanted = Number(text)
  if (!/^\d+$/.test(text) || megabytesWanted < 8 || megabytesWanted > 1 << 20) throw new InvalidArgumentError('a number of megabytes from 8 on is needed.')
  return megabytesWanted
}
