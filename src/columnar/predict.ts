import { HEAP_HASEXTERNAL, HEAP_HASNULL, HEAP_HASVARWIDTH, HEAP_XMAX_INVALID, HEAP_XMIN_COMMITTED } from '../tuple/infomask.ts'

/*
 * The prediction rules that decoder and former share: a null child of `_ltap` means exactly these values. Frozen per format
 * version; ARCHITECTURE.md has the table. Changing one means a new format version.
 */

/** t_infomask bits of a settled row: xmin committed, no xmax. */
export const PREDICTED_HINTS: number = HEAP_XMIN_COMMITTED | HEAP_XMAX_INVALID

/** t_infomask bits that the attribute values imply. */
export const IMPLIED_BITS: number = HEAP_HASNULL | HEAP_HASVARWIDTH | HEAP_HASEXTERNAL
