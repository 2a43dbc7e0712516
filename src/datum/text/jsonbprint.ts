import { alignUp, ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { isUtf8 } from '../../common/utf8.ts'
import {
  JB_CMASK, JB_FARRAY, JB_FOBJECT, JB_FSCALAR, JENTRY_ISBOOL_FALSE, JENTRY_ISBOOL_TRUE, JENTRY_ISCONTAINER, JENTRY_ISNULL,
  JENTRY_ISNUMERIC, JENTRY_ISSTRING, JENTRY_OFFLENMASK, JENTRY_TYPEMASK,
} from './jsonbformat.ts'
import { numericText } from './numerictext.ts'

/** MaxAllocSize: no server can print a longer text. */
const TEXT_MAX = 0x3fffffff

/**
 * How a byte of a string is written: unchanged, unchanged as part of a multibyte character, or escaped (the letter of the escape, or `u`). 1 means
 * that no text has the byte.
 */
const PLAIN = 0
const ESCAPES = new Uint8Array(256)
for (let byte = 1; byte < 0x20; byte++) ESCAPES[byte] = 0x75
for (const [byte, letter] of [[8, 'b'], [9, 't'], [10, 'n'], [12, 'f'], [13, 'r'], [0x22, '"'], [0x5c, '\\']] as const) {
  ESCAPES[byte] = letter.charCodeAt(0)
}
const NO_TEXT = 1
ESCAPES[0] = NO_TEXT

const QUOTE = 0x22
const HEX_DIGITS = '0123456789abcdef'
/** Words of one suspended container on the stack. */
const FRAME = 7
const STACK_KEPT = 1 << 16
const EMPTY: Uint8Array = new Uint8Array(0)
const NOWHERE = new ByteWriter(0)

/**
 * jsonb_out: appends the payload's text in the database encoding and returns true. False without one: a string with a zero byte, or
 * (with `utf8`) one that is not UTF-8, or a text beyond what a server can print; then `out` holds a part. CorruptionError on damage.
 * Nesting lives on a stack of ours, so that depth costs memory in proportion to the payload and never the JavaScript stack.
 */
export function jsonbPrint(source: Uint8Array, start: number, end: number, utf8: boolean, out: ByteWriter): boolean {
  if (start < 0 || end > source.length || end - start < 4) throw corrupt(`${end - start} bytes`)
  try {
    return printer.print(source, start, end, utf8, out)
  } finally {
    printer.release()
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.jsonb', reason)
}

class Printer {
  private source = EMPTY
  private start = 0
  private utf8 = true
  private out = NOWHERE
  // The container being printed. Positions count from the start of `source`, key and value ends from `data`.
  private isObject = false
  private isScalar = false
  private left = 0
  private entry = 0
  /** From a key's entry to its value's. */
  private toValue = 0
  private data = 0
  private limit = 0
  private keyEnd = 0
  private valueEnd = 0
  private stack = new Int32Array(0)
  private depth = 0

  print(source: Uint8Array, start: number, end: number, utf8: boolean, out: ByteWriter): boolean {
    this.source = source
    this.start = start
    this.utf8 = utf8
    this.out = out
    this.depth = 0
    const longest = out.length + TEXT_MAX
    this.open(start, end)
    let first = true
    for (;;) {
      if (this.left === 0) {
        if (!this.isScalar) out.u8(this.isObject ? 0x7d : 0x5d)
        if (this.depth === 0) return true
        this.pop()
        first = false
        continue
      }
      if (!first) this.comma()
      if (out.length > longest) return false
      first = false
      this.left--
      if (this.isObject && !this.key()) return false
      const word = this.word(this.entry + this.toValue)
      this.entry += 4
      const from = this.valueEnd
      this.valueEnd = this.itemEnd(word, from)
      if ((word & JENTRY_TYPEMASK) === JENTRY_ISCONTAINER) {
        if (this.isScalar) throw corrupt('a scalar that is a container')
        const container = alignUp(this.data + from - this.start, 4) + this.start
        const limit = this.data + this.valueEnd
        this.push()
        this.open(container, limit)
        if (this.isScalar) throw corrupt('a scalar container inside a container')
        first = true
      } else if (!this.scalar(word & JENTRY_TYPEMASK, this.data + from, this.data + this.valueEnd)) {
        return false
      }
    }
  }

  /** Forgets the arguments of {@link print}, and gives back the memory of an uncommonly deep stack. */
  release(): void {
    this.source = EMPTY
    this.out = NOWHERE
    if (this.stack.length > STACK_KEPT) this.stack = new Int32Array(0)
  }

  /** A word that {@link open} has checked to be there. */
  private word(at: number): number {
    const { source } = this
    return source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24)
  }

  private open(at: number, limit: number): void {
    if (at + 4 > limit) throw corrupt('a container without header')
    const header = this.word(at)
    const kind = header & ~JB_CMASK
    const count = header & JB_CMASK
    this.isObject = kind === JB_FOBJECT
    this.isScalar = kind === (JB_FARRAY | JB_FSCALAR)
    if (!this.isObject && !this.isScalar && kind !== JB_FARRAY) throw corrupt(`container header 0x${(header >>> 0).toString(16)}`)
    if (this.isScalar && count !== 1) throw corrupt(`a scalar container of ${count}`)
    this.left = count
    this.toValue = this.isObject ? count * 4 : 0
    this.entry = at + 4
    this.data = this.entry + count * (this.isObject ? 8 : 4)
    if (this.data > limit) throw corrupt(`${count} entries in a container of ${limit - at} bytes`)
    this.limit = limit
    this.keyEnd = 0
    this.valueEnd = this.isObject ? this.keysEnd(count) : 0
    if (!this.isScalar) this.out.u8(this.isObject ? 0x7b : 0x5b)
  }

  /** Where the last key ends: back to the last entry that says so, then forward over lengths. */
  private keysEnd(count: number): number {
    let at = count
    let sum = 0
    while (at > 0) {
      const word = this.word(this.entry + --at * 4)
      sum += word & JENTRY_OFFLENMASK
      if (word < 0) break
    }
    if (this.data + sum > this.limit) throw corrupt('keys past the end of their object')
    return sum
  }

  private itemEnd(word: number, from: number): number {
    const end = word < 0 ? word & JENTRY_OFFLENMASK : from + (word & JENTRY_OFFLENMASK)
    if (end < from || this.data + end > this.limit) throw corrupt('an item past the end of its container')
    return end
  }

  private key(): boolean {
    const word = this.word(this.entry)
    const from = this.keyEnd
    this.keyEnd = this.itemEnd(word, from)
    if ((word & JENTRY_TYPEMASK) !== JENTRY_ISSTRING) throw corrupt('a key that is no string')
    if (!this.string(this.data + from, this.data + this.keyEnd)) return false
    const { out } = this
    out.reserve(2)
    out.bytes[out.length++] = 0x3a
    out.bytes[out.length++] = 0x20
    return true
  }

  private comma(): void {
    const { out } = this
    out.reserve(2)
    out.bytes[out.length++] = 0x2c
    out.bytes[out.length++] = 0x20
  }

  private scalar(type: number, at: number, end: number): boolean {
    switch (type) {
      case JENTRY_ISSTRING:
        return this.string(at, end)
      case JENTRY_ISNUMERIC:
        this.numeric(at, end)
        return true
      case JENTRY_ISBOOL_FALSE:
        this.out.ascii('false')
        return true
      case JENTRY_ISBOOL_TRUE:
        this.out.ascii('true')
        return true
      case JENTRY_ISNULL:
        this.out.ascii('null')
        return true
      default:
        throw corrupt(`entry type ${type >>> 28}`)
    }
  }

  private numeric(itemStart: number, end: number): void {
    const at = alignUp(itemStart - this.start, 4) + this.start
    if (at + 4 > end) throw corrupt('a numeric without header')
    const header = this.word(at)
    const limit = at + (header >>> 2)
    if (header & 3 || limit > end) throw corrupt(`numeric header 0x${(header >>> 0).toString(16)}`)
    numericText(this.source, at + 4, limit, this.out)
  }

  /** escape_json. */
  private string(from: number, end: number): boolean {
    const { source, out } = this
    out.reserve(end - from + 2)
    let bytes = out.bytes
    let to = out.length
    bytes[to++] = QUOTE
    let seen = 0
    for (let at = from; at < end; at++) {
      const byte = source[at]!
      const escape = ESCAPES[byte]!
      if (escape === PLAIN) {
        bytes[to++] = byte
        seen |= byte
        continue
      }
      if (escape === NO_TEXT) return false
      out.length = to
      out.reserve(end - at + 7)
      bytes = out.bytes
      bytes[to++] = 0x5c
      bytes[to++] = escape
      if (escape === 0x75) to = hexEscape(bytes, to, byte)
    }
    bytes[to++] = QUOTE
    out.length = to
    return seen < 0x80 || !this.utf8 || isUtf8(source, from, end)
  }

  private push(): void {
    const at = this.depth * FRAME
    if (at === this.stack.length) {
      const grown = new Int32Array(Math.max(at * 2, 16 * FRAME))
      grown.set(this.stack)
      this.stack = grown
    }
    const { stack } = this
    stack[at] = this.left
    stack[at + 1] = this.entry
    stack[at + 2] = this.isObject ? this.toValue : -1
    stack[at + 3] = this.data
    stack[at + 4] = this.limit
    stack[at + 5] = this.keyEnd
    stack[at + 6] = this.valueEnd
    this.depth++
  }

  private pop(): void {
    const at = --this.depth * FRAME
    const { stack } = this
    this.left = stack[at]!
    this.entry = stack[at + 1]!
    this.isObject = stack[at + 2]! >= 0
    this.toValue = this.isObject ? stack[at + 2]! : 0
    this.isScalar = false
    this.data = stack[at + 3]!
    this.limit = stack[at + 4]!
    this.keyEnd = stack[at + 5]!
    this.valueEnd = stack[at + 6]!
  }
}

/** One printer serves all calls, because nothing that it calls prints jsonb. */
const printer = new Printer()

function hexEscape(bytes: Uint8Array, to: number, byte: number): number {
  bytes[to] = 0x30
  bytes[to + 1] = 0x30
  bytes[to + 2] = 0x30 + (byte >> 4)
  bytes[to + 3] = HEX_DIGITS.charCodeAt(byte & 15)
  return to + 4
}
