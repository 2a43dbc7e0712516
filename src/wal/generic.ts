import { MainData } from './maindata.ts'
import type { BlockReference, WalRecord } from './record.ts'

/** A piece of a page that a generic record changes. */
export interface PagePiece {
  /** Where it goes in the page. */
  offset: number
  /** Where its bytes are in the record's bytes. */
  start: number
  length: number
}

const data = new MainData('wal.generic')

/**
 * The delta of a block of a generic record (writeFragment, generic_xlog.c), to the end of the block data: offset and length, 2 bytes each, and the
 * bytes themselves.
 * @throws CorruptionError wal.generic
 */
export function decodePageDelta(record: WalRecord, block: BlockReference): PagePiece[] {
  data.openBlock(record, block)
  const end = block.dataStart + block.dataLength
  const pieces: PagePiece[] = []
  while (data.at < end) {
    const offset = data.u16()
    const length = data.u16()
    pieces.push({ offset, start: data.take(length), length })
  }
  return pieces
}
