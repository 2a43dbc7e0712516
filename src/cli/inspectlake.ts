import type { Command } from 'commander'
import { type LakeSummary, type LayeredTable, type NamedState, summarizeLake } from '../jobs/inspect/lakesummary.ts'
import type { StateSummary } from '../jobs/lakes/statesummary.ts'
import { lakeRelationName } from '../jobs/lake.ts'
import { counted, factLines, fileSize, listed, megabytes, thousands } from './count.ts'
import { stateText } from './statetext.ts'
import { addVerb, begin, type Run } from './verb.ts'

const TEXT = {
  summary: 'show a lake: its states, branches and tags, layers and sizes by table, orphans, and what reading it cost',
  examples: ['ltap inspect lake ./lake', `ltap inspect lake s3://bucket/lake --json | jq '.tables[] | select(.layers > 10)'`],
}

interface InspectLakeOptions {
  branch?: string
  json?: boolean
  verbose?: boolean
}

const SHOWN = 20

/** `ltap inspect lake`. */
export function addInspectLake(inspect: Command, run: Run): void {
  addVerb(inspect, 'lake <lake>', TEXT).option('--branch <name>', 'the branch (default: main)').action(async (place: string, options: InspectLakeOptions) => {
    const output = begin(run, options)
    const summary = await summarizeLake(place, options.branch)
    await output.result(summary, () => summaryText(summary))
  })
}

function summaryText(summary: LakeSummary): string {
  const { url, systemIdentifier, major, branch, states, tables, store } = summary
  const inFiles = tables.filter(({ rowsNotShown }) => rowsNotShown !== null)
  const left = store.orphans === null ? 'orphans are not known' : `${counted(store.orphans.objects, 'orphan')}, ${megabytes(store.orphans.bytes)}`
  const registered = [...namedLines('branch', summary.branches), ...namedLines('tag', summary.tags), ...namedLines('lease', summary.leases)]
  return [
    `Postgres ${major}, system ${systemIdentifier}, in ${url}\n`,
    factLines([
      ['branch', branch],
      ['states', `${counted(states.length, 'state')} retained`],
      ['tables', `${counted(tables.length, 'relation')}, ${thousands(sum(tables, ({ layers }) => layers))} layers, ` +
        `${counted(sum(tables, ({ files }) => files), 'file')}, ${megabytes(sum(tables, ({ bytes }) => bytes))}`],
      ['store', `${counted(store.objects, 'object')}, ${megabytes(store.bytes)}; ${left}`],
      ['jobs', counted(summary.jobs.length, 'open job')],
    ]),
    ...listed('missing', store.missing, SHOWN),
    ...listed('damaged', store.damaged, SHOWN),
    ...states.slice(-SHOWN).map((state) => `state ${numberedText(state)}\n`),
    ...(states.length > SHOWN ? [`and ${counted(states.length - SHOWN, 'older state')}\n`] : []),
    ...registered,
    ...listed('table', inFiles.map(tableText), SHOWN),
    ...(inFiles.length < tables.length ? [`${counted(tables.length - inFiles.length, 'relation')} in packs: not listed, --json has them\n`] : []),
    internalsText(summary),
  ].join('')
}

/** How the lake is kept, and what this run asked of its store. */
function internalsText({ profile, cas, epoch, published, archived, run }: LakeSummary): string {
  const requests = Object.entries(run.requests).filter(([, count]) => count > 0).map(([kind, count]) => `${thousands(count)} ${kind}`).join(', ')
  const told = Object.entries({ published, archived }).filter(([, lsn]) => lsn !== null)
  return factLines([
    ['format', `2, types ${profile}, HEAD by ${cas}, epoch ${epoch}`],
    ...told.map(([what, lsn]) => [what, `up to ${lsn}`] as const),
    ['this run', `${requests}; ${megabytes(run.bytesDown)} read, ${thousands(run.retries)} tried again`],
  ])
}

function namedLines(kind: string, states: readonly NamedState[]): string[] {
  return listed(kind, states.map((state) => `${state.name}: state ${numberedText(state)}`), SHOWN)
}

function numberedText(state: StateSummary): string {
  return `${state.sequence}: ${stateText(state)}`
}

function tableText(table: LayeredTable): string {
  const { blocks, layers, files, currentFiles, bytes, rows, rowsNotShown } = table
  const share = rows === 0 ? '' : `, ${Math.round(((rowsNotShown ?? 0) / rows) * 100)} % of ${counted(rows, 'row')} not shown`
  const kept = `${counted(layers, 'layer')} in ${counted(files, 'file')}, ${thousands(currentFiles)} with current pages`
  return `${lakeRelationName(table)}: ${counted(blocks, 'page')}, ${kept}, ${fileSize(bytes)}${share}`
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
