import { BLOCK_SIZE } from '../common/rel.ts'
import { PAGESIZE_VERSION, PD_LOWER, PD_PAGESIZE_VERSION, PD_SPECIAL, PD_UPPER, SIZE_OF_PAGE_HEADER } from './header.ts'

/*
 * The meta page of a B-tree, block 0 of its file (BTMetaPageData and BTPageOpaqueData, nbtree.h; _bt_initmetapage, nbtpage.c):
 *
 *  24      28        32     36      40         44          48             56            64              72 …    8176
 *  +-------+---------+------+-------+----------+-----------+--------------+-------------+---------------+-- … --+------------+
 *  | magic | version | root | level | fastroot | fastlevel | deleted, pad | tuples, f64 | allequalimage |       | flags META |
 *  +-------+---------+------+-------+----------+-----------+--------------+-------------+---------------+-- … --+------------+
 */
const BTREE_MAGIC = 0x053162
const BTREE_VERSION = 4
const SIZE_OF_META = 48
const SIZE_OF_OPAQUE = 16
const BTPO_FLAGS = 12
const BTP_META = 1 << 3

/**
 * The only page of a B-tree without entries. It says that no value may be deduplicated, which is right for every B-tree; REINDEX says what is true.
 */
export function emptyBtree(): Uint8Array {
  const page = new Uint8Array(BLOCK_SIZE)
  const view = new DataView(page.buffer)
  view.setUint16(PD_LOWER, SIZE_OF_PAGE_HEADER + SIZE_OF_META, true)
  view.setUint16(PD_UPPER, BLOCK_SIZE - SIZE_OF_OPAQUE, true)
  view.setUint16(PD_SPECIAL, BLOCK_SIZE - SIZE_OF_OPAQUE, true)
  view.setUint16(PD_PAGESIZE_VERSION, PAGESIZE_VERSION, true)
  view.setUint32(SIZE_OF_PAGE_HEADER, BTREE_MAGIC, true)
  view.setUint32(SIZE_OF_PAGE_HEADER + 4, BTREE_VERSION, true)
  view.setFloat64(SIZE_OF_PAGE_HEADER + 32, -1, true)
  view.setUint16(BLOCK_SIZE - SIZE_OF_OPAQUE + BTPO_FLAGS, BTP_META, true)
  return page
}
