/** Heap tuples: header, attributes, variable-length datums, compression, TOAST pointers. Pure; no I/O. */
export { alignmentOf, type AttributeLayout } from './attribute.ts'
export {
  HEAP_COMBOCID, HEAP_HASEXTERNAL, HEAP_HASNULL, HEAP_HASOID_OLD, HEAP_HASVARWIDTH, HEAP_HOT_UPDATED, HEAP_KEYS_UPDATED, HEAP_MOVED_IN,
  HEAP_MOVED_OFF, HEAP_NATTS_MASK, HEAP_ONLY_TUPLE, HEAP_UPDATED, HEAP_XMAX_COMMITTED, HEAP_XMAX_EXCL_LOCK, HEAP_XMAX_INVALID,
  HEAP_XMAX_IS_MULTI, HEAP_XMAX_KEYSHR_LOCK, HEAP_XMAX_LOCK_ONLY, HEAP_XMIN_COMMITTED, HEAP_XMIN_FROZEN, HEAP_XMIN_INVALID,
  isLockedUpgraded, xmaxIsLockedOnly,
} from './infomask.ts'
export {
  bitmapLength, headerLength, MAX_TUPLE_ATTRIBUTES, readTupleHeader, SIZE_OF_TUPLE_HEADER, T_CID, T_CTID, T_HOFF, T_INFOMASK, T_INFOMASK2,
  T_XMAX, T_XMIN, type TupleHeader,
} from './header.ts'
export {
  isCompressed, isExternal, METHOD_LZ4, METHOD_PGLZ, payloadStart, SHORT_PAYLOAD_MAX, SIZE_OF_TOAST_POINTER, VARATT_1B_E, varlenaLength,
  VARTAG_ONDISK,
} from './varlena.ts'
export { pglzDecompress } from '../common/pglz.ts'
export { lz4Decompress } from '../common/lz4.ts'
export { decompress, readToastPointer, TOAST_MAX_CHUNK_SIZE, type ToastPointer } from './toast.ts'
export { ATTR_ABSENT, ATTR_NULL, checkTupleHeader, type DeformedTuple, deformTuple, newDeformedTuple } from './deform.ts'
export { appendDatum, beginTuple, formTuple, type TupleHeaderFields, writeTupleHeader } from './formtuple.ts'
export { readToastChunk, type ToastChunk } from './toastchunk.ts'
export type { ToastSource } from './toastsource.ts'
