/*
 * jsonb (jsonb.h, jsonb_util.c): one container at the payload's start; inner alignment counts from there. Words are little-endian u32.
 *
 *  container  +--------+----------+-- ... --+----------------- data -----------------+
 *             | header | JEntry 0 |         | item 0 | item 1 | ...                  |
 *             +--------+----------+-- ... --+----------------------------------------+
 *  header   count (28 bits) | 0x10000000 scalar, 0x20000000 object, 0x40000000 array
 *           A lone scalar is an array of one with both flags. An object has 2 * count entries: all keys, then all values in key order.
 *  JEntry   type (3 bits << 28) | length of the item, or with 0x80000000 the item's end, counted from the start of data.
 *           Items follow each other without gaps; numerics and containers begin with 0 to 3 pad bytes that their length counts.
 *  items    string: its bytes; numeric: a varlena with 4-byte header; container: again the above; false, true, null: nothing.
 */
export const JB_CMASK = 0x0fffffff
export const JB_FSCALAR = 0x10000000
export const JB_FOBJECT = 0x20000000
export const JB_FARRAY = 0x40000000

export const JENTRY_OFFLENMASK = 0x0fffffff
export const JENTRY_HAS_OFF = 0x80000000
export const JENTRY_ISSTRING = 0x00000000
export const JENTRY_ISNUMERIC = 0x10000000
export const JENTRY_ISBOOL_FALSE = 0x20000000
export const JENTRY_ISBOOL_TRUE = 0x30000000
export const JENTRY_ISNULL = 0x40000000
export const JENTRY_ISCONTAINER = 0x50000000
export const JENTRY_TYPEMASK = 0x70000000

/** Every 32nd entry, the first included, holds an end instead of a length. */
export const JB_OFFSET_STRIDE = 32
