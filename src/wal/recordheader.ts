/*
 * XLogRecord (xlogrecord.h), little-endian, in one piece (the reader has taken the page headers out):
 *
 *  0            4        8         16        17       18    20        24
 *  +------------+--------+---------+---------+--------+-----+---------+--- headers ---+--- payloads ---+
 *  | xl_tot_len | xl_xid | xl_prev | xl_info | xl_rmid| pad | xl_crc  | blocks, main  | images, data…  |
 *  +------------+--------+---------+---------+--------+-----+---------+---------------+----------------+
 *
 * The headers end where the bytes left are as many as the payloads announced so far. A block's image comes before its data; main data is last.
 * Nothing is aligned, and padding inside C structs is garbage.
 */
export const SIZE_OF_RECORD_HEADER = 24
export const XL_TOT_LEN = 0
export const XL_XID = 4
export const XL_PREV = 8
export const XL_INFO = 16
export const XL_RMID = 17
export const XL_CRC = 20

/*
 * XLogRecordBlockHeader, one per block; then, if it has an image, XLogRecordBlockImageHeader and for a compressed one with a hole the hole's length;
 * then, unless it is the relation of the block before (BKPBLOCK_SAME_REL), RelFileLocator; then BlockNumber:
 *
 *  0    1            2             4 | 0      2             4           5 | 0        4       8           12      16
 *  +----+------------+-------------+-+--------+-------------+-----------+-+--------+-------+-----------+-------+
 *  | id | fork_flags | data_length | | length | hole_offset | bimg_info | | spcOid | dbOid | relNumber | block |
 *  +----+------------+-------------+-+--------+-------------+-----------+-+--------+-------+-----------+-------+
 */
export const BLOCK_FORK_FLAGS = 1
export const BLOCK_DATA_LENGTH = 2
export const SIZE_OF_BLOCK_HEADER = 4

export const BLOCK_IMAGE_LENGTH = 0
export const BLOCK_IMAGE_HOLE_OFFSET = 2
export const BLOCK_IMAGE_INFO = 4
export const SIZE_OF_BLOCK_IMAGE_HEADER = 5
/** XLogRecordBlockCompressHeader: hole_length. */
export const SIZE_OF_BLOCK_COMPRESS_HEADER = 2

export const LOCATOR_SPC_OID = 0
export const LOCATOR_DB_OID = 4
export const LOCATOR_REL_NUMBER = 8
export const SIZE_OF_LOCATOR = 12
