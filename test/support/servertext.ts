/**
 * Lake values against the text that a server's output functions print (canonical settings). A second, deliberately naive reading of
 * both sides: it knows COPY, array and row literals and how numbers and dates are written, and nothing of the stored bytes.
 */
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { TypeDef, TypeRef } from '../../src/datum/typedef.ts'
import type { Value } from '../columnar/lakevalues.ts'

export type Types = ReadonlyMap<number, TypeDef>

/** Rows of COPY's text format, each field a string of bytes (Latin-1), or null. */
export function copyRows(copied: Buffer): (string | null)[][] {
  const lines = copied.toString('latin1').split('\n')
  if (lines.pop() !== '') throw new Error('COPY ends within a line')
  const unescaped = (field: string): string => field.replace(/\\(.)/g, (_, c: string) => ESCAPES[c] ?? c)
  return lines.map((line) => line.split('\t').map((field) => (field === '\\N' ? null : unescaped(field))))
}

const ESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** Whether the lake's `value` of a column `kind` is what the server prints as `text` for a value of type `ref`. */
export function isSameValue(value: Value, kind: ColumnType, text: string, ref: TypeRef, types: Types): boolean {
  if (value === null) return false
  const type = baseType(ref, types)
  switch (kind.kind) {
    case 'string':
      return value === `s${text}` || (type.name === 'xml' && withoutDeclaration((value as string).slice(1)) === withoutDeclaration(text))
    case 'boolean':
      return text === (value ? 't' : 'f')
    case 'int':
    case 'long':
      return text === String(value)
    case 'float':
      return sameFloat(value as number, text)
    case 'double':
      return sameDouble(value as bigint, text)
    case 'decimal':
      return plainDecimal(decimalText(value as bigint, kind.scale)) === plainDecimal(text.replace(/[$,]/g, ''))
    case 'date':
      return BigInt(value as number) * DAY === micros(text)
    case 'timestamp':
      return value === micros(text)
    case 'time':
      return value === clock(text)
    case 'uuid':
      return (value as string).slice(1) === Buffer.from(text.replaceAll('-', ''), 'hex').toString('latin1')
    case 'binary':
      return type.name !== 'bytea' || (value as string).slice(1) === Buffer.from(text.slice(2), 'hex').toString('latin1')
    case 'list':
      return sameList(value as Value[], kind.element, text, type, types)
    case 'map':
      return sameMap(value as Value[][], text)
    case 'struct':
      if (type.name === 'interval') return sameInterval(value as [number, number, bigint], text)
      return sameRow(value as Value[], kind.fields, text, type, types)
  }
}

function baseType(ref: TypeRef, types: Types): TypeDef {
  const type = types.get(ref.oid)
  if (type === undefined) throw new Error(`type ${ref.oid} is not pinned`)
  return type.kind === 'domain' && type.base ? baseType(type.base, types) : type
}

/** xml_out drops the XML declaration where it says nothing, and the encoding in it always; the lake holds what is stored. */
function withoutDeclaration(xml: string): string {
  return xml.replace(/^<\?xml[^>]*\?>/, '')
}

const scratch = new DataView(new ArrayBuffer(8))

function sameFloat(bits: number, text: string): boolean {
  scratch.setUint32(0, bits)
  return Object.is(scratch.getFloat32(0), Math.fround(Number(text)))
}

