import { createHash } from 'node:crypto'
import { parseLsn } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { LakeSummary, NamedState } from '../../jobs/inspect/lakesummary.ts'
import type { LayeredTable } from '../../jobs/inspect/layeredtable.ts'
import { lakeRelationName } from '../../jobs/lake.ts'
import { counted, fileSize, thousands } from '../count.ts'
import { costText, dollarsText, madeText, pricesText, shareText, useText } from '../laketext.ts'
import { stateText } from '../statetext.ts'
import { type Bar, barChart, dotChart, legend } from './charts.ts'
import { type Markup, markup } from './markup.ts'
import { STYLE } from './style.ts'

/** How every page begins: a file that does not is not written over. */
export const PAGE_START = '<!doctype html>\n<!-- ltap inspect lake -->\n'

/** Rows of one chart, tables whose columns are shown, and columns of one of them. */
const TABLES_MAX = 30
const STATES_MAX = 40
const COLUMN_TABLES_MAX = 12
const COLUMNS_MAX = 40
const LISTED_MAX = 100

/** A page for a browser, complete in itself: it asks for nothing, runs nothing, and its style is the one whose hash it allows. */
export function lakePage(summary: LakeSummary): string {
  const { tables, url } = summary
  const user = tables.filter(({ rowsNotShown }) => rowsNotShown !== null)
  const hash = createHash('sha256').update(STYLE).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
  const page = markup`<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ltap: ${url}</title>
<style>`
  const body = markup`</style>
</head>
<body>
<h1>${url}</h1>
${facts(summary)}${problems(summary)}
<h2>Commits</h2>
${commits(summary)}
<h2>Layers over LSN</h2>
${layers(summary, user)}
<h2>Sizes</h2>
${sizes(tables, user)}
<h2>Compression by column</h2>
${columns(summary, user)}
<h2>Lanes</h2>
${lanes(user)}
<h2>Rows that are not shown</h2>
${notShown(user)}
</body>
</html>
`
  return `${PAGE_START}${page.text}${STYLE}${body.text}`
}

function facts(summary: LakeSummary): Markup {
  const { systemIdentifier, major, branch, timeline, states, tables, store, materialized } = summary
  const left = store.orphans === null ? 'not known' : `${counted(store.orphans.objects, 'object')}, ${fileSize(store.orphans.bytes)}`
  const newest = states.at(-1)
  const rows: (readonly [string, string])[] = [
    ['cluster', `Postgres ${major}, system identifier ${systemIdentifier}`],
    ['branch', `${branch}, on timeline ${timeline}`],
    ['newest state', newest === undefined ? `LSN ${materialized}` : `${newest.sequence}: ${stateText(newest)}`],
    ['states', `${thousands(states.length)} retained`],
    ['relations', `${thousands(tables.length)}, with ${thousands(sum(tables, ({ layers: count }) => count))} layers`],
    ['objects', `${thousands(store.objects)}, ${fileSize(store.bytes)}`],
    ['orphans', left],
    ...named('branches', summary.branches), ...named('tags', summary.tags), ...named('leases', summary.leases), ...named('open jobs', summary.jobs),
    ['cost', costText(summary)],
    ['prices', pricesText(summary)],
  ]
  return markup`<dl>${rows.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>\n`)}</dl>\n`
}

function named(kind: string, states: readonly NamedState[]): [string, string][] {
  if (states.length === 0) return []
  const shown = states.slice(0, LISTED_MAX).map((state) => `${state.name} (LSN ${state.lsn})`)
  return [[kind, `${shown.join(', ')}${states.length > shown.length ? ` and ${thousands(states.length - shown.length)} more` : ''}`]]
}

function problems({ store: { missing, damaged } }: LakeSummary): Markup {
  const lines = [...missing.map((key) => `missing: ${key}`), ...damaged]
  if (lines.length === 0) return markup``
  return markup`<ul class="wrong">${lines.slice(0, LISTED_MAX).map((line) => markup`<li>${line}</li>\n`)}</ul>${more(lines.length - LISTED_MAX, 'problem')}`
}

function commits(summary: LakeSummary): Markup {
  const { states } = summary
  const bars = states.slice(-STATES_MAX).map((state): Bar => ({
    label: `${state.sequence}: LSN ${state.lsn}${madeText(state, states)}`, over: [[state.made?.bytesUp ?? 0, 'a'], [state.made?.bytesDown ?? 0, 'b']],
    text: state.dollars === null ? 'not recorded' : `${fileSize(state.made!.bytesUp)}, ${requests(state.made!.requests)}, ${dollarsText(state.dollars)}`,
  }))
  const last = states.at(-1)
  return markup`<p>What each commit asked of the store until it wrote HEAD. Of the newest one: ${last === undefined ? 'nothing' : useText(last)}.</p>
