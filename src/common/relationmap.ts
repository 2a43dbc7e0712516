import { readU32 } from './bytes.ts'
import { crc32c } from './crc32c.ts'
import { CorruptionError } from './errors.ts'
import type { Oid } from './ids.ts'
import type { PgMajor } from './pgversion.ts'

/*
 * pg_filenode.map (RelMapFile, relmapper.c), 512 bytes until 15 and 524 since 16; a record of RM_RELMAP_ID holds the same bytes:
 *
 *   0        4      8                  16                            504 (16+: 520)
 *   +--------+------+------------------+-- 62 slots (16+: 64) ------+-----+----------------
 *   | magic  |  n   | oid u32, file u32|                            | CRC | 4 of padding until 15
 *   +--------+------+------------------+----------------------------+-----+----------------
 */
const RELMAPPER_FILEMAGIC = 0x592717
const MAX_MAPPINGS_15 = 62
const MAX_MAPPINGS = 64

/** sizeof(RelMapFile). */
export function relationMapSize(major: PgMajor): number {
  return major >= 16 ? 8 + 8 * MAX_MAPPINGS + 4 : 8 + 8 * MAX_MAPPINGS_15 + 8
}

/**
 * Mapped catalogs (pg_class.relfilenode 0): oid to relNumber.
 * @throws CorruptionError relmap
 */
export function parseRelationMap(bytes: Uint8Array, major: PgMajor): Map<Oid, number> {
  const slots = major >= 16 ? MAX_MAPPINGS : MAX_MAPPINGS_15
  const crcAt = 8 + slots * 8
  if (bytes.length < crcAt + 4) throw new CorruptionError('relmap', `pg_filenode.map has ${bytes.length} bytes`)
  if (readU32(bytes, 0) !== RELMAPPER_FILEMAGIC) throw new CorruptionError('relmap', 'pg_filenode.map: wrong magic number')
  if (crc32c(bytes, 0, crcAt) !== readU32(bytes, crcAt)) throw new CorruptionError('relmap', 'pg_filenode.map: wrong CRC')
  const count = readU32(bytes, 4)
  if (count > slots) throw new CorruptionError('relmap', `pg_filenode.map: ${count} mappings`)
  const map = new Map<Oid, number>()
  for (let i = 0; i < count; i++) map.set(readU32(bytes, 8 + i * 8), readU32(bytes, 12 + i * 8))
  return map
}
