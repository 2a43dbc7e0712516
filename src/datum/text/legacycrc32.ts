/**
 * COMP_LEGACY_CRC32 (pg_crc.h): the table of the reflected CRC-32 (polynomial 0xEDB88320) walked as if it were not reflected. No other
 * software computes this; tsquery operands carry it.
 */
const TABLE = new Int32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  TABLE[byte] = crc
}

export function legacyCrc32(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let at = start; at < end; at++) crc = TABLE[((crc >>> 24) ^ bytes[at]!) & 0xff]! ^ (crc << 8)
  return (crc ^ -1) >>> 0
}
