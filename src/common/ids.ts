import { UnsupportedError } from './errors.ts'

/** Postgres's own identifiers (postgres_ext.h, transam.h, block.h, off.h, xlogdefs.h). */

/** Object id, u32. */
export type Oid = number
/** 32-bit transaction id; wraps, so never compare with `<`. */
export type Xid = number
/** Block of one fork, 0-based. */
export type BlockNumber = number
/** Line pointer number on a page, from 1. */
export type OffsetNumber = number
/** Byte position in the WAL, 64 bits. */
export type Lsn = bigint
/** An LSN as a number, exact below 2^53 (8 PiB of WAL): what `wal/` and `redo/` count with, since BigInt costs too much per record. */
export type WalPosition = number

export const INVALID_XID = 0
export const BOOTSTRAP_XID = 1
export const FROZEN_XID = 2
export const FIRST_NORMAL_XID = 3

/** `16/B374D848`, as %X/%X in Postgres. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`
}

/** The inverse of {@link formatLsn}; undefined when `text` is no LSN. */
export function parseLsn(text: string): Lsn | undefined {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  if (!match) return undefined
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}

/** @throws UnsupportedError lsn.range at 2^53 and above: valid, but 8 PiB of WAL, which no server has written */
export function walPosition(lsn: Lsn): WalPosition {
  if (lsn < 0n || lsn > 0x1fffffffffffffn) throw new UnsupportedError('lsn.range', `LSN ${formatLsn(lsn)} is beyond 2^53, the last that ltap counts exactly`)
  return Number(lsn)
}

/** `16/B374D848`. */
export function formatWalPosition(at: WalPosition): string {
  return `${Math.floor(at / 0x100000000).toString(16).toUpperCase()}/${(at % 0x100000000).toString(16).toUpperCase()}`
}

/** TransactionIdPrecedes (transam.c): modulo-2^32 order, permanent ids before all normal ones. */
export function xidPrecedes(a: Xid, b: Xid): boolean {
  if (a < FIRST_NORMAL_XID || b < FIRST_NORMAL_XID) return a < b
  return ((a - b) | 0) < 0
}

/** High 32 bits of the full xid of `xid`, given the next full xid as two halves (xids ahead of it belong to the previous epoch). */
export function xidEpoch(xid: Xid, nextXidLow: number, nextEpoch: number): number {
  return xid > nextXidLow ? nextEpoch - 1 : nextEpoch
}
