import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import { float8Codec } from './float.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * Geometric types (geo_decls.h, geo_ops.c): float8 after float8, little-endian. One text shape each, `#` is a float8:
 *
 *   point  16  x y                     (#,#)
 *   lseg   32  two points              [(#,#),(#,#)]
 *   box    32  high and low corner     (#,#),(#,#)
 *   line   24  A B C                   {#,#,#}
 *   circle 24  center, radius          <(#,#),#>
 *
 * path and polygon are varlenas, positions from the 4-byte header:
 *
 *   path     4 i32 npts   8 i32 closed   12 i32 0     16 points      [(#,#),…]  or closed ((#,#),…)
 *   polygon  4 i32 npts   8 box: high and low corner  40 points      ((#,#),…)
 */
const FLOAT8 = 8
const POINT = 2 * FLOAT8
const PATH_POINTS = 12
const POLYGON_POINTS = 36

export const pointCodec: Codec = shapeCodec('point', '(#,#)')
export const lsegCodec: Codec = shapeCodec('lseg', '[(#,#),(#,#)]')
export const boxCodec: Codec = shapeCodec('box', '(#,#),(#,#)')
export const lineCodec: Codec = shapeCodec('line', '{#,#,#}')
export const circleCodec: Codec = shapeCodec('circle', '<(#,#),#>')

/** A fixed number of float8s in a fixed text. */
function shapeCodec(type: string, shape: string): Codec {
  const size = shape.split('#').length * FLOAT8 - FLOAT8
  return textCodec({
    text(source, start, end, out) {
      checkPayload(type, source, start, end, size)
      putShape(shape, source, start, out)
    },
    parse(text, start, end, out) {
      if (parseShape(type, shape, text, start, end, out) !== end) throw new ParseError(`${type}: junk at the end`)
    },
  })
}

function putShape(shape: string, source: Uint8Array, start: number, out: ByteWriter): void {
  let at = start
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] !== '#') {
      out.u8(shape.charCodeAt(i))
      continue
    }
    float8Codec.text(source, at, at + FLOAT8, out)
    at += FLOAT8
  }
}

/** Reads one shape at `start`, appends its float8s, and gives the position behind it. */
function parseShape(type: string, shape: string, text: Uint8Array, start: number, end: number, out: ByteWriter): number {
  let at = start
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === '#') {
      const next = numberEnd(text, at, end)
      float8Codec.parse!(text, at, next, out)
      at = next
    } else {
      if (at >= end || text[at] !== shape.charCodeAt(i)) throw new ParseError(`${type}: not of the form ${shape}`)
      at++
    }
  }
  return at
}

/** A number ends before any of `,` `)` `]` `}` `>`. */
function numberEnd(text: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && !isNumberEnd(text[at]!)) at++
  return at
}

function isNumberEnd(byte: number): boolean {
  return byte === 0x2c || byte === 0x29 || byte === 0x5d || byte === 0x7d || byte === 0x3e
}

export const pathCodec: Codec = textCodec({
  text(source, start, end, out) {
    const npts = pointCount('path', source, start, end, PATH_POINTS)
    const closed = readI32(source, start + 4) !== 0
    putPoints(source, start + PATH_POINTS, npts, closed ? '()' : '[]', out)
  },
  parse(text, start, end, out) {
    const closed = start < end && text[start] === 0x28
    const from = out.length
    out.zeros(PATH_POINTS)
    const npts = parsePoints('path', text, start, end, closed ? '()' : '[]', out)
    out.setU32(from, npts)
    out.setU32(from + 4, closed ? 1 : 0)
  },
})

export const polygonCodec: Codec = textCodec({
  text(source, start, end, out) {
    const npts = pointCount('polygon', source, start, end, POLYGON_POINTS)
    putPoints(source, start + POLYGON_POINTS, npts, '()', out)
  },
  parse(text, start, end, out) {
    const from = out.length
    out.zeros(POLYGON_POINTS)
    const npts = parsePoints('polygon', text, start, end, '()', out)
    out.setU32(from, npts)
    writeBoundBox(out, from + 4, from + POLYGON_POINTS, npts)
  },
})

/** npts, checked against the bytes that are there. No input function makes a shape of no points, but arithmetic on paths may. */
function pointCount(type: string, source: Uint8Array, start: number, end: number, header: number): number {
  checkPayload(type, source, start, end)
  const size = end - start
  const npts = size < header ? -1 : readI32(source, start)
  if (npts < 0 || size !== header + npts * POINT) throw new CorruptionError(`datum.${type}`, `${npts} points in ${size} bytes`)
  return npts
}

function putPoints(source: Uint8Array, points: number, npts: number, brackets: string, out: ByteWriter): void {
  out.u8(brackets.charCodeAt(0))
  for (let i = 0; i < npts; i++) {
    if (i > 0) out.u8(0x2c)
    putShape('(#,#)', source, points + i * POINT, out)
  }
  out.u8(brackets.charCodeAt(1))
}

function parsePoints(type: string, text: Uint8Array, start: number, end: number, brackets: string, out: ByteWriter): number {
  if (end - start < 2 || text[start] !== brackets.charCodeAt(0) || text[end - 1] !== brackets.charCodeAt(1)) {
    throw new ParseError(`${type}: not in brackets`)
  }
  let npts = 0
  for (let at = start + 1; at < end - 1; npts++) {
    if (npts > 0 && text[at++] !== 0x2c) throw new ParseError(`${type}: no comma between points`)
    at = parseShape(type, '(#,#)', text, at, end - 1, out)
  }
  return npts
}

/**
 * make_bound_box (geo_ops.c): of equal values (0 and -0, or all NaNs, which sort above everything) the first one's bits are kept.
 * `box` is where high x, high y, low x, low y go; the points begin at `points`.
 */
function writeBoundBox(out: ByteWriter, box: number, points: number, npts: number): void {
  if (npts === 0) return
  const values = new DataView(out.bytes.buffer, out.bytes.byteOffset)
  for (let axis = 0; axis < 2; axis++) {
    let high = points + axis * FLOAT8
    let low = high
    for (let i = 1; i < npts; i++) {
      const at = points + i * POINT + axis * FLOAT8
      const value = values.getFloat64(at, true)
      if (float8Less(values.getFloat64(high, true), value)) high = at
      if (float8Less(value, values.getFloat64(low, true))) low = at
    }
    out.bytes.copyWithin(box + axis * FLOAT8, high, high + FLOAT8)
    out.bytes.copyWithin(box + POINT + axis * FLOAT8, low, low + FLOAT8)
  }
}

/** float8_lt: NaN is above everything and equal to itself. */
function float8Less(a: number, b: number): boolean {
  return a < b || (Number.isNaN(b) && !Number.isNaN(a))
}
