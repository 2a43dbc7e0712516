import type { Comparison } from './measure.ts'

/** Ours beside a peer, over the same table in the same run. */
export interface SpeedResult extends Comparison {
  kind: 'speed'
  bench: string
  table: string
  variant: string
  peerName: string
  heapBytes: number
  /** The ratio that is aimed at, where there is an aim; README shows it. */
  wanted?: number
  hash: string
}

export interface SizeResult {
  kind: 'size'
  bench: string
  table: string
  variant: string
  heapBytes: number
  fileBytes: number
  rows: number
  /** Share of `_ltap` and `_overflow` column chunks in the files. */
  physicalShare: number
  physicalBytes: number
  wanted?: number
  hash: string
}

/** Milliseconds of many requests. */
export interface Latency {
  p50: number
  p99: number
  max: number
}

/** Requests to a service beside a peer's way to the same answer. */
export interface LatencyResult {
  kind: 'latency'
  bench: string
  table: string
  variant: string
  peerName: string
  ours: Latency
  peer: Latency
  /** The p99 that is aimed at. */
  wanted: number
  hash: string
}

/** What something takes besides time, beside a floor or a limit. */
export interface CostResult {
  kind: 'cost'
  bench: string
  table: string
  variant: string
  unit: string
  ours: number
  peerName: string
  peer: number
  /** The greatest ratio of ours to the peer that is aimed at, where there is an aim. */
  wanted?: number
  hash: string
}

export type Result = SpeedResult | SizeResult | LatencyResult | CostResult

/** A benchmark process hands its results to main as lines on stdout; all else it says goes to stderr. */
export function printResult(result: Result): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

export function formatResults(results: readonly Result[]): string {
  const speeds = results.filter((result) => result.kind === 'speed')
  const sizes = results.filter((result) => result.kind === 'size')
  const tables: string[] = []
  if (speeds.length > 0) tables.push(formatTable(SPEED_HEAD, speeds.map(speedCells)))
  if (sizes.length > 0) tables.push(formatTable(SIZE_HEAD, sizes.map(sizeCells)))
  const latencies = results.filter((result) => result.kind === 'latency')
  if (latencies.length > 0) tables.push(formatTable(LATENCY_HEAD, latencies.map(latencyCells)))
  const costs = results.filter((result) => result.kind === 'cost')
  if (costs.length > 0) tables.push(formatTable(COST_HEAD, costs.map(costCells)))
  return tables.join('\n\n')
}

const SPEED_HEAD = ['bench', 'table', 'variant', 'heap MB', 'ms median (min to max)', 'MB/s', 'peer', 'peer ms', 'x peer (min to max)', 'wanted', 'hash']
const SIZE_HEAD = ['bench', 'table', 'variant', 'heap MB', 'file MB', 'heap/file', 'B/row', '_ltap + _overflow', 'B/row', 'wanted', 'hash']

const COST_HEAD = ['bench', 'table', 'variant', 'unit', 'ours', 'beside', 'its', 'ratio', 'wanted', 'hash']

function costCells({ bench, table, variant, unit, ours, peerName, peer, wanted, hash }: CostResult): string[] {
  return [bench, table, variant, unit, String(ours), peerName, String(peer), (ours / peer).toFixed(3), wanted === undefined ? '' : `<= ${wanted}`, hash]
}

const LATENCY_HEAD = ['bench', 'table', 'variant', 'ms p50', 'p99', 'max', 'peer', 'peer ms p50', 'p99', 'wanted p99', 'hash']

function latencyCells({ bench, table, variant, ours, peer, peerName, wanted, hash }: LatencyResult): string[] {
  const texts = [ours.p50, ours.p99, ours.max].map((ms) => ms.toFixed(1))
  return [bench, table, variant, ...texts, peerName, peer.p50.toFixed(1), peer.p99.toFixed(1), `< ${wanted}`, hash]
}

function speedCells(result: SpeedResult): string[] {
  const { bench, table, variant, heapBytes, ours, peer, peerName, ratio, ratioMin, ratioMax, wanted, hash } = result
  const range = ({ medianMs, minMs, maxMs }: SpeedResult['ours']): string => `${medianMs.toFixed(0)} (${minMs.toFixed(0)} to ${maxMs.toFixed(0)})`
  return [
    bench, table, variant, megabytes(heapBytes), range(ours), (heapBytes / 1e3 / ours.medianMs).toFixed(0), peerName, range(peer),
    `${ratio.toFixed(2)} (${ratioMin.toFixed(2)} to ${ratioMax.toFixed(2)})`, wanted === undefined ? '' : `>= ${wanted}`, hash,
  ]
}

function sizeCells(result: SizeResult): string[] {
  const { bench, table, variant, heapBytes, fileBytes, rows, physicalShare, physicalBytes, wanted, hash } = result
  return [
    bench, table, variant, megabytes(heapBytes), megabytes(fileBytes), (heapBytes / fileBytes).toFixed(2), (fileBytes / rows).toFixed(2),
    `${(physicalShare * 100).toFixed(2)} %`, (physicalBytes / rows).toFixed(3), wanted === undefined ? '' : `<= ${wanted * 100} %`, hash,
  ]
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

function formatTable(head: readonly string[], rows: readonly string[][]): string {
  const widths = head.map((text, column) => Math.max(text.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string => cells.map((text, column) => text.padEnd(widths[column]!)).join('  ').trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
