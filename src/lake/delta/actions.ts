import { assert } from '../../common/errors.ts'
import { parseLsn } from '../../common/ids.ts'
import type { DeltaFile, DeltaRecord } from './record.ts'

/*
 * Actions of a Delta log (PROTOCOL.md, Actions), as a record says them. Version files have them as JSON, checkpoints as rows of Parquet.
 */

/** A writer that does not know a feature must refuse to write: no other writer knows this one. */
const LTAP_MANAGED = 'ltapManaged'
const READER_FEATURES: readonly string[] = ['columnMapping', 'deletionVectors']
const WRITER_FEATURES: readonly string[] = ['inCommitTimestamp', LTAP_MANAGED]

/** So that a foreign VACUUM that ignores the protocol's features deletes nothing for a century. */
const NEVER = 'interval 5200 weeks'

export interface ProtocolAction {
  readonly minReaderVersion: 3
  readonly minWriterVersion: 7
  readonly readerFeatures: readonly string[]
  readonly writerFeatures: readonly string[]
}

export function protocolAction({ timestampNtz }: DeltaRecord): ProtocolAction {
  const readerFeatures = [...READER_FEATURES, ...(timestampNtz === undefined ? [] : ['timestampNtz'])]
  return { minReaderVersion: 3, minWriterVersion: 7, readerFeatures, writerFeatures: [...readerFeatures, ...WRITER_FEATURES] }
}

export interface MetaDataAction {
  readonly id: string
  readonly name: string
  readonly format: { readonly provider: 'parquet'; readonly options: Readonly<Record<string, string>> }
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly createdTime: number
  readonly configuration: Readonly<Record<string, string>>
}

export function metaDataAction({ metaData: { id, name, schemaString, maxColumnId, createdTime } }: DeltaRecord): MetaDataAction {
  return {
    id, name, format: { provider: 'parquet', options: {} }, schemaString, partitionColumns: [], createdTime,
    configuration: {
      'delta.columnMapping.mode': 'id', 'delta.columnMapping.maxColumnId': String(maxColumnId), 'delta.enableDeletionVectors': 'true',
      'delta.enableInCommitTimestamps': 'true', 'delta.deletedFileRetentionDuration': NEVER, 'delta.logRetentionDuration': NEVER,
      'delta.enableExpiredLogCleanup': 'false',
    },
  }
}

/** How far the table follows a timeline of Postgres. */
export interface TxnAction {
  readonly appId: string
  /** The LSN as a number: one that JavaScript does not have. */
  readonly version: bigint
}

/** The last one is of the record's own version. */
export function txnActions({ before, timeline, lsn }: DeltaRecord): TxnAction[] {
  return [...before, { timeline, lsn }].map((at) => ({ appId: `ltap/${at.timeline}`, version: lsnNumber(at.lsn) }))
}

function lsnNumber(text: string): bigint {
  const lsn = parseLsn(text)
  assert(lsn !== undefined && lsn < 1n << 63n, `the LSN ${text}`)
  return lsn
}

/** `add` of a file; `dataChange` is that of the version, and false in a checkpoint. */
export function addAction(file: DeltaFile, dataChange: boolean): object {
  const { path, size, modificationTime, stats, deletionVector } = file
  return { path, partitionValues: {}, size, modificationTime, dataChange, stats, ...(deletionVector && { deletionVector }) }
}

function removeAction({ path, size, deletionVector }: DeltaFile, deletionTimestamp: number, dataChange: boolean): object {
  return { path, deletionTimestamp, dataChange, extendedFileMetadata: true, partitionValues: {}, size, ...(deletionVector && { deletionVector }) }
}

function commitInfo({ timestamp, ltapVersion, dataChange, timeline, lsn, time }: DeltaRecord): object {
  return {
    inCommitTimestamp: timestamp, timestamp, engineInfo: `ltap/${ltapVersion}`, operation: dataChange ? 'WRITE' : 'OPTIMIZE', operationParameters: {},
    isBlindAppend: false, ltapLsn: lsn, ltapTimeline: timeline, ...(time !== undefined && { ltapTime: time }),
  }
}

/** Lines of the version's file: first what it is, then its changes. */
export function* commitLines(record: DeltaRecord): Generator<string> {
  const { version, timestamp, dataChange, timestampNtz, metaData, files, removed } = record
  yield JSON.stringify({ commitInfo: commitInfo(record) })
  if (version === 0 || timestampNtz === version) yield JSON.stringify({ protocol: protocolAction(record) })
  if (metaData.since === version) yield JSON.stringify({ metaData: metaDataAction(record) })
  const txn = txnActions(record).at(-1)!
  yield `{"txn":{"appId":${JSON.stringify(txn.appId)},"version":${txn.version},"lastUpdated":${timestamp}}}`
  for (const file of removed) yield JSON.stringify({ remove: removeAction(file, timestamp, dataChange) })
  for (const file of files) if (file.since === version) yield JSON.stringify({ add: addAction(file, dataChange) })
}
