import type { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import { strictParse } from '../text/strict.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * inet, cidr (inet.h), payload; both types look the same
 *
 *  +--------+------+------------------+
 *  | family | bits | 4 or 16 bytes    |     family 2 = IPv4, 3 = IPv6 (PGSQL_AF_INET6, no operating system's number)
 *  +--------+------+------------------+
 */
const PGSQL_AF_INET = 2
const PGSQL_AF_INET6 = 3
const COLON = 0x3a

/** inet_out and cidr_out (network.c, inet_net_ntop.c): cidr always shows its bits, inet only when they are not all. */
function networkText(withBits: boolean) {
  return (source: Uint8Array, start: number, end: number, out: ByteWriter): void => {
    const family = source[start]!
    const size = family === PGSQL_AF_INET ? 4 : family === PGSQL_AF_INET6 ? 16 : -1
    if (start >= end || end - start !== 2 + size) throw new CorruptionError('datum.inet', `${end - start} bytes of family ${family}`)
    const bits = source[start + 1]!
    if (bits > size * 8) throw new CorruptionError('datum.inet', `a netmask of ${bits} bits`)
    if (size === 4) out.ascii(dotted(source, start + 2))
    else v6Text(source, start + 2, out)
    if (withBits || bits !== size * 8) out.ascii(`/${bits}`)
  }
}

function dotted(source: Uint8Array, at: number): string {
  return `${source[at]}.${source[at + 1]}.${source[at + 2]}.${source[at + 3]}`
}

function v6Text(source: Uint8Array, at: number, out: ByteWriter): void {
  const groups: number[] = []
  for (let i = 0; i < 8; i++) groups.push((source[at + i * 2]! << 8) | source[at + i * 2 + 1]!)
  const { base, count } = longestZeros(groups)
  const isV4 = base === 0 && (count === 6 || (count === 5 && groups[5] === 0xffff))
  for (let i = 0; i < 8; i++) {
    if (i >= base && i < base + count) {
      if (i === base) out.u8(COLON)
      continue
    }
    if (i !== 0) out.u8(COLON)
    if (isV4 && i === 6) {
      out.ascii(dotted(source, at + 12))
      break
    }
    out.ascii(groups[i]!.toString(16))
  }
  if (base >= 0 && base + count === 8) out.u8(COLON)
}

/** The first of the longest runs of at least two zero groups; base -1 without one. */
function longestZeros(groups: readonly number[]): { base: number; count: number } {
  let best = { base: -1, count: 0 }
  for (let i = 0; i < groups.length; i++) {
    let next = i
    while (next < groups.length && groups[next] === 0) next++
    if (next - i > best.count && next - i >= 2) best = { base: i, count: next - i }
    if (next > i) i = next
  }
  return best
}

function networkParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const address = reader.until('/')
  const bytes = address.includes(':') ? v6Bytes(address) : v4Bytes(address)
  const bits = reader.skip('/') ? reader.unsigned(bytes.length * 8) : bytes.length * 8
  reader.finish()
  out.u8(bytes.length === 4 ? PGSQL_AF_INET : PGSQL_AF_INET6)
  out.u8(bits)
  for (const byte of bytes) out.u8(byte)
}

function v4Bytes(address: string): number[] {
  const bytes = address.split('.').map(Number)
  if (bytes.length !== 4 || !bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) {
    throw new ParseError('inet: not an IPv4 address')
  }
  return bytes
}

function v6Bytes(address: string): number[] {
  const halves = address.split('::')
  const head = v6Half(halves[0]!)
  const tail = halves.length > 1 ? v6Half(halves[1]!) : []
  const zeros = 16 - head.length - tail.length
  if (halves.length > 2 || zeros < 0 || (halves.length === 1 && zeros !== 0)) throw new ParseError('inet: not an IPv6 address')
  return [...head, ...new Array<number>(zeros).fill(0), ...tail]
}

function v6Half(half: string): number[] {
  if (half === '') return []
  return half.split(':').flatMap((group) => {
    if (group.includes('.')) return v4Bytes(group)
    if (!/^[0-9a-f]{1,4}$/.test(group)) throw new ParseError('inet: not an IPv6 address')
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}

export const inetCodec: Codec = textCodec(strictParse({ text: networkText(false), parse: networkParse }))
export const cidrCodec: Codec = textCodec(strictParse({ text: networkText(true), parse: networkParse }))
