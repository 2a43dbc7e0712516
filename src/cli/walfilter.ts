import { InvalidArgumentError } from 'commander'
import { parseLsn, type WalPosition, walPosition, type Xid } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { WalRecord } from '../wal/record.ts'
import { findRmgr, RMGR_NAMES } from '../wal/rmgr.ts'
import { FORK_NAMES } from '../common/relpath.ts'

const WORD_MAX = 0xffffffff

/** Which records are wanted; what is absent does not restrict. */
export interface WalFilter {
  rmgr: readonly number[]
  xid?: Xid
  /** The relation, fork and block that one block reference must have together. */
  relation?: RelFileLocator
  fork?: number
  block?: number
  /** Only records with full-page images. */
  fullpage?: boolean
}

export function matches(record: WalRecord, filter: WalFilter): boolean {
  if (filter.rmgr.length > 0 && !filter.rmgr.includes(record.rmgr)) return false
  if (filter.xid !== undefined && filter.xid !== record.xid) return false
  if ((filter.relation !== undefined || filter.fork !== undefined) && !changesBlock(record, filter)) return false
  return filter.fullpage !== true || hasImage(record)
}

/** XLogRecordMatchesRelationBlock (pg_waldump.c). */
function changesBlock(record: WalRecord, { relation, fork, block }: WalFilter): boolean {
  for (let i = 0; i < record.blockCount; i++) {
    const found = record.blocks[i]!
    if ((fork === undefined || fork === found.fork) && (block === undefined || block === found.block) && isOf(found, relation)) return true
  }
  return false
}

function isOf(found: RelFileLocator, wanted: RelFileLocator | undefined): boolean {
  return wanted === undefined || (found.spcOid === wanted.spcOid && found.dbOid === wanted.dbOid && found.relNumber === wanted.relNumber)
}

function hasImage(record: WalRecord): boolean {
  for (let i = 0; i < record.blockCount; i++) if (record.blocks[i]!.hasImage) return true
  return false
}

/** `0/1A3B2C8` */
export function parsePosition(text: string): WalPosition {
  const lsn = parseLsn(text)
  if (lsn === undefined || lsn > BigInt(Number.MAX_SAFE_INTEGER)) throw new InvalidArgumentError('an LSN such as 0/1A3B2C8 is needed.')
  return walPosition(lsn)
}

/** `--rmgr Heap`, in any case, may be given several times. */
export function collectRmgr(text: string, previous: readonly number[]): number[] {
  const id = findRmgr(text)
  if (id === undefined) throw new InvalidArgumentError(`there are ${RMGR_NAMES.join(', ')}, and custom128 to custom255.`)
  return [...previous, id]
}

/** `--relation 1663/5/16384`: tablespace, database, relfilenode. */
export function parseRelation(text: string): RelFileLocator {
  const [spcOid, dbOid, relNumber, ...rest] = text.split('/').map((part) => (/^\d{1,10}$/.test(part) ? Number(part) : -1))
  const numbers = [spcOid ?? -1, dbOid ?? -1, relNumber ?? -1]
  if (rest.length > 0 || numbers.some((number) => number < 0 || number > WORD_MAX) || spcOid === 0 || relNumber === 0) {
    throw new InvalidArgumentError('write it as tablespace OID/database OID/relfilenode.')
  }
  return { spcOid: numbers[0]!, dbOid: numbers[1]!, relNumber: numbers[2]! }
}

export function parseFork(text: string): number {
  const fork = FORK_NAMES.indexOf(text)
  if (fork < 0) throw new InvalidArgumentError(`there are ${FORK_NAMES.join(', ')}.`)
  return fork
}

/** A block number, xid, timeline or count. */
export function parseWord(text: string): number {
  const value = Number(text)
  if (!/^\d{1,10}$/.test(text) || value > WORD_MAX) throw new InvalidArgumentError(`a number from 0 to ${WORD_MAX} is needed.`)
  return value
}
