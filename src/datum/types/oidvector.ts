import { type ByteWriter, readI32, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import { int2Codec } from './int.ts'
import { oidCodec } from './oid.ts'
import { checkPayload } from './payload.ts'
import type { ListVector } from '../../vector/vector.ts'

/*
 * oidvector (oid.c), int2vector (int.c): arrays of one dimension from 0, without nulls; storage plain
 *
 *  4        8              12         16            20              24
 *  +--------+--------------+----------+-------------+---------------+-----------------
 *  | ndim 1 | dataoffset 0 | elemtype | dim1 (i32)  | lower bound 0 | elements, packed
 *  +--------+--------------+----------+-------------+---------------+-----------------
 *
 *   01000000 00000000 15000000 02000000 00000000 0100 feff     int2vector `1 -2`
 */
const HEADER = 20

/** oidvector ↔ list of long. */
export const oidvectorCodec: Codec = vectorCodec('oidvector', 26, 4, oidCodec)
/** int2vector ↔ list of int. */
export const int2vectorCodec: Codec = vectorCodec('int2vector', 21, 2, int2Codec)

function vectorCodec(type: string, elementOid: number, width: number, element: Codec): Codec {
  return {
    column: { kind: 'list', element: element.column },
    overflows: false,
    decode(source, start, end, out) {
      const list = out as ListVector
      const data = start + HEADER
      const count = readCount(type, source, start, end, elementOid, width)
      for (let i = 0; i < count; i++) element.decode(source, data + i * width, data + (i + 1) * width, list.child)
      list.close()
      return true
    },
    encode(column, row, out) {
      const list = column as ListVector
      const from = list.start(row)
      const to = list.end(row)
      writeHeader(elementOid, to - from, out)
      for (let i = from; i < to; i++) {
        if (list.child.isNull(i)) throw new CorruptionError(`datum.${type}`, 'a null in the list')
        element.encode!(list.child, i, out)
      }
    },
    text(source, start, end, out) {
      const data = start + HEADER
      const count = readCount(type, source, start, end, elementOid, width)
      for (let i = 0; i < count; i++) {
        if (i > 0) out.u8(0x20)
        element.text(source, data + i * width, data + (i + 1) * width, out)
      }
    },
    parse(text, start, end, out) {
      const from = out.length
      writeHeader(elementOid, 0, out)
      let count = 0
      for (let at = start; at < end || (count > 0 && at === end); count++) {
        let next = at
        while (next < end && text[next] !== 0x20) next++
        element.parse!(text, at, next, out)
        at = next + 1
      }
      out.setU32(from + 12, count)
    },
  }
}

function readCount(type: string, source: Uint8Array, start: number, end: number, elementOid: number, width: number): number {
  checkPayload(type, source, start, end)
  const size = end - start
  if (size < HEADER || readI32(source, start) !== 1 || readI32(source, start + 4) !== 0 || readU32(source, start + 8) !== elementOid) {
    throw new CorruptionError(`datum.${type}`, 'not an array of one dimension without nulls')
  }
  const count = readU32(source, start + 12)
  if (HEADER + count * width > size) throw new CorruptionError(`datum.${type}`, `${count} elements in ${size} bytes`)
  return count
}

function writeHeader(elementOid: number, count: number, out: ByteWriter): void {
  out.u32(1)
  out.u32(0)
  out.u32(elementOid)
  out.u32(count)
  out.u32(0)
}