${legend(['a', 'bytes written'], ['b', 'bytes read'])}${barChart('bytes of each commit', bars)}${more(states.length - STATES_MAX, 'older state')}`
}

function requests(kinds: Readonly<Partial<Record<string, number>>>): string {
  return counted(Object.values(kinds).reduce<number>((total, count = 0) => total + count, 0), 'request')
}

/** Each layer of a table at its LSN, from the lowest to the highest LSN of the states and of these layers. */
function layers({ states }: LakeSummary, user: readonly LayeredTable[]): Markup {
  const shown = user.filter(({ layerList }) => layerList.length > 0).slice(0, TABLES_MAX)
  const lsns = [...states.map(({ lsn }) => lsn), ...shown.flatMap(({ layerList }) => layerList.map(({ lsn }) => lsn))].map((lsn) => parseLsn(lsn) ?? 0n)
  if (lsns.length === 0 || shown.length === 0) return none('tables')
  const first = lsns.reduce((a, b) => (b < a ? b : a))
  const last = lsns.reduce((a, b) => (b > a ? b : a))
  const place = (lsn: string): number => (last === first ? 0.5 : Number((parseLsn(lsn) ?? first) - first) / Number(last - first))
  const largest = Math.max(1, ...shown.flatMap(({ layerList }) => layerList.map(({ bytes }) => bytes)))
  const rows = shown.map((table) => ({
    label: lakeRelationName(table), text: counted(table.layerList.length, 'layer'),
    dots: table.layerList.map(({ lsn, bytes, blocks, files, packed }) => ({
      at: place(lsn), size: bytes / largest, color: packed > 0 ? 'b' as const : 'a' as const,
      title: `${lakeRelationName(table)}, LSN ${lsn}: ${counted(blocks, 'page')} in ${counted(files, 'file')}, ${fileSize(bytes)}`,
    })),
  }))
  const lines = states.slice(-STATES_MAX).map(({ lsn }) => place(lsn))
  const name = (lsn: bigint): string => [...states, ...shown.flatMap(({ layerList }) => layerList)].find((one) => parseLsn(one.lsn) === lsn)!.lsn
  return markup`<p>Each dot is a layer: the pages of a table that changed up to that LSN. Its area is the bytes that are stored; lines are states. A merge makes
several layers one.</p>
${legend(['a', 'Parquet files'], ['b', 'pages in packs'])}${dotChart('layers of each table over LSN', rows, lines, [name(first), name(last)])}${
  more(user.length - shown.length, 'table')}`
}

function sizes(tables: readonly LayeredTable[], user: readonly LayeredTable[]): Markup {
  const bar = (label: string, heap: number, bytes: number): Bar => ({
    label, over: [[heap, 'back'], [bytes, 'a']],
    text: ofText(bytes, heap),
  })
  const heapOf = ({ blocks }: LayeredTable): number => blocks * BLOCK_SIZE
  const bars = user.slice(0, TABLES_MAX).map((table) => bar(lakeRelationName(table), heapOf(table), table.bytes))
  const others = tables.filter(({ rowsNotShown }) => rowsNotShown === null)
  if (others.length > 0) bars.push(bar('catalogs, TOAST, sequences', sum(others, heapOf), sum(others, ({ bytes }) => bytes)))
  return markup`<p>Bytes that all layers of a table take in the store, beside the pages of its heap at the newest state. Older layers are in it, so that a table
