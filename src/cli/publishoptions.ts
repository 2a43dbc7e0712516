import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Publication, PublishOptions } from '../jobs/publish/publishnewest.ts'
import { FORMAT_NAMES, type FormatName } from '../lake/publishedentry.ts'
import { counted, listed, megabytes, thousands } from './count.ts'
import type { Output } from './output.ts'

/** What commander makes of them. */
export interface PublishWish {
  publish?: readonly FormatName[]
  icebergVersion?: '2' | '3'
}

const LISTED_MAX = 20

/** How tables are shown to other engines. */
export function addPublishOptions(command: Command): Command {
  return command
    .option('--publish <formats>',
      'formats in which other engines find the tables: iceberg,delta or one of them, or none (default: as before, at first all)', parseFormats)
    .addOption(new Option('--iceberg-version <version>',
      '2: with position delete files, which every reader takes; 3: with deletion vectors, for newer ones (default: as before, at first 2)').choices(['2', '3']))
}

export function publishOptionsOf({ publish, icebergVersion }: PublishWish): PublishOptions {
  return { ...(publish && { formats: publish }), ...(icebergVersion && { icebergVersion: Number(icebergVersion) as 2 | 3 }) }
}

function parseFormats(text: string): readonly FormatName[] {
  if (text === 'none') return []
  const names = text.split(',').map((name) => name.trim().toLowerCase())
  const wrong = names.find((name) => !FORMAT_NAMES.includes(name as FormatName))
  if (wrong !== undefined) throw new InvalidArgumentError(`${JSON.stringify(wrong)} is no format: write iceberg, delta, iceberg,delta or none.`)
  return FORMAT_NAMES.filter((name) => names.includes(name))
}

/** Nothing where no table was published. */
export function publishedFacts({ published: { tables, unchanged, gone, packed, bytes, remade } }: Publication): [string, string][] {
  if (tables + unchanged + gone + packed === 0) return []
  const gones = gone === 0 ? '' : `, ${thousands(gone)} no longer there`
  const others = `${thousands(unchanged)} unchanged${gones}${packed === 0 ? '' : `, ${thousands(packed)} not, in packs`}`
  const again = remade === 0 ? '' : `; ${counted(remade, 'deleted file')} made again`
  return [['published', `${counted(tables, 'table')}, ${others}; ${megabytes(bytes)} of metadata${again}`]]
}

/** Tables that other engines do not see as they are. */
export function notPublishedLines({ published: { left, restarted } }: Publication): string[] {
  return [
    ...listed('earlier snapshots are gone, their objects were deleted', restarted, LISTED_MAX),
    ...notPublished(left),
  ]
}

function notPublished(left: Publication['published']['left']): string[] {
  return listed('not published', left.map(({ table, reason }) => `${table}: ${reason}`), LISTED_MAX)
}

/** Tells what to do about a publication that failed behind a commit. @param lake as the user named it */
export function notePublishProblem(output: Output, { publishProblem }: Publication, lake: string): void {
  if (publishProblem === null) return
  output.notice(`tables were not published: ${publishProblem}; the lake itself is whole, ltap publish ${lake} does the rest`)
}
