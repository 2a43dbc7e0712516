/*
 * XLogRecord (xlogrecord.h), little-endian, in one piece (the reader has taken the page headers out):
 *
 *  0            4        8         16        17       18    20        24
 *  +------------+--------+---------+---------+--------+-----+---------+--- headers ---+--- payloads ---+
 *  | xl_tot_len | xl_xid | xl_prev | xl_info | xl_rmid| pad | xl_crc  | blocks, main  | images, data…  |
 *  +------------+--------+---------+---------+--------+-----+---------+---------------+----------------+
 *
 * The headers end where the bytes left are as many as the payloads announced so far. Per block: its image, then its data; main data last.
 * Nothing is aligned, and padding inside C structs is garbage.
 */
export const SIZE_OF_RECORD_HEADER = 24
export const XL_XID = 4
export const XL_PREV = 8
export const XL_INFO = 16
export const XL_RMID = 17
export const XL_CRC = 20
