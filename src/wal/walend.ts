import { CorruptionError } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'

/** Why no record can follow. At the end of the WAL that is normal. Code that knows that the WAL goes on throws {@link walCorruption}. */
export interface WalEnd {
  /** Where the next record would begin, or the address of a bad page on which no record has begun. */
  lsn: WalPosition
  /** The test that failed, `wal.crc`; `wal.zero` for zeros where a record would begin. */
  code: string
  reason: string
}

/** The error for an end where the WAL is known to go on. */
export function walCorruption({ lsn, code, reason }: WalEnd): CorruptionError {
  return new CorruptionError(code, reason, { lsn: formatWalPosition(lsn) })
}
