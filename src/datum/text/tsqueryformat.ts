/*
 * tsquery (ts_type.h), payload: i32 count, count items of 12 bytes in prefix order, each operator's RIGHT argument first, then the
 * operands' strings, each with a zero byte behind
 *
 *  operand   u8 1 | u8 weights (A 8, B 4, C 2, D 1) | u8 prefix | 0 | u32 legacy crc | u32 length (12 bits), offset of the string (20 bits)
 *  operator  u8 2 | u8 1 NOT, 2 AND, 3 OR, 4 PHRASE | i16 distance  | u32 items from here to the left argument | 4 zero bytes
 */
export const QI_VAL = 1
export const QI_OPR = 2
export const OP_NOT = 1
export const OP_PHRASE = 4
/** Bytes of an item. */
export const TSQUERY_ITEM = 12
/** By operator: tsearch_op_priority. */
export const PRIORITIES: readonly number[] = [0, 4, 2, 1, 3]

/** For each item of a prefix sequence the item behind its arguments; undefined if an argument is missing. */
export function subtreeEnds(count: number, argumentsOf: (item: number) => number): Int32Array | undefined {
  const ends = new Int32Array(count)
  for (let item = count - 1; item >= 0; item--) {
    let next = item + 1
    for (let left = argumentsOf(item); left > 0; left--) {
      if (next >= count) return undefined
      next = ends[next]!
    }
    ends[item] = next
  }
  return ends
}
