import { alignUp, type ByteWriter, readU16 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import type { TextEncoding } from '../encoding/textencoding.ts'
import { nativeTextCodec } from '../text/nativetext.ts'
import { strictParse } from '../text/strict.ts'

/*
 * ltree (contrib/ltree/ltree.h), payload: u16 number of levels, 2 zero bytes, then each level padded to 8 bytes:
 *
 *  +--------+---------------+----------+
 *  | u16 len| label         | 0 ... 0  |
 *  +--------+---------------+----------+
 */
const LTREE_HEADER = 4
const LEVEL_HEADER = 2
const LEVEL_ALIGN = 8
const DOT = 0x2e

function ltreeText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start < LTREE_HEADER) throw corrupt(`${end - start} bytes`)
  const levels = readU16(source, start)
  let at = start + LTREE_HEADER
  for (let level = 0; level < levels; level++) {
    if (at + LEVEL_HEADER > end) throw corrupt(`level ${level} of ${levels} past the end`)
    const length = readU16(source, at)
    if (at + LEVEL_HEADER + length > end) throw corrupt(`a label of ${length} bytes past the end`)
    if (level > 0) out.u8(DOT)
    out.copy(source, at + LEVEL_HEADER, at + LEVEL_HEADER + length)
    at += alignUp(LEVEL_HEADER + length, LEVEL_ALIGN)
  }
  if (at !== end) throw corrupt(`${levels} levels do not fill ${end - start} bytes`)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.ltree', reason)
}

function ltreeParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const from = out.length
  out.zeros(LTREE_HEADER)
  let levels = 0
  for (let at = start; at < end; levels++) {
    if (levels > 0) at++
    const label = at
    while (at < end && text[at] !== DOT) at++
    out.u16(at - label)
    out.copy(text, label, at)
    out.alignFrom(from + LTREE_HEADER, LEVEL_ALIGN)
  }
  out.bytes[from] = levels
  out.bytes[from + 1] = levels >>> 8
}

const form = strictParse({ text: ltreeText, parse: ltreeParse })

/** ltree: its text. @param encoding the database's; undefined for UTF-8 */
export function ltreeCodec(encoding: TextEncoding | undefined): Codec {
  return nativeTextCodec(form, encoding)
}
