import type { PgMajor } from '../../common/pgversion.ts'
import type { WalRecord } from '../record.ts'

/** rm_identify and rm_desc of one resource manager (rmgrlist.h). Bits of xl_info that are not the resource manager's are ignored. */
export interface RmgrText {
  /** Name of the record type; undefined for one that no server of `major` writes. */
  identify(info: number, major: PgMajor): string | undefined
  /**
   * What the record says; empty for an unknown type.
   * @throws CorruptionError for data that no server writes
   */
  describe(record: WalRecord, major: PgMajor): string
}

/** Names by opcode (xl_info >> 4), '' for none. */
export function identifyBy(names: readonly string[]): (info: number) => string | undefined {
  return (info) => names[(info >> 4) & 0x0f] || undefined
}
