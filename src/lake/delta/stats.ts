import type { ColumnBounds } from '../../columnar/columnbounds.ts'
import { ByteWriter, dataView } from '../../common/bytes.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { END_NATIVE_DAY, julianDay, POSTGRES_EPOCH_JULIAN, UNIX_TO_POSTGRES_DAYS, writeClock, writeDate } from '../../datum/text/calendar.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import type { PublishedColumn, PublishedFile } from '../publishedtable.ts'

const OWN_COLUMNS: ReadonlySet<string> = new Set(['_ltap', '_overflow'])

/**
 * What `add` says of a file's rows (PROTOCOL.md, Per-file Statistics), as JSON. The bounds are wide for every file: those of strings are cut and those of
 * timestamps are rounded, so that no reader may answer min and max from them. Columns are called by their physical names.
 */
export function deltaStats({ rows, columns: bounds }: PublishedFile, columns: readonly PublishedColumn[]): string {
  const known = new Map(bounds.map((column) => [column.id, column]))
  const user = columns.filter(({ physicalName }) => !OWN_COLUMNS.has(physicalName))
  const ofColumns = (valueOf: ValueOf): string | undefined => members(user, known, valueOf)
  const parts = {
    minValues: ofColumns(({ lower }, type) => lower && valueText(lower, type, 'lower')),
    maxValues: ofColumns(({ upper }, type) => upper && valueText(upper, type, 'upper')),
    nullCount: ofColumns(({ nulls }) => String(nulls)),
  }
  const columnParts = Object.entries(parts).flatMap(([name, text]) => text === undefined ? [] : [`"${name}":${text}`])
  return `{${[`"numRecords":${rows}`, '"tightBounds":false', ...columnParts].join(',')}}`
}

/** JSON of what is known of a column; undefined if it is not known. */
type ValueOf = (bounds: ColumnBounds, type: ColumnType) => string | undefined

/** An object with a member for each column that has a value, and one within it for each struct. */
function members(columns: readonly PublishedColumn[], known: ReadonlyMap<number, ColumnBounds>, valueOf: ValueOf): string | undefined {
  const found = columns.flatMap(({ id, physicalName, type, children }) => {
    const bounds = known.get(id)
    const text = type.kind === 'struct' ? members(children!, known, valueOf) : bounds && valueOf(bounds, type)
    return text === undefined ? [] : [`${JSON.stringify(physicalName)}:${text}`]
  })
  return found.length === 0 ? undefined : `{${found.join(',')}}`
}

/** A bound in Iceberg's single-value serialization as JSON; undefined where readers differ about it, or Delta has no such bounds. */
function valueText(bytes: Uint8Array, type: ColumnType, side: 'lower' | 'upper'): string | undefined {
  const view = dataView(bytes)
  switch (type.kind) {
    case 'int':
      return String(view.getInt32(0, true))
    case 'long':
      return String(view.getBigInt64(0, true))
    case 'float':
      return floatText(view.getFloat32(0, true))
    case 'double':
      return floatText(view.getFloat64(0, true))
    case 'decimal':
      return decimalText(bytes, type.scale)
    case 'date':
      return dateText(view.getInt32(0, true))
    case 'timestamp':
      return timestampText(milliseconds(view.getBigInt64(0, true), side), type.utc ? 'Z' : '')
    case 'string':
      return JSON.stringify(utf8Decode(bytes))
    case 'boolean':
    case 'binary':
    case 'time':
    case 'uuid':
    case 'list':
    case 'map':
    case 'struct':
      return undefined
  }
}

/** JSON has no infinity. */
function floatText(value: number): string | undefined {
  if (Object.is(value, -0)) return '-0.0'
  return Number.isFinite(value) ? String(value) : undefined
}

function decimalText(bytes: Uint8Array, scale: number): string {
  let unscaled = 0n
  for (const byte of bytes) unscaled = (unscaled << 8n) | BigInt(byte)
  unscaled = BigInt.asIntN(bytes.length * 8, unscaled)
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return unscaled < 0n ? `-${text}` : text
}

const DAY_MS = 86_400_000
/** Spark has two calendars before 1582-10-15, and years of more than four digits are read by no two readers alike. Days since 1970. */
const FIRST_DAY = julianDay(1582, 10, 15) - POSTGRES_EPOCH_JULIAN + UNIX_TO_POSTGRES_DAYS
const END_DAY = END_NATIVE_DAY + UNIX_TO_POSTGRES_DAYS

function milliseconds(microseconds: bigint, side: 'lower' | 'upper'): number {
  const above = ((microseconds % 1000n) + 1000n) % 1000n
  return Number((microseconds - above) / 1000n) + (side === 'upper' && above > 0n ? 1 : 0)
}

/** `"2024-02-29"`. @param day since 1970 */
function dateText(day: number): string | undefined {
  const date = isoDate(day)
  return date && `"${date}"`
}

/** `"2024-02-29T12:00:00.123Z"`: Spark wants three digits of the second's fraction. @param ms since 1970 */
function timestampText(ms: number, zone: string): string | undefined {
  const date = isoDate(Math.floor(ms / DAY_MS))
  const ofDay = ms - Math.floor(ms / DAY_MS) * DAY_MS
  const fraction = ofDay % 1000
  return date && `"${date}T${written((out) => writeClock((ofDay - fraction) * 1000, out))}.${String(fraction).padStart(3, '0')}${zone}"`
}

function isoDate(day: number): string | undefined {
  if (day < FIRST_DAY || day >= END_DAY) return undefined
  return written((out) => void writeDate(day - UNIX_TO_POSTGRES_DAYS + POSTGRES_EPOCH_JULIAN, out))
}

function written(write: (out: ByteWriter) => void): string {
  const out = new ByteWriter(16)
  write(out)
  return utf8Decode(out.take())
}
