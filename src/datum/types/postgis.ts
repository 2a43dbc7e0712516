import { type ByteWriter, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * geometry, geography of PostGIS 2 and 3 (gserialized1.c, gserialized2.c), payload
 *
 *  +----------------+-------+-----------------+---------------------------+--------------+
 *  | srid, 3 bytes, | flags | 8 bytes if      | box if BBOX: f32 min, max | geometry ... |
 *  | HIGH first     |       | EXTENDED        | of each dimension         |              |
 *  +----------------+-------+-----------------+---------------------------+--------------+
 *  geometry    u32 type | u32 count | what the type says
 *    point, line, circular string, triangle   count points of f64 x, y [, z] [, m]
 *    polygon                                  u32 points of each ring, padded to 8, then the points of all rings
 *    every other type                         count geometries
 *
 * Text: upper-case hex of the EWKB, little-endian: each geometry gets its byte order, and the outermost the srid.
 */
const FLAG_Z = 0x01
const FLAG_M = 0x02
const FLAG_BBOX = 0x04
const FLAG_GEODETIC = 0x08
const FLAG_EXTENDED = 0x10
const FLAG_VERSION_2 = 0x40
const HEADER = 4

const POINT = 1
const POLYGON = 3
const TRIANGLE = 14
/** WKB's numbers by lwgeom's: they differ from 13 on. */
const WKB_TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17, 16]
const SEQUENCES: readonly number[] = [POINT, 2, 8, TRIANGLE]

const WKB_Z = 0x80000000
const WKB_M = 0x40000000
const WKB_SRID = 0x20000000
const NAN_HIGH = 0x7ff80000

const HEX_DIGITS = Uint8Array.from('0123456789ABCDEF', (digit) => digit.charCodeAt(0))

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.geometry', reason)
}

function geometryText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start < HEADER) throw corrupt(`${end - start} bytes`)
  const flags = source[start + 3]!
  const dimensions = 2 + (flags & FLAG_Z ? 1 : 0) + (flags & FLAG_M ? 1 : 0)
  let at = start + HEADER
  if (flags & FLAG_VERSION_2 && flags & FLAG_EXTENDED) at += 8
  if (flags & FLAG_BBOX) at += (flags & FLAG_GEODETIC ? 3 : dimensions) * 8
  // The sign of the 21 bits is in bit 20.
  const srid = (((source[start]! << 16) | (source[start + 1]! << 8) | source[start + 2]!) << 11) >> 11
  const dimensionBits = (flags & FLAG_Z ? WKB_Z : 0) | (flags & FLAG_M ? WKB_M : 0)
  const writer = new Writer(source, at, end, dimensions, out)
  writer.geometry(dimensionBits | (srid !== 0 ? WKB_SRID : 0), srid)
  while (writer.pending > 0) writer.geometry(dimensionBits, 0)
  if (writer.at !== end) throw corrupt('bytes behind the geometry')
}

/** Writes EWKB. It has the order of the payload, so nested geometries need no stack, only a count of those that follow. */
class Writer {
  at: number
  pending = 1
  private readonly source: Uint8Array
  private readonly end: number
  private readonly pointSize: number
  private readonly out: ByteWriter

  constructor(source: Uint8Array, at: number, end: number, dimensions: number, out: ByteWriter) {
    this.source = source
    this.at = at
    this.end = end
    this.pointSize = dimensions * 8
    this.out = out
  }

  geometry(bits: number, srid: number): void {
    const type = this.word()
    const count = this.word()
    const wkbType = WKB_TYPES[type]
    if (!wkbType) throw corrupt(`geometry type ${type}`)
    this.pending--
    this.out.ascii('01')
    this.hexWord(wkbType | bits)
    if (srid !== 0) this.hexWord(srid)
    if (type === POINT) this.point(count)
    else if (type === POLYGON) this.polygon(count)
    else if (SEQUENCES.includes(type)) this.sequence(type, count)
    else this.collection(count)
  }

  private word(): number {
    if (this.at + 4 > this.end) throw corrupt('a geometry past the end')
    const word = readU32(this.source, this.at)
    this.at += 4
    return word
  }

  /** An empty point has NaN for coordinates. */
  private point(count: number): void {
    if (count > 1) throw corrupt(`a point of ${count}`)
    if (count === 1) return this.points(1)
    for (let at = 0; at < this.pointSize; at += 8) {
      this.hexWord(0)
      this.hexWord(NAN_HIGH)
    }
  }

  /** A triangle is stored as its ring and written as a polygon of one ring, or of none. */
  private sequence(type: number, count: number): void {
    if (type === TRIANGLE && count > 0) this.hexWord(1)
    this.hexWord(count)
    this.points(count)
  }

  private polygon(count: number): void {
    const sizes = this.at
    if (sizes + count * 4 > this.end) throw corrupt(`${count} rings past the end`)
    this.at += (count + (count & 1)) * 4
    this.hexWord(count)
    for (let ring = 0; ring < count; ring++) {
      const points = readU32(this.source, sizes + ring * 4)
      this.hexWord(points)
      this.points(points)
    }
  }

  private collection(count: number): void {
    if (count * 8 > this.end - this.at) throw corrupt(`${count} geometries past the end`)
    this.pending += count
    this.hexWord(count)
  }

  private points(count: number): void {
    const stop = this.at + count * this.pointSize
    if (stop > this.end) throw corrupt(`${count} points past the end`)
    const { source, out } = this
    out.reserve((stop - this.at) * 2)
    const { bytes } = out
    let to = out.length
    for (let at = this.at; at < stop; at++) {
      bytes[to++] = HEX_DIGITS[source[at]! >> 4]!
      bytes[to++] = HEX_DIGITS[source[at]! & 15]!
    }
    out.length = to
    this.at = stop
  }

  private hexWord(word: number): void {
    for (let shift = 0; shift < 32; shift += 8) {
      this.out.u8(HEX_DIGITS[(word >>> (shift + 4)) & 15]!)
      this.out.u8(HEX_DIGITS[(word >>> shift) & 15]!)
    }
  }
}

/** geometry and geography: the text only. The stored box and flags do not follow from it, so the raw lane carries the bytes. */
export const geometryCodec: Codec = textCodec({ text: geometryText })
