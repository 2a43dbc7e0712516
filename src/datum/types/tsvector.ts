import { alignUp, type ByteWriter, readU16, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/textencoding.ts'
import { lexemeParse, lexemeText } from '../text/lexeme.ts'
import { nativeTextCodec } from '../text/nativetext.ts'

/*
 * tsvector (ts_type.h), payload: i32 count, count words, then the lexeme area; offsets count from the area's start
 *
 *  word      bit 0 has positions, bits 1 to 11 length of the lexeme, bits 12 to 31 its offset
 *  area      lexeme; if it has positions: to an even offset, u16 their number, u16 each: weight (A 3, B 2, C 1, D 0) << 14 | position
 */
const COUNT_SIZE = 4
const MAXSTRLEN = 0x7ff
const MAXSTRPOS = 0xfffff
const MAXNUMPOS = 0xffff
const POSITION_MAX = 0x3fff
/** By weight; D is not written. */
const WEIGHTS = ['', 'C', 'B', 'A']

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.tsvector', reason)
}

function tsvectorText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const count = end - start < COUNT_SIZE ? -1 : readU32(source, start)
  const area = start + COUNT_SIZE + count * 4
  if (count < 0 || area > end) throw corrupt(`${count} lexemes in ${end - start} bytes`)
  // Lexemes share no bytes: so the text stays in proportion to the payload.
  let left = end - area
  for (let i = 0; i < count; i++) {
    const word = readU32(source, start + COUNT_SIZE + i * 4)
    const length = (word >>> 1) & MAXSTRLEN
    const lexeme = area + (word >>> 12)
    if (lexeme + length > end) throw corrupt('a lexeme past the end')
    if (i > 0) out.u8(0x20)
    lexemeText(source, lexeme, lexeme + length, out)
    left -= length
    if (word & 1) left -= positionsText(source, area + alignUp(lexeme + length - area, 2), end, out)
    if (left < 0) throw corrupt('lexemes that overlap')
  }
}

/** Returns how many bytes the positions take. */
function positionsText(source: Uint8Array, at: number, end: number, out: ByteWriter): number {
  const count = at + 2 > end ? -1 : readU16(source, at)
  if (count < 0 || at + 2 + count * 2 > end) throw corrupt('positions past the end')
  for (let i = 0; i < count; i++) {
    const position = readU16(source, at + 2 + i * 2)
    out.u8(i === 0 ? 0x3a : 0x2c)
    out.ascii(`${position & POSITION_MAX}${WEIGHTS[position >> 14]}`)
  }
  return 2 + count * 2
}

/** Keeps the order of the text: a stored vector is sorted, and so is its text. */
function tsvectorParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const words = out.length + COUNT_SIZE
  const count = lexemeCount(text, start, end)
  out.u32(count)
  out.zeros(count * 4)
  const area = out.length
  for (let i = 0; i < count; i++) {
    if (i > 0) reader.expect(' ')
    const offset = out.length - area
    lexemeParse(reader, out)
    const length = out.length - area - offset
    const hasPositions = reader.peek() === 0x3a
    if (offset > MAXSTRPOS || length > MAXSTRLEN) throw new ParseError('tsvector: too long')
    out.setU32(words + i * 4, (offset << 12) | (length << 1) | (hasPositions ? 1 : 0))
    if (hasPositions) positionsParse(reader, area, out)
  }
  reader.finish()
}

/** Half of the quotes that are not doubled inside a lexeme. */
function lexemeCount(text: Uint8Array, start: number, end: number): number {
  let count = 0
  for (let at = start; at < end; at++) {
    if (text[at] !== 0x27) continue
    count++
    for (at++; at < end; at++) {
      if (text[at] === 0x27 && (at + 1 >= end || text[at + 1] !== 0x27)) break
      if (text[at] === 0x27 || text[at] === 0x5c) at++
    }
  }
  return count
}

function positionsParse(reader: AsciiReader, area: number, out: ByteWriter): void {
  out.alignFrom(area, 2)
  const at = out.length
  out.u16(0)
  let count = 0
  for (; reader.skip(count === 0 ? ':' : ','); count++) {
    if (reader.peek() === 0x30 && reader.at + 1 < reader.end && isDigit(reader.text[reader.at + 1]!)) {
      throw new ParseError('tsvector: leading zero')
    }
    const position = reader.unsigned(POSITION_MAX)
    const weight = reader.skip('A') ? 3 : reader.skip('B') ? 2 : reader.skip('C') ? 1 : 0
    out.u16((weight << 14) | position)
  }
  if (count > MAXNUMPOS) throw new ParseError('tsvector: too many positions')
  out.bytes[at] = count
  out.bytes[at + 1] = count >>> 8
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** tsvector: its text. @param encoding the database's; undefined for UTF-8 */
export function tsvectorCodec(encoding: TextEncoding | undefined): Codec {
  return nativeTextCodec({ text: tsvectorText, parse: tsvectorParse }, encoding)
}
