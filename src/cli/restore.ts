import { type Command, InvalidArgumentError, Option } from 'commander'
import { formatLsn } from '../common/ids.ts'
import { openLakeSource, openLakeSourceBefore } from '../jobs/restore/lakesource.ts'
import { restoreCluster, type RestoreOptions, type RestoreReport } from '../jobs/restore/restorecluster.ts'
import type { ReplayTarget } from '../replay/replay.ts'
import { counted, factLines, listed, megabytes, thousands } from './count.ts'
import { withProgress, withWalProgress } from './jobprogress.ts'
import { parseAt } from './options.ts'
import { parseTarget, parseTimeline } from './replaytarget.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface RestoreVerbOptions extends Pick<RestoreOptions, 'prepared' | 'postgres'> {
  lake: string
  out: string
  to?: string
  at?: string
  wal?: string
  timeline?: number | 'latest'
  branch?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'make a data directory that a server boots from a lake alone, on a timeline of its own',
  examples: [
    'ltap restore --lake s3://bucket/shop --out ./data --postgres /usr/lib/postgresql/17/bin',
    'ltap restore --lake ./lake --out ./data --to 16/B374D848 --postgres /usr/lib/postgresql/17/bin',
    "ltap restore --lake ./lake --out ./data --to '2026-01-31 12:00:00Z'   # the last state at or before it; every index is empty",
    "ltap restore --lake ./lake --wal ./archive --to '2026-01-31 12:00:00Z' --out ./data --postgres /usr/lib/postgresql/17/bin   # exactly then",
  ],
}

const LISTED_MAX = 20

/** `ltap restore`. */
export function addRestore(program: Command, run: Run): void {
  addVerb(program, 'restore', TEXT)
    .requiredOption('--lake <dir|url>', 'folder of the lake, or s3://bucket/prefix')
    .requiredOption('--out <dir>', 'the data directory to make: a new folder, an empty one, or one whose restore was interrupted')
    .option('--branch <name>', 'branch of the lake (default: main)')
    .option('--to <point>', 'LSN of a state, time, or tag (default: the newest state); with --wal any LSN or time, or latest (default: the end of the WAL)')
    .addOption(new Option('--at <point>', 'the same as --to').conflicts('to').hideHelp())
    .option('--wal <dir>', 'folder of WAL that goes on behind the state: an archive or pg_wal, compressed or not; it leads to points between two states')
    .option('--timeline <number>', 'with --wal: the timeline to follow, or latest', parseTimeline)
    .option('--postgres <dir>', 'folder with the programs of a server of the same major, which rebuild the indexes (default: they stay empty)')
    .addOption(new Option('--prepared <what>', 'what becomes of prepared transactions; without it, a state that has some is refused')
      .choices(['commit', 'rollback', 'keep']))
    .action(async ({ lake, out, at, to = at, wal: place, timeline, branch, postgres, prepared, ...options }: RestoreVerbOptions, command: Command) => {
      const output = begin(run, options)
      const target = to === undefined ? {} : targetOf(to, place !== undefined, command)
      const source = place === undefined ? await openLakeSource(lake, to, branch) : await openLakeSourceBefore(lake, target, branch)
      const wal = place === undefined ? undefined : { wal: place, target, timeline }
      const report = await withWalProgress(output, 'replay', (onReplayProgress) => withProgress(output, 'restore', (onProgress) =>
        restoreCluster(source, { out, postgres, prepared, wal, onReplayProgress, onProgress })))
      await output.result({ ...report, lsn: formatLsn(report.lsn), out }, () => reportText(report, out))
    })
}

/** Without --wal a tag may be meant, so it is known late what --to must be. */
function targetOf(to: string, withWal: boolean, command: Command): ReplayTarget {
  try {
    if (withWal) return parseTarget(to)
    parseAt(to)
    return {}
  } catch (error) {
    const which = withWal ? 'With --wal ' : ''
    if (error instanceof InvalidArgumentError) command.error(`error: option '--to <point>' argument '${to}' is invalid. ${which}${error.message}`)
    throw error
  }
}

function reportText(report: RestoreReport, out: string): string {
  const { lsn, timeline, relations, bytes, prepared, unlogged, tablespaces, notRestored, indexes, notRebuilt } = report
  return `${[
    `${out} has the state at ${formatLsn(lsn)}, as timeline ${timeline}\n`,
    factLines([
      ['relations', `${counted(relations, 'relation')}, ${megabytes(bytes)}`],
      ['indexes', indexes === undefined ? 'all empty: rebuild them before a server runs (--postgres, or docs/restore.md)' : `${thousands(indexes)} rebuilt`],
      ['prepared', counted(prepared, 'transaction')],
      ['unlogged', `${counted(unlogged, 'file')}, empty`],
    ]),
    ...listed('tablespace', tablespaces.map((place) => `${place.from} is in ${place.to}`), LISTED_MAX),
    ...listed('index not rebuilt', notRebuilt.map(({ database, index = 'all', reason }) => `${database}: ${index}: ${reason}`), LISTED_MAX),
    ...listed('table not restored', notRestored, LISTED_MAX),
  ].join('')}`
}
