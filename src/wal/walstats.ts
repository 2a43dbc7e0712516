import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { WalRecord } from './record.ts'
import { RM_MAX_BUILTIN_ID, RM_MAX_CUSTOM_ID, isRmgrValid, rmgrName } from './rmgr.ts'
import { recordKind, recordType } from './text/describe.ts'
import { imagesLength } from './waldump.ts'

const KINDS = 16
const RMGRS = RM_MAX_CUSTOM_ID + 1

/** A line of the statistics; lengths in bytes. */
export interface WalStatsRow {
  /** `Heap`, or `Heap/INSERT+INIT`. */
  type: string
  count: number
  /** Without full-page images. */
  recordLength: number
  imagesLength: number
}

/** Counts records, and prints them as pg_waldump --stats does. */
export class WalStats {
  private readonly counts = new Float64Array(RMGRS * KINDS)
  private readonly recordLengths = new Float64Array(RMGRS * KINDS)
  private readonly imageLengths = new Float64Array(RMGRS * KINDS)
  private readonly major: PgMajor
  private end: WalPosition | undefined

  constructor(major: PgMajor) {
    this.major = major
  }

  add(record: WalRecord): void {
    const index = record.rmgr * KINDS + recordKind(record)
    const images = imagesLength(record)
    this.counts[index]! += 1
    this.recordLengths[index]! += record.length - images
    this.imageLengths[index]! += images
    this.end = record.endLsn
  }

  /** @param perRecord record types that occurred; else all resource managers, of extensions' own those that occurred */
  rows(perRecord: boolean): WalStatsRow[] {
    const rows: WalStatsRow[] = []
    for (let rmgr = 0; rmgr < RMGRS; rmgr++) {
      if (!isRmgrValid(rmgr, this.major)) continue
      if (!perRecord) {
        const row = this.row(rmgrName(rmgr), rmgr * KINDS, KINDS)
        if (rmgr <= RM_MAX_BUILTIN_ID || row.count > 0) rows.push(row)
        continue
      }
      for (let kind = 0; kind < KINDS; kind++) {
        const index = rmgr * KINDS + kind
        if (this.counts[index]! > 0) rows.push(this.row(`${rmgrName(rmgr)}/${recordType(rmgr, kind << 4, this.major)}`, index, 1))
      }
    }
    return rows
  }

  /** XLogDumpDisplayStats. @param start where the first record begins; since 15 nothing is printed without a record */
  text(perRecord: boolean, start: WalPosition | undefined): string {
    if (this.major >= 15 && (this.end === undefined || start === undefined)) return ''
    const rows = this.rows(perRecord)
    const total = sum(rows)
    const heading = this.major >= 15 ? `WAL statistics between ${formatWalPosition(start!)} and ${formatWalPosition(this.end!)}:\n` : ''
    const names = columns('Type', ['N', '(%)', 'Record size', '(%)', 'FPI size', '(%)', 'Combined size', '(%)'])
    const lines = columns('----', ['-', '---', '-----------', '---', '--------', '---', '-------------', '---'])
    const rule = columns('', ['--------', '', '--------', '', '--------', '', '--------'])
    return heading + names + lines + rows.map((row) => rowText(row, total)).join('') + rule + totalText(total)
  }

  private row(type: string, from: number, kinds: number): WalStatsRow {
    const of = (values: Float64Array): number => values.subarray(from, from + kinds).reduce((a, b) => a + b, 0)
    return { type, count: of(this.counts), recordLength: of(this.recordLengths), imagesLength: of(this.imageLengths) }
  }
}

function sum(rows: readonly WalStatsRow[]): WalStatsRow {
  const total = { type: 'Total', count: 0, recordLength: 0, imagesLength: 0 }
  for (const row of rows) {
    total.count += row.count
    total.recordLength += row.recordLength
    total.imagesLength += row.imagesLength
  }
  return total
}

/** Widths: `Transaction/COMMIT_PREPARED`, 2^64, `(100.00%)`. */
function columns(first: string, rest: readonly string[]): string {
  return `${[first.padEnd(27), ...rest.map((text, i) => text.padStart(i % 2 === 0 ? 20 : 8))].join(' ')}\n`
}

function rowText({ type, count, recordLength, imagesLength: images }: WalStatsRow, total: WalStatsRow): string {
  const cells = [
    [count, total.count], [recordLength, total.recordLength], [images, total.imagesLength],
    [recordLength + images, total.recordLength + total.imagesLength],
  ] as const
  return `${type.padEnd(27)} ${cells.map(([part, whole]) => `${String(part).padStart(20)} (${percent(part, whole).padStart(6)})`).join(' ')}\n`
}

function totalText({ count, recordLength, imagesLength: images }: WalStatsRow): string {
  const whole = recordLength + images
  const share = (part: number): string => `[${percent(part, whole)}%]`.padEnd(9)
  const number = (value: number): string => String(value).padStart(20)
  return `${'Total'.padEnd(27)} ${number(count)} ${' '.repeat(9)}${number(recordLength)} ${share(recordLength)}` +
    `${number(images)} ${share(images)}${number(whole)} [100%]\n`
}

/** `%.02f`: C rounds what lies exactly between two hundredths to the even one, toFixed to the larger one. */
function percent(part: number, whole: number): string {
  const value = whole === 0 ? 0 : (100 * part) / whole
  const between = Number.isInteger(value * 8) && !Number.isInteger(value * 4)
  return (between && Math.floor(value * 100) % 2 === 0 ? value - 0.001 : value).toFixed(2)
}
