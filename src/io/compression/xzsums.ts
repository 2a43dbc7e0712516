import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { XzSums } from '../../common/compression/xz.ts'

/** The checksums of xz as Node computes them. */
export const XZ_SUMS: XzSums = { crc32: (bytes, before) => crc32(bytes, before), sha256: () => createHash('sha256') }
