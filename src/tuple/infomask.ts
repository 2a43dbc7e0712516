/** Bits of t_infomask and t_infomask2 (htup_details.h), by Postgres's names. */
export const HEAP_HASNULL = 0x0001
export const HEAP_HASVARWIDTH = 0x0002
export const HEAP_HASEXTERNAL = 0x0004
/** Tables WITH OIDS ended with 12; the bit may be set in no tuple of 14 and later. */
export const HEAP_HASOID_OLD = 0x0008
export const HEAP_XMAX_KEYSHR_LOCK = 0x0010
export const HEAP_COMBOCID = 0x0020
export const HEAP_XMAX_EXCL_LOCK = 0x0040
export const HEAP_XMAX_LOCK_ONLY = 0x0080
export const HEAP_XMIN_COMMITTED = 0x0100
export const HEAP_XMIN_INVALID = 0x0200
/** Both hint bits at once: VACUUM froze the tuple (since 9.4), and xmin says only who inserted it. */
export const HEAP_XMIN_FROZEN = 0x0300
export const HEAP_XMAX_COMMITTED = 0x0400
export const HEAP_XMAX_INVALID = 0x0800
export const HEAP_XMAX_IS_MULTI = 0x1000
export const HEAP_UPDATED = 0x2000
/** VACUUM FULL before 9.0 moved the tuple to another place, or here; pg_upgrade may have carried such tuples over. */
export const HEAP_MOVED_OFF = 0x4000
export const HEAP_MOVED_IN = 0x8000

export const HEAP_NATTS_MASK = 0x07ff
export const HEAP_KEYS_UPDATED = 0x2000
export const HEAP_HOT_UPDATED = 0x4000
export const HEAP_ONLY_TUPLE = 0x8000

/** HEAP_XMAX_IS_LOCKED_ONLY: xmax only locks the row, in the present or the pre-9.3 spelling. */
export function xmaxIsLockedOnly(infomask: number): boolean {
  return (
    (infomask & HEAP_XMAX_LOCK_ONLY) !== 0 ||
    (infomask & (HEAP_XMAX_IS_MULTI | HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_KEYSHR_LOCK)) === HEAP_XMAX_EXCL_LOCK
  )
}

/** HEAP_LOCKED_UPGRADED: a multixact of 9.2 or older, carried by pg_upgrade; its members are gone and must not be looked up. */
export function isLockedUpgraded(infomask: number): boolean {
  return (
    (infomask & HEAP_XMAX_IS_MULTI) !== 0 &&
    (infomask & HEAP_XMAX_LOCK_ONLY) !== 0 &&
    (infomask & (HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_KEYSHR_LOCK)) === 0
  )
}
