import type { Command } from 'commander'
import { publishLake, type PublishReport } from '../jobs/publish/publishlake.ts'
import { counted, factLines } from './count.ts'
import { EXIT_NO } from './failure.ts'
import { parseSnapshots } from './options.ts'
import { addPublishOptions, notPublishedLines, publishedFacts, publishOptionsOf, type PublishWish } from './publishoptions.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface PublishVerbOptions extends PublishWish {
  branch?: string
  keepSnapshots?: number
  registration?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'write the Iceberg and Delta metadata of a lake, as ltap transcode does by itself: where the lake was moved, or a run was killed',
  examples: [
    'ltap publish ./lake',
    'ltap publish s3://bucket/moved   # a lake that was copied to another place',
    'ltap publish ./lake --publish iceberg --iceberg-version 3',
    'ltap publish ./lake --keep-snapshots 1   # earlier snapshots go, and with the next gc what they alone need',
    'ltap publish s3://bucket/shop --registration ./payloads   # for aws glue create-table and Unity Catalog',
    'ltap publish ./lake --publish none   # other engines find no tables any more',
  ],
}

/** `ltap publish`. */
export function addPublish(program: Command, run: Run): void {
  addPublishOptions(addVerb(program, 'publish <lake>', TEXT))
    .option('--branch <name>', 'tables of this branch (default: main)')
    .option('--keep-snapshots <count>',
      'how many snapshots of a table stay readable, of the last 24 hours, from now on (default: as before, at first 100)', parseSnapshots)
    .option('--registration <dir>', 'write a file for each table that registers it in AWS Glue (Iceberg) or Unity Catalog (Delta)')
    .action(async (lake: string, { branch, publish, icebergVersion, keepSnapshots, registration, ...options }: PublishVerbOptions) => {
      const output = begin(run, options)
      const wish = publishOptionsOf({ ...(publish && { publish }), ...(icebergVersion && { icebergVersion }) })
      const started = performance.now()
      const window = keepSnapshots === undefined ? {} : { window: { snapshots: keepSnapshots } }
      const report = await publishLake({ lake, ...(branch !== undefined && { branch }), ...wish, ...window, ...(registration && { registration }) })
      const seconds = (performance.now() - started) / 1000
      if (report.left.length > 0) run.exitCode = EXIT_NO
      await output.result({ ...report, seconds }, () => reportText(report, seconds) + keptText(keepSnapshots))
    })
}

/** Later runs of any verb do as this one: nobody is to learn it from snapshots that are gone. */
function keptText(keepSnapshots: number | undefined): string {
  if (keepSnapshots === undefined) return ''
  return `from now on ${counted(keepSnapshots, 'snapshot')} of each table stay readable, whatever publishes it; --keep-snapshots 100 is the default\n`
}

function reportText(report: PublishReport, seconds: number): string {
  const { url, lsn, tables, registered } = report
  const written: [string, string][] = registered === 0 ? [] : [['registration', `${counted(registered, 'file')} written`]]
  const publication = { published: report, publishProblem: null }
  return [
    tables === 0 ? `${url} at ${lsn}: every table is published already\n` : `${url} at ${lsn}: ${counted(tables, 'table')} published\n`,
    factLines([...publishedFacts(publication), ...written, ['time', `${seconds.toFixed(1)} s`]]),
    ...notPublishedLines(publication),
  ].join('')
}
