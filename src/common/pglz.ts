import { CorruptionError } from './errors.ts'

/**
 * pglz_decompress (pg_lzcompress.c). Control bytes, LSB first: 0 is a literal byte; 1 is a match of two bytes
 * `dddd llll  dddddddd`: distance 12 bits, length l + 3, and when l is 15 one more byte is added.
 * @param rawSize exact length of the result
 * @throws CorruptionError compression.pglz unless input and output end together
 */
export function pglzDecompress(source: Uint8Array, start: number, end: number, rawSize: number): Uint8Array {
  const out = new Uint8Array(rawSize)
  pglzDecompressInto(source, start, end, out, rawSize)
  return out
}

/** The same into `out[0 .. rawSize)`, which is long enough. */
export function pglzDecompressInto(source: Uint8Array, start: number, end: number, out: Uint8Array, rawSize: number): void {
  let from = start
  let to = 0
  while (from < end && to < rawSize) {
    let control = source[from++]!
    for (let item = 0; item < 8 && from < end && to < rawSize; item++, control >>= 1) {
      if ((control & 1) === 0) {
        out[to++] = source[from++]!
        continue
      }
      if (from + 2 > end) throw corrupt('match cut short')
      const high = source[from]!
      const distance = ((high & 0xf0) << 4) | source[from + 1]!
      let length = (high & 0x0f) + 3
      from += 2
      if (length === 18) {
        if (from >= end) throw corrupt('match length cut short')
        length += source[from++]!
      }
      if (distance === 0 || distance > to) throw corrupt(`distance ${distance} at output byte ${to}`)
      const stop = Math.min(to + length, rawSize)
      for (; to < stop; to++) out[to] = out[to - distance]!
    }
  }
  if (to !== rawSize || from !== end) throw corrupt(`${to} of ${rawSize} bytes made, ${end - from} input bytes left`)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.pglz', reason)
}
