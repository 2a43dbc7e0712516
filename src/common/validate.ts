import * as v from 'valibot'
import { CorruptionError, UnsupportedError } from './errors.ts'

/**
 * Checks of what was read from outside: footers, manifests, state files. A checksum says that bytes are as they were written, not who wrote them, so
 * each member is checked by type and range before anything uses it.
 */

/** A structure that is kept in a file, and how its errors speak of it. */
export interface Persisted {
  /** Code of its errors. */
  code: string
  /** `the 'ltap' entry of the footer`. */
  name: string
}

/** What is read as a `T`. */
export type Schema<T> = v.GenericSchema<unknown, T>

export function integer(min: number, max: number): Schema<number> {
  return v.custom<number>((value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max, `an integer from ${min} to ${max}`)
}

/** Oids, block numbers, transaction ids. */
export const unsigned32: Schema<number> = integer(0, 0xffffffff)
/** What is counted: rows, bytes. */
export const count: Schema<number> = integer(0, Number.MAX_SAFE_INTEGER)
const PLACE_MAX = 2 ** 52 - 1
/** Where a piece of an object begins. With a {@link pieceLength} behind it, its end is an exact number, too. */
export const pieceStart: Schema<number> = integer(0, PLACE_MAX)
/** Bytes of a piece of an object: an empty one is not written. */
export const pieceLength: Schema<number> = integer(1, PLACE_MAX)
/** Names and other text of a cluster: Postgres has no NUL in it. */
export const text: Schema<string> = v.custom<string>((value) => typeof value === 'string' && !value.includes('\0'), 'text without NUL')
export const flag: Schema<boolean> = v.boolean('true or false')

export function matching(pattern: RegExp, what: string): v.CustomSchema<string, v.ErrorMessage<v.CustomIssue> | undefined> {
  return v.custom<string>((value) => typeof value === 'string' && pattern.test(value), what)
}

/** A path that leads below its own folder, of the characters that ltap itself writes: no `..`, no empty name, no root. @param place `the lake` */
export function pathBelow(place: string): ReturnType<typeof matching> {
  return matching(/^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9_.%-]+(?:\/[A-Za-z0-9_.%-]+)*$/, `a path below ${place}`)
}

export function exactly<const T extends string | number | boolean>(value: T): v.LiteralSchema<T, string> {
  return v.literal(value, String(value))
}

export function oneOf<const T extends readonly (string | number)[]>(values: T): v.PicklistSchema<T, string> {
  return v.picklist(values, `one of ${values.join(', ')}`)
}

/** `16/B374D848`, as formatLsn writes it. */
export const lsnText: Schema<string> = matching(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/, 'an LSN such as 16/B374D848')
/** Milliseconds since 1970, up to the end of the year 9999: with one added they are still an exact number. */
export const MOMENT_MAX = 253_402_300_799_999
export const moment: Schema<number> = integer(0, MOMENT_MAX)
/** A 64-bit system identifier. */
export const systemIdentifierText: Schema<string> = v.custom<string>(
  (value) => typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) < 1n << 64n, 'a 64-bit number as decimal text')

/** @throws CorruptionError of `persisted.code` */
export function parseJson(json: string, persisted: Persisted): unknown {
  try {
    return JSON.parse(json) as unknown
  } catch {
    throw new CorruptionError(persisted.code, `${persisted.name} is not JSON`)
  }
}

/** Lists and objects within each other that JSON of a state may have: functions that call themselves for each of them end far above it. */
const DEPTH_MAX = 256

/** @throws CorruptionError of `persisted.code` for JSON that a function which calls itself for each list does not survive */
export function refuseDeep(json: string, persisted: Persisted): void {
  if (isTooDeep(json)) throw faulty(persisted, '', `has more than ${DEPTH_MAX} lists and objects within each other`)
}

/** Whether brackets outside texts go deeper than what functions that call themselves for each list survive; for what is no JSON the answer means nothing. */
export function isTooDeep(json: string): boolean {
  let depth = 0
  for (let at = 0; at < json.length; at++) {
    const char = json.charCodeAt(at)
    if (char === QUOTE) at = endOfText(json, at)
    else if (char === LIST || char === OBJECT) {
      if (++depth > DEPTH_MAX) return true
    } else if (char === LIST_END || char === OBJECT_END) depth--
  }
  return false
}

const [QUOTE, ESCAPE, LIST, LIST_END, OBJECT, OBJECT_END] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/** The closing quote of the text that begins at a quote; the end of the JSON if it has none. */
function endOfText(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let escapes = 0
    while (json.charCodeAt(end - 1 - escapes) === ESCAPE) escapes++
    if (escapes % 2 === 0) return end
  }
  return json.length
}

/**
 * The value, if it is what `schema` says. Only members that the schema names are in the result.
 * @param at path of the value in the whole structure
 * @throws CorruptionError of `persisted.code` with the path of the member; UnsupportedError for a member that a strict schema does not know
 */
export function validate<T>(schema: v.GenericSchema<unknown, T>, value: unknown, persisted: Persisted, at = ''): T {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  const path = pathOf(issue, at)
  if (issue.expected === 'never') {
    throw new UnsupportedError(persisted.code, `${persisted.name} has a member ${path} that this ltap does not know; a newer ltap may read it`)
  }
  if (issue.input === undefined) throw faulty(persisted, path, 'is missing')
  throw faulty(persisted, path, `is ${shown(issue.input)}, not ${expectation(issue)}`)
}

/** @param path of the member, empty for the whole structure; `problem` follows it: `is 5, but …` */
export function faulty({ code, name }: Persisted, path: string, problem: string): CorruptionError {
  return new CorruptionError(code, `${name} is damaged: ${path === '' ? 'it' : path} ${problem}`)
}

function expectation({ kind, type, expected, message }: v.BaseIssue<unknown>): string {
  if (kind === 'schema' && (type === 'object' || type === 'strict_object' || type === 'record')) return 'an object'
  if (kind === 'schema' && type === 'array') return 'a list'
  if (kind === 'schema' && type === 'variant') return `one of ${expected}`
  return message
}

function pathOf(issue: v.BaseIssue<unknown>, at: string): string {
  return at + (issue.path ?? []).map(({ key }, i) => {
    if (typeof key === 'string' && /^[A-Za-z_]\w{0,40}$/.test(key)) return at === '' && i === 0 ? key : `.${key}`
    return `[${typeof key === 'number' ? key : shown(key)}]`
  }).join('')
}

const SHOWN_MAX = 40

/** Short, and on one line, whatever the value is. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > SHOWN_MAX ? `${JSON.stringify(value.slice(0, SHOWN_MAX))}…` : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object'
}
