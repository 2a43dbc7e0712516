import type { DuckDBValue } from '@duckdb/node-api'
import { CorruptionError } from '../../common/errors.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import type { Moment } from '../../history/versionlife.ts'
import { freeName } from '../../lake/layeredviews.ts'
import { dayOfMicros, isoText, timestampText } from '../query/duckvalue.ts'
import type { PlainKind } from '../query/resultcolumns.ts'
import type { HistoryRow, TableHistory } from './tablehistory.ts'

/** A column of the files that row versions are written to. */
export interface HistoryColumn {
  readonly name: string
  readonly kind: PlainKind
  readonly valueOf: (row: HistoryRow) => DuckDBValue
}

/** bool, int8, int2, int4, oid, float4, float8 (pg_type.dat): their text is a number or a truth value of Parquet. Any other type is Postgres's own text. */
const KINDS: ReadonlyMap<number, PlainKind> = new Map([
  [16, 'boolean'], [20, 'long'], [21, 'int'], [23, 'int'], [26, 'long'], [700, 'float'], [701, 'double'],
])

const parsers: Record<PlainKind, (text: string) => DuckDBValue> = {
  boolean: (text) => text === 't', int: Number, long: BigInt, float: Number, double: Number, string: (text) => text,
  timestamptz: () => { throw new Error('no column of a table is of this kind') },
}

/** Columns of a table's history: those of the table under their names, then what is known of each version. */
export function historyColumns({ columns, types, range }: Pick<TableHistory, 'columns' | 'types' | 'range'>): HistoryColumn[] {
  const taken = [...columns]
  const own = (name: string, kind: PlainKind, valueOf: HistoryColumn['valueOf']): HistoryColumn => {
    const free = freeName(name, taken)
    taken.push(free)
    return { name: free, kind, valueOf }
  }
  const values = columns.map((name, i): HistoryColumn => {
    const kind = KINDS.get(types[i]!) ?? 'string'
    return { name, kind, valueOf: ({ values: texts, problem }) => typedValue(texts[i], kind, problem) }
  })
  const bounds = (prefix: 'from' | 'to', time: string): HistoryColumn[] => [
    own(`${prefix}_lsn`, 'long', (row) => lsnOf(row[prefix])), own(time, 'timestamptz', (row) => timeOf(row[prefix])),
    own(`${prefix}_after`, 'long', () => null), own(`${prefix}_upto`, 'long', (row) => (row[prefix] === 'before' ? BigInt(range.from) : null)),
  ]
  return [
    ...values, own('xmin', 'long', ({ xmin }) => BigInt(xmin)), own('xmax', 'string', ({ xmax }) => xmax), own('state', 'string', ({ state }) => state),
    ...bounds('from', 'valid_from'), ...bounds('to', 'valid_to'),
    own('file', 'long', ({ file }) => BigInt(file)), own('block', 'long', ({ block }) => BigInt(block)), own('offset', 'int', ({ offset }) => offset),
    own('dangling', 'string', ({ dangling }) => (dangling.length === 0 ? null : JSON.stringify(dangling))),
    own('problem', 'string', ({ problem }) => problem ?? null), own('raw', 'string', ({ raw }) => raw ?? null),
  ]
}

/** Bytes in place of a value, `\x…`, are no value of a typed column: the row then has a problem, and its raw tuple. */
function typedValue(text: string | undefined, kind: PlainKind, problem: string | undefined): DuckDBValue {
  if (text === undefined) return null
  if (kind !== 'string' && text.startsWith('\\x')) {
    if (problem !== undefined) return null
    throw new CorruptionError('history.value', `a value is shown as the bytes ${text}, and its row says no problem`)
  }
  return parsers[kind](text)
}

function lsnOf(moment: Moment | undefined): bigint | null {
  return moment === undefined || moment === 'before' ? null : BigInt(moment.lsn)
}

const EPOCH_MICROS = BigInt(POSTGRES_EPOCH_SECONDS) * 1_000_000n

function timeOf(moment: Moment | undefined): DuckDBValue {
  if (moment === undefined || moment === 'before' || moment.time === undefined) return null
  return { micros: moment.time + EPOCH_MICROS } as DuckDBValue
}

/** Days since 1970, in UTC, of when a version became valid; undefined where that is not known. */
export function dayOf({ from }: HistoryRow): number | undefined {
  if (from === undefined || from === 'before' || from.time === undefined) return undefined
  return dayOfMicros(from.time + EPOCH_MICROS).days
}

/** How a value is written as text. Numbers that JavaScript does not keep whole are strings in JSON, as are NaN and infinities. */
export function columnText(kind: PlainKind, format: 'csv' | 'json'): (value: DuckDBValue) => string | undefined {
  const text = kind === 'timestamptz' ? (value: DuckDBValue): string => timestampText((value as { micros: bigint }).micros, '+00') : String
  if (format === 'csv') return (value) => (value === null ? undefined : text(value))
  if (kind === 'timestamptz') return (value) => (value === null ? 'null' : isoText(text)(value))
  const isBare = (value: DuckDBValue): boolean => typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  return (value) => (value === null ? 'null' : isBare(value) ? text(value) : JSON.stringify(text(value)))
}
