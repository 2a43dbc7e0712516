import type { DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { ByteWriter } from '../../common/bytes.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { POSTGRES_EPOCH_JULIAN, UNIX_TO_POSTGRES_DAYS, writeClock, writeDate } from '../../datum/text/calendar.ts'
import { writeFloat4, writeFloat8 } from '../../datum/text/floattext.ts'

type Duck = typeof import('@duckdb/node-api')

/** A column's values as text, for each format. */
export interface ValueText {
  /** Undefined for NULL. Nested values are JSON. */
  table: (value: DuckDBValue) => string | undefined
  /** Undefined for NULL. What COPY of Postgres takes: arrays as `{1,NULL}`, composites as `(1,"a b")`; maps, which Postgres has not, are JSON. */
  csv: (value: DuckDBValue) => string | undefined
  /** int64, hugeint and decimals are strings, as are NaN and Infinity; timestamps ISO 8601. */
  json: (value: DuckDBValue) => string
  /** Numbers stand at the right of a table's column. */
  isNumber: boolean
  isNested: boolean
}

/** Text of a column's values, by its DuckDB type. */
export function valueText(duck: Duck, type: DuckDBType): ValueText {
  const json = jsonText(duck, type)
  const plain = plainText(duck, type)
  const table = plain ?? json
  const csv = plain ?? postgresText(duck, type)
  return {
    table: (value) => (value === null ? undefined : table(value)),
    csv: (value) => (value === null ? undefined : csv(value)),
    json: (value) => (value === null ? 'null' : json(value)),
    isNumber: NUMBER_TYPES.has(duck.DuckDBTypeId[type.typeId]),
    isNested: isNested(duck, type),
  }
}

type ToText = (value: DuckDBValue) => string

const SMALL_INTEGERS = ['TINYINT', 'SMALLINT', 'INTEGER', 'UTINYINT', 'USMALLINT', 'UINTEGER']
const NUMBER_TYPES = new Set([...SMALL_INTEGERS, 'BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'FLOAT', 'DOUBLE', 'DECIMAL', 'BIGNUM'])

/** Text of values that are not null; undefined for nested types, whose text is their JSON. */
function plainText(duck: Duck, type: DuckDBType): ToText | undefined {
  if (isNested(duck, type)) return undefined
  switch (type.typeId) {
    case duck.DuckDBTypeId.FLOAT:
      return (value) => float4Text(value as number)
    case duck.DuckDBTypeId.DOUBLE:
      return (value) => float8Text(value as number)
    case duck.DuckDBTypeId.DECIMAL:
      return (value) => decimalText(value as { value: bigint; scale: number })
    case duck.DuckDBTypeId.BLOB:
      return (value) => hexText((value as { bytes: Uint8Array }).bytes)
    case duck.DuckDBTypeId.DATE:
      return (value) => dateText((value as { days: number }).days)
    case duck.DuckDBTypeId.TIMESTAMP:
      return (value) => timestampText((value as { micros: bigint }).micros, '')
    case duck.DuckDBTypeId.TIMESTAMP_TZ:
      return (value) => timestampText((value as { micros: bigint }).micros, '+00')
    default:
      return (value) => String(value)
  }
}

function jsonText(duck: Duck, type: DuckDBType): ToText {
  const id = duck.DuckDBTypeId
  if (type instanceof duck.DuckDBListType || type instanceof duck.DuckDBArrayType) {
    const element = nullable(jsonText(duck, type.valueType))
    return (value) => `[${(value as { items: readonly DuckDBValue[] }).items.map(element).join(',')}]`
  }
  if (type instanceof duck.DuckDBStructType) {
    const fields = type.entryNames.map((name, i): [string, ToText] => [name, nullable(jsonText(duck, type.entryTypes[i]!))])
    return (value) => {
      const entries = (value as { entries: Readonly<Record<string, DuckDBValue>> }).entries
      return `{${fields.map(([name, text]) => `${JSON.stringify(name)}:${text(entries[name]!)}`).join(',')}}`
    }
  }
  if (type instanceof duck.DuckDBMapType) return mapText(duck, type.keyType, type.valueType)
  switch (type.typeId) {
    case id.BOOLEAN:
    case id.TINYINT: case id.SMALLINT: case id.INTEGER: case id.UTINYINT: case id.USMALLINT: case id.UINTEGER:
      return (value) => String(value)
    case id.FLOAT:
      return (value) => jsonNumber(float4Text(value as number))
    case id.DOUBLE:
      return (value) => jsonNumber(float8Text(value as number))
    case id.TIMESTAMP: case id.TIMESTAMP_TZ: case id.TIMESTAMP_S: case id.TIMESTAMP_MS: case id.TIMESTAMP_NS:
      return isoText(plainText(duck, type)!)
    default: {
      const text = plainText(duck, type) ?? ((value: DuckDBValue) => String(value))
      return (value) => JSON.stringify(text(value))
    }
  }
}

/** Text of a value that is not null as the input functions of Postgres take it (array_in, record_in). */
function postgresText(duck: Duck, type: DuckDBType): ToText {
  if (type instanceof duck.DuckDBListType || type instanceof duck.DuckDBArrayType) {
    const element = arrayElement(duck, type.valueType)
    return (value) => `{${(value as { items: readonly DuckDBValue[] }).items.map(element).join(',')}}`
  }
  if (type instanceof duck.DuckDBStructType) {
    const fields = type.entryNames.map((name, i): [string, ToText] => [name, postgresText(duck, type.entryTypes[i]!)])
    const isInterval = String(type).replaceAll('"', '') === INTERVAL_STRUCT
    return (value) => {
      const entries = (value as { entries: Readonly<Record<string, DuckDBValue>> }).entries
      if (isInterval && fields.every(([name]) => entries[name] !== null)) return intervalText(entries as unknown as LakeInterval)
      return `(${fields.map(([name, text]) => (entries[name] === null ? '' : quotedField(text(entries[name]!)))).join(',')})`
    }
  }
  return plainText(duck, type) ?? jsonText(duck, type)
}

/** What an interval is in a lake. A composite of the same fields looks the same. */
const INTERVAL_STRUCT = 'STRUCT(months INTEGER, days INTEGER, micros BIGINT)'

interface LakeInterval {
  readonly months: number
  readonly days: number
  readonly micros: bigint
}

/** As interval_in reads it. */
function intervalText({ months, days, micros }: LakeInterval): string {
  const clock = micros < 0n ? -micros : micros
  const [seconds, fraction] = [clock / 1_000_000n, String(clock % 1_000_000n).padStart(6, '0')]
  const parts = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map((part) => String(part).padStart(2, '0'))
  return `${months} mons ${days} days ${micros < 0n ? '-' : ''}${parts.join(':')}.${fraction}`
}

function arrayElement(duck: Duck, type: DuckDBType): ToText {
  const text = postgresText(duck, type)
  const isArray = type instanceof duck.DuckDBListType || type instanceof duck.DuckDBArrayType
  return (value) => (value === null ? 'NULL' : isArray ? text(value) : quotedElement(text(value)))
}

/** array_out */
function quotedElement(text: string): string {
  return text === '' || /^null$/i.test(text) || /[{}",\\\s]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text
}

/** record_out */
function quotedField(text: string): string {
  return text === '' || /[(),"\\\s]/.test(text) ? `"${text.replace(/["\\]/g, '$&$&')}"` : text
}

/** An object; keys that are no strings are their own text. */
function mapText(duck: Duck, keyType: DuckDBType, valueType: DuckDBType): ToText {
  const key = plainText(duck, keyType) ?? jsonText(duck, keyType)
  const text = nullable(jsonText(duck, valueType))
  return (value) => {
    const { entries } = value as { entries: readonly { key: DuckDBValue; value: DuckDBValue }[] }
    return `{${entries.map((entry) => `${JSON.stringify(key(entry.key))}:${text(entry.value)}`).join(',')}}`
  }
}

function isNested(duck: Duck, type: DuckDBType): boolean {
  return [duck.DuckDBListType, duck.DuckDBArrayType, duck.DuckDBStructType, duck.DuckDBMapType].some((nested) => type instanceof nested)
}

function nullable(text: ToText): ToText {
  return (value) => (value === null ? 'null' : text(value))
}

const writer = new ByteWriter()
const doubles = new Float64Array(1)
const doubleWords = new Int32Array(doubles.buffer)
const floats = new Float32Array(1)
const floatWords = new Int32Array(floats.buffer)

function float4Text(value: number): string {
  floats[0] = value
  return written(() => writeFloat4(floatWords[0]!, writer))
}

function float8Text(value: number): string {
  doubles[0] = value
  return written(() => writeFloat8(doubleWords[0]!, doubleWords[1]!, writer))
}

function written(write: () => void): string {
  writer.length = 0
  write()
  return utf8Decode(writer.bytes.subarray(0, writer.length))
}

function jsonNumber(text: string): string {
  return /^-?\d/.test(text) ? text : JSON.stringify(text)
}

function decimalText({ value, scale }: { value: bigint; scale: number }): string {
  if (scale === 0) return String(value)
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function hexText(bytes: Uint8Array): string {
  return `\\x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

/* DuckDB's infinities (date_t, timestamp_t), the same distance from zero. */
const INFINITE_DAYS = 2147483647
const INFINITE_MICROS = 2n ** 63n - 1n
const DAY_MICROS = 86_400_000_000n

/** @param days since 1970 */
export function dateText(days: number): string {
  if (Math.abs(days) === INFINITE_DAYS) return days < 0 ? '-infinity' : 'infinity'
  return written(() => {
    if (writeDate(days - UNIX_TO_POSTGRES_DAYS + POSTGRES_EPOCH_JULIAN, writer)) writer.ascii(' BC')
  })
}

/** @param micros since 1970, finite @returns days since 1970, and what is left of them in microseconds */
export function dayOfMicros(micros: bigint): { days: number; clock: bigint } {
  const clock = ((micros % DAY_MICROS) + DAY_MICROS) % DAY_MICROS
  return { days: Number((micros - clock) / DAY_MICROS), clock }
}

/** `2020-01-01 00:00:00+00`, as Postgres writes it. @param micros since 1970 */
export function timestampText(micros: bigint, offset: string): string {
  if (micros === INFINITE_MICROS || micros === -INFINITE_MICROS) return micros < 0n ? '-infinity' : 'infinity'
  const { days, clock } = dayOfMicros(micros)
  return written(() => {
    const isBc = writeDate(days - UNIX_TO_POSTGRES_DAYS + POSTGRES_EPOCH_JULIAN, writer)
    writer.u8(0x20)
    writeClock(Number(clock), writer)
    writer.ascii(offset)
    if (isBc) writer.ascii(' BC')
  })
}

/** `2020-01-01T00:00:00+00:00`. */
export function isoText(text: ToText): ToText {
  return (value) => JSON.stringify(text(value).replace(/^(\d+-\d\d-\d\d) /, '$1T').replace(/\+00( BC)?$/, '+00:00$1'))
}
