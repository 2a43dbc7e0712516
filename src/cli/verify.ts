import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { parseLsn, walPosition } from '../common/ids.ts'
import { printable } from '../common/printable.ts'
import type { ReplayTarget } from '../replay/replay.ts'
import { readManifest } from '../jobs/lake.ts'
import { openLake, openState } from '../jobs/lakes/openlake.ts'
import type { LakeDifference, LakeReport } from '../jobs/lakereport.ts'
import { verifyLake } from '../jobs/verifylake.ts'
import { notReadText } from '../lake/notread.ts'
import { countNotShown, notShownText } from '../lake/notshown.ts'
import { counted, factLines, lanesText, listed, megabytes, thousands } from './count.ts'
import { addKnownOptions, addOnCorruptOption, knownOf, type KnownOptions, tellLosses } from './corruptoptions.ts'
import { EXIT_NO } from './failure.ts'
import { withProgress } from './jobprogress.ts'
import { addStrictOption, warnNotRead } from './notread.ts'
import { addCodecsOption, addExcludeOption, addLakeOptions, type LakeOptions, openOptionsOf, parseWorkers } from './options.ts'
import { addReplayFirstOptions, folderBeside, replayFirst, type ReplayFirstOptions } from './replayfirst.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface VerifyOptions extends ReplayFirstOptions, KnownOptions, LakeOptions {
  onCorrupt: 'fail' | 'carry'
  exclude: string[]
  workers: number
  codecs: string[]
  strict?: boolean
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'prove that each page of a data directory can be rebuilt from a lake; without a data directory, that each rebuilt page has its CRC',
  examples: [
    'ltap verify /var/lib/postgresql/17/main --lake ./lake && echo equal',
    'ltap verify --lake ./lake   # no source needed',
    'ltap verify ./backup --wal ./archive --lake ./lake   # replays to the LSN of the lake first',
    'ltap verify --lake s3://bucket/lake   # every object of every state',
    'ltap verify --lake ./lake --json | jq .forensic',
  ],
}

const DIFFERENCES_SHOWN = 20
const NOT_READ_SHOWN = 20

/** `ltap verify`. */
export function addVerify(program: Command, run: Run): void {
  const verb = addExcludeOption(addReplayFirstOptions(addVerb(program, 'verify [pgdata]', TEXT)))
  addLakeOptions(addStrictOption(addKnownOptions(addOnCorruptOption(addCodecsOption(verb)))))
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .action(async (pgdata: string | undefined, { lake, branch, cacheSize, exclude, workers, codecs, strict, onCorrupt, ...options }: VerifyOptions) => {
      const output = begin(run, options)
      const verify = (files?: string): Promise<LakeReport> => withProgress(output, 'verify', (onProgress) =>
        verifyLake({
          lake, exclude, workers, codecs, onCorrupt, onProgress, onNotice: output.notice, ...knownOf(options), ...(files !== undefined && { pgdata: files }),
          ...openOptionsOf({ ...(branch !== undefined && { branch }), ...(cacheSize !== undefined && { cacheSize }) }),
        }))
      // The source, not the folder that it was replayed into.
      const report = pgdata === undefined ? await verify()
        : { ...await replayFirst(output, pgdata, folderBeside(lake), options, await lakeTarget(lake, branch, options), verify), comparedWith: pgdata }
      if (!report.equal) run.exitCode = EXIT_NO
      await output.result(report, () => reportText(report))
      await tellLosses(output, report.damage)
      await warnNotRead(run, output, report.notRead, strict)
    })
}

/** Without --to, the state the lake is of: the newest one. */
async function lakeTarget(place: string, branch: string | undefined, { wal, timeline, work }: ReplayFirstOptions): Promise<ReplayTarget> {
  if (wal === undefined && timeline === undefined && work === undefined) return {}
  const lake = await openLake(place)
  const lsn = lake === undefined ? readManifest(place).lsn : (await openState(lake, 'newest', branch)).state.lsn
  return { lsn: walPosition(parseLsn(lsn)!) }
}

function reportText(report: LakeReport): string {
  const { comparedWith, lsn, lanes, differing, differences, forensic } = report
  const compared = comparedWith === null ? `audited alone, at ${lsn}` : `compared with ${comparedWith}, both at ${lsn}`
  const { deadTuples, dangling, orphanFiles, temporaryFiles, hintContradictions, damagedPages, trailingBytes } = forensic
  const dead = comparedWith === null ? '' : `${thousands(deadTuples)} dead tuples, `
  const hints = comparedWith === null ? '' : `, ${counted(hintContradictions, 'hint bit')} against CLOG`
  const rest = differing - Math.min(differences.length, DIFFERENCES_SHOWN)
  return [
    report.equal ? `equal: ${compared}\n` : `NOT equal, ${counted(differing, 'difference')}: ${compared}\n`,
    ...differences.slice(0, DIFFERENCES_SHOWN).map((difference) => `  ${printable(differenceText(difference))}\n`),
    ...(!report.equal && rest > 0 ? [`  and ${counted(rest, 'difference')} more\n`] : []),
    factLines([
      ['relations', `${counted(report.relations, 'relation')}, ${counted(report.files, 'file')}`],
      ['pages', `${thousands(report.pages)}; ${thousands(damagedPages)} damaged when they were read`],
      ['tuples', `${thousands(report.tuples)}; ${counted(report.hiddenRows, 'row')} of ${thousands(report.rows)} hidden`],
      ['values', lanesText(lanes)],
      ['forensic', `${dead}${thousands(dangling)} dangling TOAST pointers, ${counted(orphanFiles.length, 'orphan file')}, ` +
        `${counted(temporaryFiles, 'temporary file')}, ${counted(trailingBytes, 'byte')} of partial blocks${hints}`],
      ...storeFacts(report),
      ['not shown', counted(countNotShown(report.notShown), 'value')],
      ['not read', counted(report.notRead.length, 'relation')],
    ]),
    ...listed('values not shown', report.notShown.map(notShownText), NOT_READ_SHOWN),
    ...listed('relation not read', report.notRead.map(notReadText), NOT_READ_SHOWN),
  ].join('')
}

function storeFacts({ store }: LakeReport): [string, string][] {
  if (store === undefined) return []
  const { objects, bytes, orphans } = store
  const left = orphans === null ? 'orphans are not known' : `${counted(orphans.objects, 'orphan')}, ${megabytes(orphans.bytes)}`
  return [['store', `${counted(objects, 'object')}, ${megabytes(bytes)}; ${left}`]]
}

function differenceText({ relation = 'lake', file, block, reason }: LakeDifference): string {
  return `${relation}${block === undefined ? '' : ` block ${block}`}: ${reason}${file === undefined ? '' : ` (${file})`}`
}
