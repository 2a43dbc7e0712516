import * as v from 'valibot'
import { maxAlign, readU16, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError } from '../common/errors.ts'
import type { Oid, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { type Schema, unsigned32 } from '../common/validate.ts'

/*
 * pg_twophase/<xid>, one prepared transaction (xl_xact_prepare, xact.h):
 *
 *  0       4           8     12         16            24      28          32
 *  +-------+-----------+-----+----------+-------------+-------+-----------+-- counts --+---------+----------+
 *  | magic | total_len | xid | database | prepared_at | owner | nsubxacts |            | gidlen  | origin…  |
 *  +-------+-----------+-----+----------+-------------+-------+-----------+-- 15+: 8 --+---------+----------+
 *
 *  then, each padded to 8: gid, subtransaction xids, …; the last 4 bytes are the CRC-32C of all others.
 */
const TWOPHASE_MAGIC = 0x57f94534

export interface PreparedTransaction {
  xid: Xid
  database: Oid
  subxacts: readonly Xid[]
}

/** What is read as a PreparedTransaction. */
export const PREPARED_TRANSACTION: Schema<PreparedTransaction> = v.strictObject({ xid: unsigned32, database: unsigned32, subxacts: v.array(unsigned32) })

/** @throws CorruptionError xact.twophase */
export function parseTwoPhaseFile(bytes: Uint8Array, major: PgMajor): PreparedTransaction {
  const gidLengthAt = major >= 15 ? 54 : 46
  const headerSize = major >= 15 ? 72 : 64
  if (bytes.length < headerSize + 4) throw corrupt(`${bytes.length} bytes`)
  if (readU32(bytes, 0) !== TWOPHASE_MAGIC) throw corrupt(`magic 0x${readU32(bytes, 0).toString(16)}`)
  if (readU32(bytes, 4) !== bytes.length) throw corrupt(`total_len ${readU32(bytes, 4)} in a file of ${bytes.length} bytes`)
  if (crc32c(bytes, 0, bytes.length - 4) !== readU32(bytes, bytes.length - 4)) throw corrupt('wrong CRC')
  const count = readU32(bytes, 28)
  const start = headerSize + maxAlign(readU16(bytes, gidLengthAt))
  if (start + count * 4 > bytes.length - 4) throw corrupt(`nsubxacts ${count}`)
  const subxacts = Array.from({ length: count }, (_, i) => readU32(bytes, start + i * 4))
  return { xid: readU32(bytes, 8), database: readU32(bytes, 12), subxacts }
}

/** Named by the xid in hex, since 17 by the full xid (TwoPhaseFilePath, twophase.c). @param epoch the high half of the full xid */
export function twoPhaseFileName(xid: Xid, epoch: number, major: PgMajor): string {
  const hex = (half: number): string => half.toString(16).toUpperCase().padStart(8, '0')
  return `${major >= 17 ? hex(epoch) : ''}${hex(xid)}`
}

function corrupt(reason: string): CorruptionError {
  const advice = 'no server starts with it; restore the file from a backup'
  return new CorruptionError('xact.twophase', `a prepared transaction's file is damaged (${reason}): ${advice}`)
}
