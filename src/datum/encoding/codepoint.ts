/** Writes a code point as UTF-8 at `to`, where there is room for it; returns the position behind. */
export function putCodePoint(bytes: Uint8Array, to: number, codePoint: number): number {
  if (codePoint < 0x80) {
    bytes[to++] = codePoint
    return to
  }
  if (codePoint < 0x800) {
    bytes[to++] = 0xc0 | (codePoint >> 6)
  } else {
    if (codePoint < 0x10000) {
      bytes[to++] = 0xe0 | (codePoint >> 12)
    } else {
      bytes[to++] = 0xf0 | (codePoint >> 18)
      bytes[to++] = 0x80 | ((codePoint >> 12) & 0x3f)
    }
    bytes[to++] = 0x80 | ((codePoint >> 6) & 0x3f)
  }
  bytes[to++] = 0x80 | (codePoint & 0x3f)
  return to
}

/** The code point at `at` of text that isUtf8 has accepted. */
export function codePointAt(source: Uint8Array, at: number): number {
  const lead = source[at]!
  if (lead < 0x80) return lead
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | (source[at + 1]! & 0x3f)
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | ((source[at + 1]! & 0x3f) << 6) | (source[at + 2]! & 0x3f)
  const high = ((lead & 0x07) << 18) | ((source[at + 1]! & 0x3f) << 12)
  return high | ((source[at + 2]! & 0x3f) << 6) | (source[at + 3]! & 0x3f)
}

/** Bytes of a code point in UTF-8. */
export function utf8Length(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
}
