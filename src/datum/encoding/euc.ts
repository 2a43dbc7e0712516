import type { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import { codePointAt, putCodePoint, utf8Length } from './codepoint.ts'
import { CodeTable, type TableText } from './codetable.ts'
import { copyPlain } from './plain.ts'
import type { TextEncoding } from './textencoding.ts'

/*
 * EUC (wchar.c): bytes below 0x80 are ASCII, all others belong to codes of
 *
 *   c1 c2            plane 0; in EUC_JP and EUC_JIS_2004 half-width katakana too (c1 = SS2)
 *   SS3 c1 c2        plane 1: JIS X 0212 or 0213 (EUC_JP, EUC_JIS_2004)
 *   SS2 p c1 c2      plane p - 0xa0: CNS 11643 (EUC_TW); plane 1 repeats plane 0
 */
const SS2 = 0x8e
const SS3 = 0x8f
const EUC_TW_PLANE = 0xa0

/** How an encoding reaches the planes above 0. */
export interface EucShape {
  readonly planes: number
  /** The byte that begins such codes; 0 if the encoding has no such codes. */
  readonly shift: number
  /** Length of such a code: 3, or 4 if the second byte is the plane. */
  readonly shiftedLength: number
}

export const EUC_PLAIN: EucShape = { planes: 1, shift: 0, shiftedLength: 0 }
export const EUC_JAPANESE: EucShape = { planes: 2, shift: SS3, shiftedLength: 3 }
export const EUC_TAIWAN: EucShape = { planes: 3, shift: SS2, shiftedLength: 4 }

const PLANE_BITS = 14
/** A code grows most from 2 bytes to a pair of 3 each. */
const GROWTH = 3

/** An EUC encoding; its table is read when it is first needed. */
export function eucEncoding(name: string, shape: EucShape, text: TableText): TextEncoding {
  let loaded: CodeTable | undefined
  const table = (): CodeTable => (loaded ??= new CodeTable(text, shape.planes << PLANE_BITS))
  return {
    name,
    toUtf8: (source, start, end, out) => copyPlain(source, start, end, out) || toUtf8(table(), shape, source, start, end, out),
    fromUtf8: (source, start, end, out) => copyPlain(source, start, end, out) || fromUtf8(table(), shape, source, start, end, out),
  }
}

function toUtf8(table: CodeTable, shape: EucShape, source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  const { forward, pairs } = table
  out.reserve((end - start) * GROWTH)
  const { bytes } = out
  let to = out.length
  for (let at = start; at < end; ) {
    const lead = source[at]!
    if (lead < 0x80) {
      if (lead === 0) return false
      bytes[to++] = lead
      at++
      continue
    }
    const length = lead === shape.shift ? shape.shiftedLength : 2
    if (at + length > end) return false
    const plane = length === 2 ? 0 : length === 3 ? 1 : source[at + 1]! - EUC_TW_PLANE
    if (length === 4 && (plane < 1 || plane >= shape.planes)) return false
    at += length
    const c1 = source[at - 2]!
    const c2 = source[at - 1]!
    if ((c1 & c2 & 0x80) === 0) return false
    const codePoint = forward[(plane << PLANE_BITS) | ((c1 & 0x7f) << 7) | (c2 & 0x7f)]!
    if (codePoint === 0) return false
    if (codePoint > 0) {
      to = putCodePoint(bytes, to, codePoint)
    } else {
      to = putCodePoint(bytes, to, pairs[(-1 - codePoint) * 2]!)
      to = putCodePoint(bytes, to, pairs[(-1 - codePoint) * 2 + 1]!)
    }
  }
  out.length = to
  return true
}

function fromUtf8(table: CodeTable, shape: EucShape, source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (!isUtf8(source, start, end)) return false
  const { backward } = table
  out.reserve((end - start) * 2)
  const { bytes } = out
  let to = out.length
  for (let at = start; at < end; ) {
    const codePoint = codePointAt(source, at)
    at += utf8Length(codePoint)
    if (codePoint < 0x80) {
      bytes[to++] = codePoint
      continue
    }
    let slot = -1
    if (backward.hasPairs && at < end) {
      const next = codePointAt(source, at)
      slot = backward.slotOfPair(codePoint, next)
      if (slot >= 0) at += utf8Length(next)
    }
    if (slot < 0) slot = backward.slotOf(codePoint)
    if (slot < 0) return false
    to = putCode(bytes, to, shape, slot)
  }
  out.length = to
  return true
}

function putCode(bytes: Uint8Array, to: number, shape: EucShape, slot: number): number {
  const plane = slot >> PLANE_BITS
  if (plane > 0) {
    bytes[to++] = shape.shift
    if (shape.shiftedLength === 4) bytes[to++] = EUC_TW_PLANE + plane
  }
  bytes[to++] = 0x80 | ((slot >> 7) & 0x7f)
  bytes[to++] = 0x80 | (slot & 0x7f)
  return to
}
