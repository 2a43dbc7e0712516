import * as v from 'valibot'
import { ByteWriter, readI64, readU16, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError } from '../common/errors.ts'
import { formatLsn, parseLsn } from '../common/ids.ts'
import { integer, lsnText, type Schema } from '../common/validate.ts'

/*
 * pg_logical/replorigin_checkpoint (CheckPointReplicationOrigin, origin.c): how far logical replication has come from each origin.
 *
 *  0            4
 *  +------------+-------------+-------+--------------+-----+---------+
 *  | 0x1257dade | roident u16 | pad 6 | remote_lsn 8 | …   | CRC-32C |
 *  +------------+-------------+-------+--------------+-----+---------+
 */
export const ORIGINS_FILE = 'pg_logical/replorigin_checkpoint'
const MAGIC = 0x1257dade
const ENTRY_SIZE = 16
/** DoNotReplicateId (origin.h): no progress is kept of it. */
const DO_NOT_REPLICATE = 0xffff

/** How far replication has come from one origin. */
export interface ReplicationOrigin {
  /** roident of pg_replication_origin. */
  node: number
  /** LSN of the other server, as text: any 64-bit number. */
  remoteLsn: string
}

export const REPLICATION_ORIGINS: Schema<ReplicationOrigin[]> = v.array(v.strictObject({ node: integer(1, DO_NOT_REPLICATE - 1), remoteLsn: lsnText }))

/** @throws CorruptionError xact.origins: a server stops at it, too */
export function parseOrigins(bytes: Uint8Array): ReplicationOrigin[] {
  const entries = (bytes.length - 8) / ENTRY_SIZE
  if (!Number.isInteger(entries) || entries < 0) throw corrupt(`${bytes.length} bytes`)
  if (readU32(bytes, 0) !== MAGIC) throw corrupt(`magic 0x${readU32(bytes, 0).toString(16)}`)
  const crcAt = bytes.length - 4
  if (crc32c(bytes, 0, crcAt) !== readU32(bytes, crcAt)) throw corrupt('wrong CRC')
  return Array.from({ length: entries }, (_, i) => {
    const at = 4 + i * ENTRY_SIZE
    return { node: readU16(bytes, at), remoteLsn: formatLsn(BigInt.asUintN(64, readI64(bytes, at + 8))) }
  })
}

/** The inverse of {@link parseOrigins}. */
export function formatOrigins(origins: readonly ReplicationOrigin[]): Uint8Array {
  const file = new ByteWriter(8 + origins.length * ENTRY_SIZE)
  file.u32(MAGIC)
  for (const { node, remoteLsn } of origins) {
    file.u32(node)
    file.u32(0)
    const lsn = parseLsn(remoteLsn)!
    file.u32(Number(lsn & 0xffffffffn))
    file.u32(Number(lsn >> 32n))
  }
  file.u32(crc32c(file.bytes, 0, file.length))
  return file.take()
}

/** replorigin_advance (origin.c). @param back it may go back, too */
export function advanceOrigin(origins: ReplicationOrigin[], node: number, remoteLsn: string, back = false): void {
  if (node === 0 || node === DO_NOT_REPLICATE) return
  const found = origins.find((origin) => origin.node === node)
  if (found === undefined) origins.push({ node, remoteLsn })
  else if (back || parseLsn(found.remoteLsn)! < parseLsn(remoteLsn)!) found.remoteLsn = remoteLsn
}

/** The DROP part of replorigin_redo (origin.c). */
export function dropOrigin(origins: ReplicationOrigin[], node: number): void {
  const at = origins.findIndex((origin) => origin.node === node)
  if (at >= 0) origins.splice(at, 1)
}

function corrupt(reason: string): CorruptionError {
  const advice = 'no server starts with it; restore the file from a backup'
  return new CorruptionError('xact.origins', `the progress of replication origins is damaged (${reason}): ${advice}`)
}