function sameDouble(bits: bigint, text: string): boolean {
  scratch.setBigInt64(0, bits)
  return Object.is(scratch.getFloat64(0), Number(text))
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`
}

/** Without zeros that change nothing. */
function plainDecimal(text: string): string {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text) ?? []
  const plain = `${whole.replace(/^0+(?=\d)/, '')}.${fraction.replace(/0+$/, '')}`
  return sign === '-' && plain !== '0.' ? `-${plain}` : plain
}

/** What the lake holds of a numeric whose exact text is in `_overflow`: 9 fractional digits, rounded half to even. */
export function isRoundedTo9(value: Value, text: string): boolean {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d+)\.(\d{10,})$/.exec(text) ?? []
  if (fraction === '') return false
  const kept = BigInt(whole + fraction.slice(0, 9))
  const rest = fraction.slice(9)
  const half = `5${'0'.repeat(rest.length - 1)}`
  const up = rest > half || (rest === half && kept % 2n === 1n)
  const rounded = up ? kept + 1n : kept
  return value === (sign === '-' ? -rounded : rounded)
}

const DAY = 86_400_000_000n

/** Microseconds since 1970 of `2024-02-29`, `2024-02-29 12:34:56.1` or `…+00`; counts days year by year and month by month. */
function micros(text: string): bigint | undefined {
  const [, year, month, day, time] = /^(\d{4,})-(\d\d)-(\d\d)(?: (.*?))?(?:\+00)?$/.exec(text) ?? []
  if (year === undefined) return undefined
  const days = daysBefore(Number(year)) - daysBefore(1970) + dayOfYear(Number(year), Number(month)) + Number(day) - 1
  return BigInt(days) * DAY + clock(time ?? '00:00:00')
}

function daysBefore(year: number): number {
  let days = 0
  for (let y = 0; y < year; y++) days += isLeap(y) ? 366 : 365
  return days
}

function dayOfYear(year: number, month: number): number {
  const lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  return lengths.slice(0, month - 1).reduce((sum, days) => sum + days, 0)
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

/** Microseconds of `-12:34:56.789`. */
function clock(text: string): bigint {
  const [, sign, hours = '', minutes = '', seconds = '', fraction = ''] = /^([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?$/.exec(text) ?? []
  const value = (BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  return sign === '-' ? -value : value
}

function sameInterval([months, days, time]: [number, number, bigint], text: string): boolean {
  let rest = text
  const part = (unit: string): number => {
    const [found, amount] = new RegExp(`^([+-]?\\d+) ${unit}s? ?`).exec(rest) ?? ['', '0']
    rest = rest.slice(found.length)
    return Number(amount)
  }
  const expected = [part('year') * 12 + part('mon'), part('day')]
  return months === expected[0] && days === expected[1] && time === (rest === '' ? 0n : clock(rest))
}

function sameList(values: Value[], kind: ColumnType, text: string, type: TypeDef, types: Types): boolean {
  // int2vector and oidvector print without braces.
  const spaced = !text.startsWith('{')
  const element = { oid: type.element ?? 0, typmod: -1 }
  const delimiter = types.get(element.oid)?.delimiter ?? ','
  const items = spaced ? text.split(' ').filter((item) => item !== '') : literalItems(text.slice(1, -1), delimiter)
  if (items.length !== values.length) return false
  return items.every((item, i) => {
    const value = values[i]!
    if (item === 'NULL') return value === null
    const itemText = unquoted(item)
    return spaced ? String(value) === itemText : isSameValue(value, kind, itemText, element, types)
  })
}

function sameRow(values: Value[], kinds: readonly { type: ColumnType }[], text: string, type: TypeDef, types: Types): boolean {
  const fields = (type.fields ?? []).filter(({ dropped }) => !dropped)
  const items = literalItems(text.slice(1, -1), ',')
  if (fields.length === 1 && items.length === 0) items.push('')
  if (items.length !== fields.length || fields.length !== values.length) return false
  return items.every((item, i) => {
    if (item === '') return values[i] === null
    return isSameValue(values[i]!, kinds[i]!.type, unquoted(item), fields[i]!.type, types)
  })
}

/** hstore: `"k"=>"v", "n"=>NULL`, in the server's order. */
function sameMap(entries: Value[][], text: string): boolean {
  const printed = [...text.matchAll(/("(?:[^"\\]|\\.)*")=>("(?:[^"\\]|\\.)*"|NULL)/gs)].map(([, key = '', value = '']) => [
    `s${unquoted(key)}`, value === 'NULL' ? null : `s${unquoted(value)}`,
  ])
  return JSON.stringify(printed) === JSON.stringify(entries)
}

/**
 * A value of a reader that has no NULL of some types, and shows something empty instead: with NULL wherever the server prints NULL and the reader shows that.
 * @param fills whether the reader may do so for a type
 */
export function withNullsOf(value: Value, kind: ColumnType, text: string | null, ref: TypeRef, types: Types, fills: (kind: ColumnType) => boolean): Value {
  if (text === null) return fills(kind) && isEmpty(value) ? null : value
  const type = baseType(ref, types)
  if (!Array.isArray(value) || (kind.kind !== 'list' && kind.kind !== 'struct') || !/^[{(]/.test(text)) return value
  const parts = value as Value[]
  const live = (type.fields ?? []).filter(({ dropped }) => !dropped)
  const element = { oid: type.element ?? 0, typmod: -1 }
  const items = literalItems(text.slice(1, -1), kind.kind === 'list' ? types.get(element.oid)?.delimiter ?? ',' : ',')
  if (items.length !== parts.length || (kind.kind === 'struct' && items.length !== live.length)) return value
  return items.map((item, i) => {
    const [own, of] = kind.kind === 'list' ? [kind.element, element] : [kind.fields[i]!.type, live[i]!.type]
    return withNullsOf(parts[i]!, own, item === (kind.kind === 'list' ? 'NULL' : '') ? null : unquoted(item), of, types, fills)
  })
}

function isEmpty(value: Value): boolean {
  return Array.isArray(value) && (value as Value[]).every((part) => part === null || isEmpty(part))
}

/** Splits the inside of an array or row literal; items keep their quotes, `a"b c"` too. */
function literalItems(inside: string, delimiter: string): string[] {
  if (inside === '') return []
  const items = ['']
  for (const [token] of inside.matchAll(/"(?:[^"\\]|\\.)*"|\\.|[^]/gsu)) {
    if (token === delimiter) items.push('')
    else items[items.length - 1] += token
  }
  return items
}

/** Takes one level of quoting away: arrays and hstore escape with backslashes, rows double both quotes and backslashes. */
function unquoted(item: string): string {
  if (!item.startsWith('"')) return item
  return item.slice(1, -1).replace(/""|\\(.)/gsu, (_, escaped: string | undefined) => escaped ?? '"')
}
