import { type ByteWriter, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import { type TextEncoding, textEncoding } from '../encoding/encodings.ts'
import { nativeTextCodec } from '../text/nativetext.ts'
import { strictParse } from '../text/strict.ts'
import type { BytesVector, ListVector, StructVector, Vector } from '../../vector/vector.ts'

/*
 * hstore (contrib/hstore/hstore.h), payload: u32 0x80000000 | pairs, then two words for each pair (key, value), then the strings one after
 * the other; pairs are sorted by the key's length, then its bytes
 *
 *  word   bit 31 the very first, bit 30 the value is NULL (and ends where its key does), bits 0 to 29 the string's end
 */
const HS_FLAG_NEWVERSION = 0x80000000
const HS_COUNT_MASK = 0x0fffffff
const HENTRY_ISFIRST = 0x80000000
const HENTRY_ISNULL = 0x40000000
const HENTRY_POSMASK = 0x3fffffff
const QUOTE = 0x22
const BACKSLASH = 0x5c
const UTF8 = 6

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.hstore', reason)
}

/** The number of pairs, after all their ends were checked. Hstores from before 9.0 are not read, as a server would convert them. */
function checkPairs(source: Uint8Array, start: number, end: number): number {
  const word = end - start < 4 ? 0 : readU32(source, start)
  const count = word & HS_COUNT_MASK
  const size = end - start - 4 - count * 8
  if (word < HS_FLAG_NEWVERSION || size < 0) throw corrupt(`header 0x${word.toString(16)} of ${end - start} bytes`)
  let previous = 0
  for (let i = 0; i < count * 2; i++) {
    const stringEnd = readU32(source, start + 4 + i * 4) & HENTRY_POSMASK
    if (stringEnd < previous || stringEnd > size) throw corrupt('a string past the end')
    previous = stringEnd
  }
  return count
}

/** hstore_out: `"a"=>"1", "bb"=>NULL`. */
function hstoreText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const count = checkPairs(source, start, end)
  const strings = start + 4 + count * 8
  let from = 0
  for (let i = 0; i < count * 2; i++) {
    const word = readU32(source, start + 4 + i * 4)
    const to = word & HENTRY_POSMASK
    if (i & 1) out.ascii('=>')
    else if (i > 0) out.ascii(', ')
    if (i & 1 && word & HENTRY_ISNULL) out.ascii('NULL')
    else quote(source, strings + from, strings + to, out)
    from = to
  }
}

function quote(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.u8(QUOTE)
  for (let at = start; at < end; at++) {
    const byte = source[at]!
    if (byte === QUOTE || byte === BACKSLASH) out.u8(BACKSLASH)
    out.u8(byte)
  }
  out.u8(QUOTE)
}

function hstoreParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const writer = new PairWriter(out, countPairs(text, start, end))
  while (!reader.done) {
    if (writer.index > 0) reader.expect(', ')
    unquote(reader, out)
    writer.close(false)
    reader.expect('=>')
    const isNull = reader.skip('NULL')
    if (!isNull) unquote(reader, out)
    writer.close(isNull)
  }
  writer.finish()
}

/** `=>` outside of quotes. */
function countPairs(text: Uint8Array, start: number, end: number): number {
  let count = 0
  let quoted = false
  for (let at = start; at < end; at++) {
    if (text[at] === QUOTE) quoted = !quoted
    else if (quoted && text[at] === BACKSLASH) at++
    else if (!quoted && text[at] === 0x3d) count++
  }
  return count
}

function unquote(reader: AsciiReader, out: ByteWriter): void {
  reader.expect('"')
  const { text, end } = reader
  let { at } = reader
  while (at < end && text[at] !== QUOTE) {
    if (text[at] === BACKSLASH) at++
    if (at < end) out.u8(text[at++]!)
  }
  reader.at = at
  reader.expect('"')
}

/** Writes the words of pairs whose strings are appended one after the other. */
class PairWriter {
  index = 0
  private readonly out: ByteWriter
  private readonly words: number
  private readonly count: number
  private readonly strings: number

  constructor(out: ByteWriter, count: number) {
    if (count > HS_COUNT_MASK) throw new ParseError('hstore: too many pairs')
    out.u32(HS_FLAG_NEWVERSION | count)
    this.out = out
    this.words = out.length
    this.count = count
    out.zeros(count * 8)
    this.strings = out.length
  }

  /** The string that was appended since the last one. */
  close(isNull: boolean): void {
    if (this.index >= this.count * 2) throw new ParseError('hstore: more pairs than counted')
    const flags = (this.index === 0 ? HENTRY_ISFIRST : 0) | (isNull ? HENTRY_ISNULL : 0)
    this.out.setU32(this.words + this.index * 4, flags | (this.out.length - this.strings))
    this.index++
  }

  finish(): void {
    if (this.index !== this.count * 2) throw new ParseError('hstore: fewer pairs than counted')
  }
}

/**
 * hstore: the column is a map of strings. What is not text in the database's encoding overflows as hex.
 * @param encoding the database's; undefined for UTF-8
 */
export function hstoreCodec(encoding: TextEncoding | undefined): Codec {
  const strings = encoding ?? textEncoding(UTF8)
  const { text, parse } = nativeTextCodec(strictParse({ text: hstoreText, parse: hstoreParse }), encoding)
  return {
    column: { kind: 'map', value: { kind: 'string' } },
    overflows: true,
    text,
    parse: parse!,
    decode(source, start, end, out) {
      const map = out as ListVector<StructVector>
      if (decodePairs(strings, source, start, end, map.child)) {
        map.close()
        return true
      }
      map.abandon()
      map.pushNull()
      return false
    },
    encode(column: Vector, row: number, out: ByteWriter) {
      const map = column as ListVector<StructVector>
      encodePairs(strings, map.child, map.start(row), map.end(row), out)
    },
  }
}

function decodePairs(encoding: TextEncoding, source: Uint8Array, start: number, end: number, out: StructVector): boolean {
  const count = checkPairs(source, start, end)
  const strings = start + 4 + count * 8
  const [keys, values] = out.children as [BytesVector, BytesVector]
  let from = strings
  for (let i = 0; i < count * 2; i++) {
    const word = readU32(source, start + 4 + i * 4)
    const to = strings + (word & HENTRY_POSMASK)
    const isValue = (i & 1) === 1
    if (!isValue || !(word & HENTRY_ISNULL)) {
      const vector = isValue ? values : keys
      if (!encoding.toUtf8(source, from, to, vector.data)) {
        out.abandon()
        return false
      }
      vector.close()
    }
    if (isValue) out.close()
    from = to
  }
  return true
}

function encodePairs(encoding: TextEncoding, pairs: StructVector, start: number, end: number, out: ByteWriter): void {
  const [keys, values] = pairs.children as [BytesVector, BytesVector]
  const writer = new PairWriter(out, end - start)
  for (let row = start; row < end; row++) {
    encodeString(encoding, keys, row, out)
    writer.close(false)
    const isNull = values.isNull(row)
    if (!isNull) encodeString(encoding, values, row, out)
    writer.close(isNull)
  }
}

function encodeString(encoding: TextEncoding, column: BytesVector, row: number, out: ByteWriter): void {
  if (!encoding.fromUtf8(column.data.bytes, column.start(row), column.end(row), out)) {
    throw new ParseError('hstore: not in the encoding of the database')
  }
}
