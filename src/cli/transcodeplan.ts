import { openStoreBeside } from '../jobs/materialize/materializeinto.ts'
import { planLake, type PlannedJob } from '../jobs/scaleout/planlake.ts'
import { unitLine } from '../lake/job/unit.ts'
import { knownOf } from './corruptoptions.ts'
import { counted, thousands } from './count.ts'
import { UsageError } from './failure.ts'
import { warnNotRead } from './notread.ts'
import { packingOptions } from './options.ts'
import type { Output } from './output.ts'
import type { TranscodeOptions } from './transcodeoptions.ts'
import type { Run } from './verb.ts'

/** `ltap transcode --plan`: a line for each unit to stdout, what the job is to stderr. */
export async function planTranscode(run: Run, output: Output, pgdata: string, given: TranscodeOptions): Promise<void> {
  const { lake, branch, database, table, exclude, excludeSecrets = false, workers, compression, types } = given
  const { onCorrupt, unknownTransactions, codecs, strict } = given
  const { wal, to, timeline, work } = given
  if ([wal, to, timeline, work].some((option) => option !== undefined)) {
    throw new UsageError('--plan is for a data directory that every worker reads, so it does not go with --wal, --to, --timeline or --work: '
      + 'make that directory first (ltap replay <source> --out <dir>), and plan that')
  }
  const options = {
    pgdata, lake, filter: { databases: database, tables: table, exclude, excludeSecrets }, workers, compression, ...(types && { profile: types }), onCorrupt,
    unknownTransactions, codecs, ...knownOf(given), ...(branch !== undefined && { branch }), onNotice: output.notice,
    packing: packingOptions(given),
  }
  const planned = await planLake({ ...options, store: await openStoreBeside(options) })
  for (const unit of planned.units) await output.write(`${unitLine(unit)}\n`)
  await output.note(`ltap: ${plannedText(planned)}`)
  await warnNotRead(run, output, planned.notRead, strict)
}

function plannedText({ url, job, name, from, lsn, relations, unchanged, gone, blocks, units }: PlannedJob): string {
  if (job === null) return `${url} is at ${lsn} already: nothing to do, no unit was planned`
  const what = `${counted(relations, 'relation')}, ${thousands(unchanged)} of them unchanged, ${thousands(gone)} gone; ${counted(blocks, 'page')} to write`
  return `job ${name} brings ${url} ${from === null ? '' : `from ${from} `}to ${lsn}: ${what}, in ${counted(units.length, 'unit')} for ltap work; `
    + 'it stays open until ltap commit or ltap job drop'
}
