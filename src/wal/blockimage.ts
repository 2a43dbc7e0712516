import { assert, CorruptionError, withPosition } from '../common/errors.ts'
import { formatWalPosition } from '../common/ids.ts'
import { lz4DecompressInto } from '../common/lz4.ts'
import { pglzDecompressInto } from '../common/pglz.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { zstdDecompressInto } from '../common/compression/zstdframe.ts'
import { type BlockReference, IMAGE_LZ4, IMAGE_PGLZ, IMAGE_PLAIN, IMAGE_ZSTD, type WalRecord } from './record.ts'

/** The decompressed image, before the hole is put back. Each call overwrites it. */
const scratch = new Uint8Array(BLOCK_SIZE)

/**
 * RestoreBlockImage (xlogreader.c): writes the full-page image of `block` over the 8192 bytes of `page`. The hole between pd_lower and pd_upper
 * is not stored, because nothing reads it; it becomes zeros. LSN and checksum are those of the page before the record, and redo sets the LSN.
 *
 *     image in the record    | before the hole | after the hole |
 *     page                   | before the hole | 0 0 0 0 0 0 0 0 | after the hole |
 *
 * An error leaves `page` unchanged, so a damaged image costs no page that was sound.
 * @throws CorruptionError wal.image, compression.*
 */
export function restoreImage(record: WalRecord, block: BlockReference, page: Uint8Array): void {
  assert(page.length === BLOCK_SIZE, `a page of ${page.length} bytes`)
  const { imageStart, imageLength, holeOffset, holeLength, imageCompression } = block
  const stored = BLOCK_SIZE - holeLength
  if (!block.hasImage || holeLength < 0 || holeOffset + holeLength > BLOCK_SIZE) {
    throw corrupt(record, block, 'the block has no image, or its hole does not fit into a page')
  }
  if (imageStart + imageLength > record.start + record.length) throw corrupt(record, block, `an image of ${imageLength} bytes, cut short`)
  if (imageCompression === IMAGE_PLAIN) {
    if (imageLength !== stored) throw corrupt(record, block, `${imageLength} bytes and a hole of ${holeLength}`)
    place(record.bytes, imageStart, page, holeOffset, holeLength)
    return
  }
  withPosition({ lsn: formatWalPosition(record.startLsn), block: block.block }, () => decompress(record, block, stored))
  place(scratch, 0, page, holeOffset, holeLength)
}

function decompress({ bytes }: WalRecord, { imageStart, imageLength, imageCompression }: BlockReference, stored: number): void {
  const end = imageStart + imageLength
  if (imageCompression === IMAGE_PGLZ) {
    pglzDecompressInto(bytes, imageStart, end, scratch, stored)
  } else if (imageCompression === IMAGE_LZ4) {
    const made = lz4DecompressInto(bytes, imageStart, end, scratch, 0, stored)
    if (made !== stored) throw new CorruptionError('compression.lz4', `${made} of ${stored} bytes made`)
  } else if (imageCompression === IMAGE_ZSTD) {
    zstdDecompressInto(bytes, imageStart, end, scratch, stored)
  }
}

function place(from: Uint8Array, start: number, page: Uint8Array, holeOffset: number, holeLength: number): void {
  const holeEnd = holeOffset + holeLength
  page.set(from.subarray(start, start + holeOffset))
  page.fill(0, holeOffset, holeEnd)
  page.set(from.subarray(start + holeOffset, start + BLOCK_SIZE - holeLength), holeEnd)
}

function corrupt(record: WalRecord, block: BlockReference, reason: string): CorruptionError {
  return new CorruptionError('wal.image', reason, { lsn: formatWalPosition(record.startLsn), block: block.block })
}
