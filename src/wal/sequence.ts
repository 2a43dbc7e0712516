import type { RelFileLocator } from '../common/rel.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_SEQ_ID (sequence.h): relation 12 bytes, then the sequence's tuple with its full header. Each record initialises block 0. */
export const XLOG_SEQ_LOG = 0x00

export interface SequenceLog {
  locator: RelFileLocator
  /** The tuple in the record's bytes. */
  tupleStart: number
  tupleLength: number
}

const data = new MainData('wal.sequence')

/** @throws CorruptionError wal.sequence */
export function decodeSequenceLog(record: WalRecord): SequenceLog {
  data.open(record)
  const locator = { spcOid: data.u32(), dbOid: data.u32(), relNumber: data.u32() }
  const tupleLength = record.mainStart + record.mainLength - data.at
  return { locator, tupleStart: data.take(tupleLength), tupleLength }
}
