/*
 * An lz4 frame (lz4_Frame_format.md), little-endian:
 *
 *     04 22 4d 18 | FLG | BD | content size u64, if any | dictionary id u32, if any | HC | block … | 0 u32 | content checksum, if any
 *     block: length u32, top bit set if stored plain | bytes | checksum, if any
 */
export const MAGIC = 0x184d2204
export const FLG_VERSION_MASK = 0xc0
export const FLG_VERSION = 0x40
export const FLG_INDEPENDENT = 0x20
export const FLG_BLOCK_CHECKSUM = 0x10
export const FLG_CONTENT_SIZE = 0x08
export const FLG_CONTENT_CHECKSUM = 0x04
export const FLG_DICTIONARY = 0x01
export const BLOCK_PLAIN = 0x80000000
/** Largest block by bits 6 to 4 of BD. */
export const BLOCK_SIZES: Readonly<Record<number, number>> = { 4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22 }
