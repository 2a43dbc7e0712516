import type { Oid } from './ids.ts'

/** RelFileLocator (relfilelocator.h): the physical identity of a relation. `relNumber` is pg_class.relfilenode, not its oid. */
export interface RelFileLocator {
  spcOid: Oid
  dbOid: Oid
  relNumber: number
}

export const DEFAULT_TABLESPACE = 1663
export const GLOBAL_TABLESPACE = 1664

/** BLCKSZ: the only block size ltap reads; pg_control says which one a cluster has. */
export const BLOCK_SIZE = 8192
/** RELSEG_SIZE: blocks of a 1 GiB segment file. */
export const SEGMENT_BLOCKS = 131072
