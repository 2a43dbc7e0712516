import { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import { ParseError } from '../codec.ts'
import {
  JB_FARRAY, JB_FOBJECT, JB_FSCALAR, JB_OFFSET_STRIDE, JENTRY_HAS_OFF, JENTRY_ISBOOL_FALSE, JENTRY_ISBOOL_TRUE, JENTRY_ISCONTAINER,
  JENTRY_ISNULL, JENTRY_ISNUMERIC, JENTRY_ISSTRING, JENTRY_OFFLENMASK,
} from './jsonbformat.ts'
import { numericParse } from './numerictext.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const SPACE = 0x20

/** What an escape letter stands for; 0 for letters that are not an escape. */
const UNESCAPES = new Uint8Array(256)
for (const [letter, byte] of [['b', 8], ['t', 9], ['n', 10], ['f', 12], ['r', 13], ['"', QUOTE], ['\\', BACKSLASH]] as const) {
  UNESCAPES[letter.charCodeAt(0)] = byte
}

/**
 * Appends the payload that a server stores for a text it has printed itself (jsonb_out), byte for byte. Throws ParseError on any other
 * text, be it valid JSON. `utf8`: the strings have to be UTF-8. Linear in the text, whatever its nesting.
 *
 * A container's entries precede its items, and an object's keys precede its values. So a first pass over the text counts, for each
 * container in the order of their openings, its items and the bytes of its keys; the second pass then writes everything in place.
 */
export function jsonbParse(text: Uint8Array, start: number, end: number, utf8: boolean, out: ByteWriter): void {
  try {
    parser.parse(text, start, end, utf8, out)
  } finally {
    parser.release()
  }
}

function refuse(reason: string): ParseError {
  return new ParseError(`jsonb: ${reason}`)
}

/** Bytes that {@link Measure} looks at outside of strings. */
const STRUCTURE = new Uint8Array(256)
for (const byte of [QUOTE, COMMA, COLON, 0x5b, 0x5d, 0x7b, 0x7d]) STRUCTURE[byte] = 1

/** Scratch of more words than this is given back. */
const SCRATCH_KEPT = 1 << 16

/** Counts what each container holds, in the order of their openings: two words each, the number of items and of the bytes of keys. */
class Measure {
  counts: Int32Array = new Int32Array(64)
  private open: Int32Array = new Int32Array(64)
  private stringBytes = 0

  release(): void {
    if (this.counts.length > SCRATCH_KEPT) this.counts = new Int32Array(64)
    if (this.open.length > SCRATCH_KEPT) this.open = new Int32Array(64)
  }

  run(text: Uint8Array, start: number, end: number): void {
    let opened = 0
    let depth = 0
    for (let at = start; at < end; at++) {
      const byte = text[at]!
      if (STRUCTURE[byte] === 0) continue
      if (byte === QUOTE) {
        at = this.string(text, at + 1, end)
      } else if (byte === COMMA) {
        if (depth > 0) this.counts[this.open[depth - 1]!]!++
      } else if (byte === COLON) {
        if (depth > 0) this.counts[this.open[depth - 1]! + 1]! += this.stringBytes
        this.stringBytes = 0
      } else if (byte === 0x5b || byte === 0x7b) {
        if (opened + 2 > this.counts.length) this.counts = doubled(this.counts)
        if (depth === this.open.length) this.open = doubled(this.open)
        this.counts[opened] = at + 1 < end && (text[at + 1] === 0x5d || text[at + 1] === 0x7d) ? 0 : 1
        this.counts[opened + 1] = 0
        this.open[depth++] = opened
        opened += 2
      } else if (depth > 0) {
        depth--
      }
    }
  }

  /** Leaves the length of the string without its escapes; returns where its end quote is. */
  private string(text: Uint8Array, from: number, end: number): number {
    let escapes = 0
    let at = from
    for (; at < end; at++) {
      const byte = text[at]!
      if (byte === QUOTE) break
      if (byte !== BACKSLASH) continue
      at++
      escapes += text[at] === 0x75 ? 5 : 1
    }
    this.stringBytes = Math.max(0, at - from - escapes)
    return at
  }
}

function doubled(words: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(words.length * 2)
  grown.set(words)
  return grown
}

/** Words of one suspended container on the stack. */
const FRAME = 9
const EMPTY: Uint8Array = new Uint8Array(0)
const NOWHERE = new ByteWriter(0)

class Parser {
  private readonly measure = new Measure()
  private text = EMPTY
  private at = 0
  private end = 0
  private utf8 = true
  private out = NOWHERE
  private origin = 0
  private opened = 0
  // The container being written; all but the counts are positions in `out`.
  private isObject = false
  private count = 0
  private index = 0
  private entries = 0
  private data = 0
  private key = 0
  private keyEnd = 0
  private keysEnd = 0
  /** Where the item that is being written began, before its padding. */
  private item = 0
  private stack = new Int32Array(0)
  private depth = 0

  parse(text: Uint8Array, start: number, end: number, utf8: boolean, out: ByteWriter): void {
    this.text = text
    this.at = start
    this.end = end
    this.utf8 = utf8
    this.out = out
    this.origin = out.length
    this.opened = 0
    this.depth = 0
    this.isObject = false
    this.measure.run(text, start, end)
    this.value()
    if (this.at !== end) throw refuse('text behind the value')
  }

  /** Forgets the arguments of {@link parse}, and gives back uncommonly large scratch memory. */
  release(): void {
    this.text = EMPTY
    this.out = NOWHERE
    this.measure.release()
    if (this.stack.length > SCRATCH_KEPT) this.stack = new Int32Array(0)
  }

  private value(): void {
    const first = this.peek()
    if (first === 0x5b || first === 0x7b) {
      this.open(first)
      this.run()
    } else {
      this.header(JB_FARRAY | JB_FSCALAR, 1, 1)
      this.scalar(first)
    }
  }

  private run(): void {
    for (;;) {
      if (this.index === this.count) {
        this.expect(this.isObject ? 0x7d : 0x5d)
        if (this.keyEnd !== this.keysEnd) throw refuse('keys of another length')
        if (this.depth === 0) return
        this.pop()
        this.close(JENTRY_ISCONTAINER)
        continue
      }
      if (this.index > 0) {
        this.expect(COMMA)
        this.expect(SPACE)
      }
      if (this.isObject) this.nextKey()
      this.item = this.out.length
      const byte = this.peek()
      if (byte === 0x5b || byte === 0x7b) {
        this.push()
        this.open(byte)
      } else {
        this.scalar(byte)
      }
    }
  }

  private peek(): number {
    return this.at < this.end ? this.text[this.at]! : 0
  }

  private expect(byte: number): void {
    if (this.peek() !== byte) throw refuse(`no '${String.fromCharCode(byte)}' where one belongs`)
    this.at++
  }

  private open(byte: number): void {
    this.at++
    const count = this.measure.counts[this.opened]!
    const keyBytes = this.measure.counts[this.opened + 1]!
    this.opened += 2
    this.isObject = byte === 0x7b
    this.header(this.isObject ? JB_FOBJECT : JB_FARRAY, count, this.isObject ? count * 2 : count)
    this.key = -1
    this.keyEnd = this.data
    if (this.isObject) this.skip(keyBytes)
    this.keysEnd = this.out.length
  }

  private header(kind: number, count: number, entries: number): void {
    const { out } = this
    this.pad()
    out.u32(kind | count)
    this.count = count
    this.index = 0
    this.entries = out.length
    this.skip(entries * 4)
    this.data = out.length
    this.item = out.length
  }

  private pad(): void {
    while ((this.out.length - this.origin) & 3) this.out.u8(0)
  }

  /** Room for entries or keys: every byte of it is written before the container is closed. */
  private skip(count: number): void {
    this.out.reserve(count)
    this.out.length += count
  }

  /** Keys are unique and sorted by length, then bytes. */
  private nextKey(): void {
    const { bytes } = this.out
    const start = this.keyEnd
    const end = this.string(start)
    if (end > this.keysEnd) throw refuse('keys of another length')
    if (this.key >= 0 && !ascending(bytes, this.key, start, end)) throw refuse('keys out of order')
    this.entry(this.index, start, end, JENTRY_ISSTRING)
    this.key = start
    this.keyEnd = end
    this.expect(COLON)
    this.expect(SPACE)
  }

  /** The JEntry of what was written to [start, end). */
  private entry(index: number, start: number, end: number, type: number): void {
    const total = end - this.data
    if (total > JENTRY_OFFLENMASK) throw refuse('too long')
    const word = index % JB_OFFSET_STRIDE === 0 ? type | JENTRY_HAS_OFF | total : type | (end - start)
    this.out.setU32(this.entries + index * 4, word)
  }

  private close(type: number): void {
    this.entry(this.isObject ? this.count + this.index : this.index, this.item, this.out.length, type)
    this.index++
  }

  private scalar(first: number): void {
    switch (first) {
      case QUOTE:
        this.out.reserve(this.end - this.at)
        this.out.length = this.string(this.out.length)
        return this.close(JENTRY_ISSTRING)
      case 0x66:
        this.word('false')
        return this.close(JENTRY_ISBOOL_FALSE)
      case 0x74:
        this.word('true')
        return this.close(JENTRY_ISBOOL_TRUE)
      case 0x6e:
        this.word('null')
        return this.close(JENTRY_ISNULL)
      default:
        this.numeric()
        return this.close(JENTRY_ISNUMERIC)
    }
  }

  private word(word: string): void {
    for (let i = 0; i < word.length; i++) this.expect(word.charCodeAt(i))
  }

  private numeric(): void {
    const { text, out } = this
    const start = this.at
    let at = start
    while (at < this.end && ((text[at]! >= 0x30 && text[at]! <= 0x39) || text[at] === 0x2d || text[at] === 0x2e)) at++
    this.at = at
    this.pad()
    const header = out.length
    out.u32(0)
    numericParse(text, start, at, out)
    out.setU32(header, (out.length - header) << 2)
  }

  /** Writes the string that is being read, unescaped, to `out.bytes` from `to` on, where there is room for it. Returns its end there. */
  private string(to: number): number {
    this.expect(QUOTE)
    const { text, end } = this
    const { bytes } = this.out
    const from = to
    let at = this.at
    let seen = 0
    for (;;) {
      if (at >= end) throw refuse('a string without end')
      let byte = text[at++]!
      if (byte === QUOTE) break
      if (byte < SPACE) throw refuse('a bare control character')
      if (byte === BACKSLASH) {
        const letter = at < end ? text[at]! : 0
        if (letter === 0x75) byte = this.hexEscape(at + 1)
        else if (UNESCAPES[letter] !== 0) byte = UNESCAPES[letter]!
        else throw refuse('an unknown escape')
        at += letter === 0x75 ? 5 : 1
      }
      seen |= byte
      bytes[to++] = byte
    }
    this.at = at
    if (seen >= 0x80 && this.utf8 && !isUtf8(bytes, from, to)) throw refuse('a string that is not UTF-8')
    return to
  }

  /** The digits behind `\u`: only control characters without a letter of their own are written so. */
  private hexEscape(at: number): number {
    const { text } = this
    if (at + 4 > this.end || text[at] !== 0x30 || text[at + 1] !== 0x30) throw refuse('an unneeded escape')
    const high = text[at + 2]! - 0x30
    const digit = text[at + 3]!
    const low = digit >= 0x30 && digit <= 0x39 ? digit - 0x30 : digit >= 0x61 && digit <= 0x66 ? digit - 0x57 : -1
    const byte = high * 16 + low
    if ((high !== 0 && high !== 1) || low < 0 || byte === 0) throw refuse('an unneeded escape')
    if (byte >= 8 && byte <= 13 && byte !== 11) throw refuse('an unneeded escape')
    return byte
  }

  private push(): void {
    const at = this.depth++ * FRAME
    if (at === this.stack.length) {
      const grown = new Int32Array(Math.max(at * 2, 16 * FRAME))
      grown.set(this.stack)
      this.stack = grown
    }
    const { stack } = this
    stack[at] = this.isObject ? 1 : 0
    stack[at + 1] = this.count
    stack[at + 2] = this.index
    stack[at + 3] = this.entries
    stack[at + 4] = this.data
    stack[at + 5] = this.key
    stack[at + 6] = this.keyEnd
    stack[at + 7] = this.keysEnd
    stack[at + 8] = this.item
  }

  private pop(): void {
    const at = --this.depth * FRAME
    const { stack } = this
    this.isObject = stack[at] === 1
    this.count = stack[at + 1]!
    this.index = stack[at + 2]!
    this.entries = stack[at + 3]!
    this.data = stack[at + 4]!
    this.key = stack[at + 5]!
    this.keyEnd = stack[at + 6]!
    this.keysEnd = stack[at + 7]!
    this.item = stack[at + 8]!
  }
}

/** One parser serves all calls, because nothing that it calls parses jsonb. */
const parser = new Parser()

/** Whether key [middle, end) may follow key [start, middle). */
function ascending(bytes: Uint8Array, start: number, middle: number, end: number): boolean {
  if (end - middle !== middle - start) return end - middle > middle - start
  for (let i = 0; middle + i < end; i++) {
    if (bytes[start + i] !== bytes[middle + i]) return bytes[start + i]! < bytes[middle + i]!
  }
  return false
}
