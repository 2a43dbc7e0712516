import type { CommitSummary, LakeSummary, NamedState } from '../jobs/inspect/lakesummary.ts'
import type { LayeredTable } from '../jobs/inspect/layeredtable.ts'
import { S3_STANDARD } from '../jobs/inspect/requestprices.ts'
import type { StateSummary } from '../jobs/lakes/statesummary.ts'
import { lakeRelationName } from '../jobs/lake.ts'
import { counted, factLines, fileSize, listed, thousands } from './count.ts'
import { stateText } from './statetext.ts'

const SHOWN = 20

/** What `ltap inspect lake` prints. @param internals with what only those ask for who work on ltap or on the store */
export function lakeText(summary: LakeSummary, internals: boolean): string {
  const { url, systemIdentifier, major, branch, timeline, states, tables, store } = summary
  const inFiles = tables.filter(({ rowsNotShown }) => rowsNotShown !== null)
  const left = store.orphans === null ? 'orphans are not known' : `${counted(store.orphans.objects, 'orphan')}, ${fileSize(store.orphans.bytes)}`
  const registered = [...namedLines('branch', summary.branches), ...namedLines('tag', summary.tags), ...namedLines('lease', summary.leases)]
  return [
    `Postgres ${major}, system ${systemIdentifier}, in ${url}\n`,
    factLines([
      ['branch', `${branch}, on timeline ${timeline}`],
      ['states', `${counted(states.length, 'state')} retained, ${lsnsText(states)}`],
      ['tables', `${counted(tables.length, 'relation')}, ${thousands(sum(tables, ({ layers }) => layers))} layers, ` +
        `${counted(sum(tables, ({ files }) => files), 'file')}, ${fileSize(sum(tables, ({ bytes }) => bytes))}`],
      ['store', `${counted(store.objects, 'object')}, ${fileSize(store.bytes)}; ${left}`],
      ['jobs', counted(summary.jobs.length, 'open job')],
      ['cost', costText(summary)],
      ['prices', pricesText(summary)],
    ]),
    ...listed('missing', store.missing, SHOWN),
    ...listed('damaged', store.damaged, SHOWN),
    ...states.slice(-SHOWN).map((state) => `state ${commitText(state, states)}\n`),
    ...(states.length > SHOWN ? [`and ${counted(states.length - SHOWN, 'older state')}: --json has them\n`] : []),
    ...registered,
    ...listed('table', inFiles.map(tableText), SHOWN),
    othersText(tables.length - inFiles.length),
    ...(internals ? [internalsText(summary)] : []),
  ].join('')
}

function othersText(count: number): string {
  if (count === 0) return ''
  return `${counted(count, 'catalog, TOAST relation or sequence', 'catalogs, TOAST relations and sequences')}: not listed, --json has them\n`
}

/** `0.000061 USD`: two digits that count. */
export function dollarsText(dollars: number): string {
  if (dollars === 0 || dollars >= 1) return `${dollars.toFixed(2)} USD`
  return `${dollars.toFixed(Math.min(12, 1 - Math.floor(Math.log10(dollars))))} USD`
}

/** `12 put, 3 get; 1.2 MB up, 4 kB down`. */
export function useText({ made }: CommitSummary): string {
  if (made === null) return 'requests were not recorded'
  const requests = Object.entries(made.requests).map(([kind, count]) => `${thousands(count)} ${kind}`)
  return `${requests.join(', ') || 'no request'}; ${fileSize(made.bytesUp)} up, ${fileSize(made.bytesDown)} down`
}

/** What a state is, if not what a materialization made: ` (merge)`. @param states those that are retained */
export function madeText({ sequence, lsn, made }: CommitSummary, states: readonly CommitSummary[]): string {
  if (made !== null) return made.kind === 'layers' ? '' : ` (${made.kind})`
  const before = states.findLast((other) => other.sequence < sequence)
  return before?.lsn === lsn ? ' (merge)' : ''
}

/** By which prices dollars were counted. */
export function pricesText({ prices: { put, get, storage } }: LakeSummary): string {
  const isStandard = put === S3_STANDARD.put && get === S3_STANDARD.get && storage === S3_STANDARD.storage
  return `${put} USD for 1,000 PUT or LIST, ${get} USD for 1,000 GET or HEAD, ${storage} USD for a GB and month${isStandard ? ' (S3 Standard, us-east-1)' : ''}`
}

/** What the commits and a month of the store cost. */
export function costText({ states, monthlyDollars, url }: LakeSummary): string {
  const known = states.filter(({ dollars }) => dollars !== null)
  const where = /^[a-z0-9]+:\/\//.test(url) ? '' : '; a folder has no such costs, this is what they would be on S3'
  return `${dollarsText(sum(known, ({ dollars }) => dollars!))} for requests of ${counted(known.length, 'commit')}, `
    + `${dollarsText(monthlyDollars)} a month for what is stored${where}`
}

function lsnsText(states: readonly CommitSummary[]): string {
  const [first, last] = [states[0], states.at(-1)]
  if (first === undefined || last === undefined) return 'none yet'
  return first.lsn === last.lsn ? `at LSN ${last.lsn}` : `from LSN ${first.lsn} to ${last.lsn}`
}

function commitText(state: CommitSummary, states: readonly CommitSummary[]): string {
  const cost = state.dollars === null ? '' : `, ${dollarsText(state.dollars)}`
  return `${numberedText(state)}${madeText(state, states)}: ${useText(state)}${cost}`
}

/** How the lake is kept, and what this run asked of its store. */
function internalsText({ profile, cas, epoch, published, archived, run }: LakeSummary): string {
  const requests = Object.entries(run.requests).filter(([, count]) => count > 0).map(([kind, count]) => `${thousands(count)} ${kind}`).join(', ')
  const told = Object.entries({ published, archived }).filter(([, lsn]) => lsn !== null)
  return factLines([
    ['format', `2, types ${profile}, HEAD by ${cas}, epoch ${epoch}`],
    ...told.map(([what, lsn]) => [what, `up to ${lsn}`] as const),
    ['this run', `${requests}; ${fileSize(run.bytesDown)} read, ${thousands(run.retries)} tried again`],
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
  const share = rows === 0 ? '' : `, ${shareText(rowsNotShown ?? 0, rows)} of ${counted(rows, 'row')} not shown`
  const kept = `${counted(layers, 'layer')} in ${counted(files, 'file')}, ${thousands(currentFiles)} with current pages`
  return `${lakeRelationName(table)}: ${counted(blocks, 'page')}, ${kept}, ${fileSize(bytes)}${share}`
}

/** `12 %`; what is not nothing is not 0 %. */
export function shareText(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (part / whole) * 100
  return percent > 0 && percent < 1 ? 'under 1 %' : `${Math.round(percent)} %`
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