that changes much may have more than its heap.</p>
${legend(['a', 'stored, with all layers'], ['back', 'heap pages'])}${barChart('sizes of tables', bars)}${more(user.length - TABLES_MAX, 'table')}`
}

function columns({ columnFilesLeft }: LakeSummary, user: readonly LayeredTable[]): Markup {
  const known = user.filter((table) => table.columns !== null)
  const packed = user.filter((table) => table.columns === null && table.currentFiles > 0)
  const shown = known.slice(0, COLUMN_TABLES_MAX).map((table) => {
    const list = table.columns!
    const bars = list.slice(0, COLUMNS_MAX).map(({ name, encoded, compressed }): Bar => ({
      label: name, over: [[encoded, 'back'], [compressed, 'a']], text: ofText(compressed, encoded),
    }))
    return markup`<h3>${lakeRelationName(table)}</h3>\n${barChart(`columns of ${lakeRelationName(table)}`, bars)}${more(list.length - COLUMNS_MAX, 'column')}`
  })
  const lacking = packed.length === 0 ? markup`` : markup`<p>Not known of ${counted(packed.length, 'table')}: pages in packs are compressed whole${
    columnFilesLeft === 0 ? '' : `, and footers of ${thousands(columnFilesLeft)} files were left out`}.</p>\n`
  return markup`<p>By the footers of the files with current pages: bytes of a column's Parquet pages before and after compression. Encoding comes before that: a
dictionary makes few bytes of many equal values, and how many bytes the values had in the heap is not known by column. <code>_ltap</code> is what forms the
heap pages again, <code>_overflow</code> values that a column's type cannot hold.</p>
${legend(['back', 'encoded'], ['a', 'compressed'])}${shown.length === 0 ? none('columns') : shown}${more(known.length - COLUMN_TABLES_MAX, 'table')}${lacking}`
}

function lanes(user: readonly LayeredTable[]): Markup {
  const bars = user.slice(0, TABLES_MAX).map((table): Bar => {
    const { native = 0, text = 0, raw = 0, tupleLane = 0, pageImages = 0 } = table.lanes
    const all = native + text + raw
    const share = (value: number): number => (all === 0 ? 0 : value / all)
    const whole = tupleLane + pageImages === 0 ? '' : `; whole: ${counted(tupleLane, 'tuple')}, ${counted(pageImages, 'page')}`
    return {
      label: lakeRelationName(table), parts: [[share(native), 'a'], [share(text), 'b'], [share(raw), 'c']],
      text: `${thousands(native)}, ${thousands(text)}, ${thousands(raw)}${whole}`,
    }
  })
  if (bars.length === 0) return none('tables')
  return markup`<p>How values that are not NULL travelled: in a column of their own type, as text in <code>_overflow</code>, or as raw bytes; a value may be
in both of these. What forms no value, such as a damaged tuple or page, is carried whole.</p>
${legend(['a', 'native'], ['b', 'text'], ['c', 'raw'])}${barChart('lanes of values', bars, 1)}${more(user.length - TABLES_MAX, 'table')}`
}

function notShown(user: readonly LayeredTable[]): Markup {
  const bars = user.slice(0, TABLES_MAX).map((table): Bar => {
    const { rows, rowsNotShown } = table
    const hidden = rowsNotShown ?? 0
    return {
      label: lakeRelationName(table), over: [[rows === 0 ? 0 : 1, 'back'], [rows === 0 ? 0 : hidden / rows, 'c']],
      text: rows === 0 ? 'no rows' : `${shareText(hidden, rows)}: ${thousands(hidden)} of ${thousands(rows)}`,
    }
  })
  if (bars.length === 0) return none('tables')
  return markup`<p>Rows of all layers that no reader of the newest state sees: deleted or replaced ones, those of pages that a newer layer has again, and
what forms a page without being a row. A merge and VACUUM in the source make them fewer.</p>
${legend(['c', 'not shown'], ['back', 'all rows of the files'])}${barChart('rows that are not shown', bars, 1)}${more(user.length - TABLES_MAX, 'table')}`
}

/** `34 kB of 120 kB (28 %)`. */
function ofText(part: number, whole: number): string {
  return `${bytesText(part)} of ${bytesText(whole)} (${shareText(part, whole)})`
}

/** Small columns differ by less than a kilobyte. */
function bytesText(bytes: number): string {
  return bytes < 10_000 ? `${thousands(bytes)} B` : fileSize(bytes)
}

function none(what: string): Markup {
  return markup`<p>There are no ${what} to show.</p>\n`
}

function more(count: number, noun: string): Markup {
  return count > 0 ? markup`<p>And ${counted(count, noun)} more: <code>ltap inspect lake --json</code> has them.</p>\n` : markup``
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
