import { ByteWriter } from '../../common/bytes.ts'
import { ParseError } from '../codec.ts'

/*
 * Quoting of texts inside a text (array_out, record_out, range_bound_escape): a text that is empty or has a special byte goes between
 * `"`, and `"` and `\` in it are escaped.
 *
 *             special besides " \ and blank      escaped as      reserved
 *   array     { } and the delimiter              \"  \\          NULL in any case
 *   composite ( ) ,                              ""  \\          (nothing at all is null)
 *   range     ( ) [ ] ,                          ""  \\          (nothing at all is infinite)
 */
export interface Quoting {
  /** 1 for each byte that must be inside quotes. */
  readonly special: Uint8Array
  readonly backslash: boolean
  /** The unquoted word NULL is not a text. */
  readonly nullWord: boolean
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

function specialBytes(others: string): Uint8Array {
  const special = new Uint8Array(256)
  for (const char of ` \t\n\v\f\r"\\${others}`) special[char.charCodeAt(0)] = 1
  return special
}

export function arrayQuoting(delimiter: string): Quoting {
  return { special: specialBytes(`{}${delimiter}`), backslash: true, nullWord: true }
}

export const ROW_QUOTING: Quoting = { special: specialBytes('(),'), backslash: false, nullWord: false }
export const RANGE_QUOTING: Quoting = { special: specialBytes('()[],'), backslash: false, nullWord: false }

/** NULL in any case: pg_strcasecmp, ASCII only. */
export function isNullWord(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== 4) return false
  return ((bytes[start]! | 32) === 0x6e && (bytes[start + 1]! | 32) === 0x75 &&
    (bytes[start + 2]! | 32) === 0x6c && (bytes[start + 3]! | 32) === 0x6c)
}

function needsQuotes(bytes: Uint8Array, start: number, end: number, quoting: Quoting): boolean {
  for (let at = start; at < end; at++) if (quoting.special[bytes[at]!]) return true
  return start === end || (quoting.nullWord && isNullWord(bytes, start, end))
}

/** Quotes the text that begins at `from` and ends the writer, in place, if it needs quotes. */
export function quoteFrom(out: ByteWriter, from: number, quoting: Quoting): void {
  const end = out.length
  if (!needsQuotes(out.bytes, from, end, quoting)) return
  let extra = 2
  for (let at = from; at < end; at++) if (isEscaped(out.bytes[at]!)) extra++
  out.zeros(extra)
  const { bytes } = out
  let to = out.length
  bytes[--to] = QUOTE
  for (let at = end - 1; at >= from; at--) {
    const byte = bytes[at]!
    bytes[--to] = byte
    if (isEscaped(byte)) bytes[--to] = quoting.backslash ? BACKSLASH : byte
  }
  bytes[from] = QUOTE
}

function isEscaped(byte: number): boolean {
  return byte === QUOTE || byte === BACKSLASH
}

/** Reads texts as {@link quoteFrom} leaves them: what is quoted needlessly or not at all where needed is a ParseError. */
export class QuotedReader {
  /** The text last read is `bytes[start .. end)`, unescaped. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  start = 0
  end = 0
  quoted = false
  readonly #quoting: Quoting
  readonly #unescaped = new ByteWriter(0)

  constructor(quoting: Quoting) {
    this.#quoting = quoting
  }

  /** Reads the text at `at`, up to the next special byte if it is unquoted (it may be empty), and gives the position behind it. */
  read(text: Uint8Array, at: number, end: number): number {
    this.quoted = at < end && text[at] === QUOTE
    if (this.quoted) return this.#readQuoted(text, at + 1, end)
    let next = at
    while (next < end && !this.#quoting.special[text[next]!]) next++
    this.#set(text, at, next)
    return next
  }

  #readQuoted(text: Uint8Array, from: number, end: number): number {
    const out = this.#unescaped
    out.length = 0
    let at = from
    for (;;) {
      if (at >= end) throw new ParseError('a quote without an end')
      const byte = text[at++]!
      if (!isEscaped(byte)) out.u8(byte)
      else if (byte === QUOTE && (this.#quoting.backslash || text[at] !== QUOTE || at >= end)) break
      else out.u8(this.#escaped(text, at++, end, byte))
    }
    if (!needsQuotes(out.bytes, 0, out.length, this.#quoting)) throw new ParseError('quotes without need')
    this.#set(out.bytes, 0, out.length)
    return at
  }

  #escaped(text: Uint8Array, at: number, end: number, escape: number): number {
    const byte = at < end ? text[at]! : 0
    if (!isEscaped(byte) || (!this.#quoting.backslash && byte !== escape)) throw new ParseError('not an escape')
    return byte
  }

  #set(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes as Uint8Array<ArrayBuffer>
    this.start = start
    this.end = end
  }
}
