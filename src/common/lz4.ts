import { CorruptionError } from './errors.ts'

/**
 * One raw LZ4 block (lz4_Block_format.md), as LZ4_decompress_safe reads it: token (literal run, match length - 4),
 * literals, u16 little-endian distance; runs of 15 continue in bytes until one is not 255; ends after literals.
 * @param rawSize exact length of the result
 * @throws CorruptionError compression.lz4
 */
export function lz4Decompress(source: Uint8Array, start: number, end: number, rawSize: number): Uint8Array {
  const out = new Uint8Array(rawSize)
  const made = lz4DecompressInto(source, start, end, out, 0, rawSize)
  if (made !== rawSize) throw corrupt(`${made} of ${rawSize} bytes made`)
  return out
}

/**
 * The same into `out[outStart .. outEnd)`; matches may reach back into what `out` holds before that, as blocks of a frame do.
 * @returns where the output ends, at most `outEnd`
 */
export function lz4DecompressInto(source: Uint8Array, start: number, end: number, out: Uint8Array, outStart: number, outEnd: number): number {
  let from = start
  let to = outStart
  const extended = (length: number): number => {
    let byte = 255
    while (byte === 255) {
      if (from >= end) throw corrupt('run length cut short')
      byte = source[from++]!
      length += byte
    }
    return length
  }
  while (from < end) {
    const token = source[from++]!
    let literals = token >>> 4
    if (literals === 15) literals = extended(literals)
    if (from + literals > end || to + literals > outEnd) throw corrupt(`${literals} literals at output byte ${to}`)
    for (const stop = from + literals; from < stop; ) out[to++] = source[from++]!
    if (from === end) break
    if (from + 2 > end) throw corrupt('distance cut short')
    const distance = source[from]! | (source[from + 1]! << 8)
    from += 2
    let length = token & 15
    if (length === 15) length = extended(length)
    length += 4
    if (distance === 0 || distance > to || to + length > outEnd) throw corrupt(`match of ${length} at distance ${distance}, output byte ${to}`)
    for (const stop = to + length; to < stop; to++) out[to] = out[to - distance]!
  }
  return to
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.lz4', reason)
}
