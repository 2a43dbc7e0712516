import { readU32 } from '../common/bytes.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'

/** SEQ_MAGIC (sequence.c): what the special area of a sequence's only page begins with. */
export const SEQ_MAGIC = 0x1717
/** MAXALIGN(sizeof(sequence_magic)): the magic, then 4 bytes of zeros. */
export const SIZE_OF_SEQUENCE_SPECIAL = 8

/** Position of the 4 bytes of alignment after the magic. */
const SEQ_PADDING = 4

/**
 * What a page's special area tells about its relation: heaps have none, sequences 8 bytes with a magic in their only block, indexes
 * something else (BTPageOpaqueData, HashPageOpaqueData …).
 * @param special pd_special of a page that is neither all zero nor damaged
 */
export function isIndexArea(page: Uint8Array, special: number, block: BlockNumber): boolean {
  return special !== BLOCK_SIZE && !(block === 0 && isSequenceArea(page, special))
}

/** The special area is a sequence's. */
export function isSequenceArea(page: Uint8Array, special: number): boolean {
  return special === BLOCK_SIZE - SIZE_OF_SEQUENCE_SPECIAL && readU32(page, special) === SEQ_MAGIC && readU32(page, special + SEQ_PADDING) === 0
}
