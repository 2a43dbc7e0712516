import * as bits from './infomask.ts'

/** Bits of t_infomask by name; HEAP_XMIN_FROZEN and HEAP_XMAX_SHR_LOCK are two bits each. */
const INFOMASK = [
  'HEAP_HASNULL', 'HEAP_HASVARWIDTH', 'HEAP_HASEXTERNAL', 'HEAP_HASOID_OLD', 'HEAP_XMAX_KEYSHR_LOCK', 'HEAP_COMBOCID',
  'HEAP_XMAX_EXCL_LOCK', 'HEAP_XMAX_LOCK_ONLY', 'HEAP_XMIN_COMMITTED', 'HEAP_XMIN_INVALID', 'HEAP_XMAX_COMMITTED',
  'HEAP_XMAX_INVALID', 'HEAP_XMAX_IS_MULTI', 'HEAP_UPDATED', 'HEAP_MOVED_OFF', 'HEAP_MOVED_IN',
] as const

const HEAP_XMAX_SHR_LOCK = bits.HEAP_XMAX_EXCL_LOCK | bits.HEAP_XMAX_KEYSHR_LOCK

const COMBINED: readonly [number, string][] = [
  [HEAP_XMAX_SHR_LOCK, 'HEAP_XMAX_SHR_LOCK'],
  [bits.HEAP_XMIN_FROZEN, 'HEAP_XMIN_FROZEN'],
]

const INFOMASK2 = ['HEAP_KEYS_UPDATED', 'HEAP_HOT_UPDATED', 'HEAP_ONLY_TUPLE'] as const

/** Names of the bits of t_infomask, as pageinspect's heap_tuple_infomask_flags has them, combined bits by their own name only. */
export function infomaskNames(infomask: number): string[] {
  const combined = COMBINED.filter(([mask]) => (infomask & mask) === mask)
  const rest = combined.reduce((left, [mask]) => left & ~mask, infomask)
  return [...INFOMASK.filter((name) => rest & bits[name]), ...combined.map(([, name]) => name)]
}

/** Names of the bits of t_infomask2 above the attribute count; the two that have none are one hexadecimal number. */
export function infomask2Names(infomask2: number): string[] {
  const names = INFOMASK2.filter((name) => infomask2 & bits[name])
  const rest = infomask2 & 0x1800
  return rest === 0 ? names : [...names, `0x${rest.toString(16)}`]
}
