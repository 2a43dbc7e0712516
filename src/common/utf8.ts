/**
 * True if `bytes[start .. end)` is valid UTF-8 as Postgres means it (pg_utf8_islegal, wchar.c): shortest
 * form, no surrogates, at most U+10FFFF. Zero bytes are not valid in a Postgres text.
 */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const lead = bytes[at]!
    if (lead < 0x80) {
      if (lead === 0) return false
      at++
      continue
    }
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
    if (lead < 0xc2 || lead > 0xf4 || at + length > end) return false
    const second = bytes[at + 1]!
    if (second < secondMin(lead) || second > secondMax(lead)) return false
    for (let i = 2; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return false
    at += length
  }
  return true
}

function secondMin(lead: number): number {
  return lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
}

function secondMax(lead: number): number {
  return lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** UTF-8 bytes to a string; throws TypeError on bytes that are not UTF-8. A byte order mark is content. */
export function utf8Decode(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text)
}

/** One character per byte, U+0000 to U+00FF, so that positions are those of the bytes. */
export function byteText(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return text
}
