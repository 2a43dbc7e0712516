import { utf8Encode } from '../../common/utf8.ts'
import type { TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
import { addAction, metaDataAction, protocolAction, txnActions } from './actions.ts'
import { actionVectors, CHECKPOINT_FIELDS } from './checkpointrows.ts'
import { logKey, versionText } from './log.ts'
import type { DeltaRecord } from './record.ts'

/**
 * The checkpoint of the record's version, a classic one of the first specification: all that a reader needs, so that it reads no older file of the log.
 * Then `_last_checkpoint`, which replaces the one that is there. Both are put after the version itself. Empty for a version without a checkpoint.
 *
 * There are no tombstones of removed files in it: only VACUUM reads those, and no other program may remove files of a lake.
 */
export async function deltaCheckpoint(record: DeltaRecord, { folder }: Pick<TableSnapshot, 'folder'>): Promise<StagedObject[]> {
  if (!record.checkpoint) return []
  // Arrow and parquet-wasm are loaded when they are needed.
  const { encodeParquet } = await import('../../parquet/parquetwriter.ts')
  const { version, files } = record
  const actions = [
    { protocol: protocolAction(record) }, { metaData: metaDataAction(record) }, ...txnActions(record).map((txn) => ({ txn })),
    ...files.map((file) => ({ add: addAction(file, false) })),
  ]
  const group = { columns: actionVectors(actions), rows: actions.length }
  const bytes = encodeParquet(CHECKPOINT_FIELDS, { compression: 'zstd', metadata: {} }, [group])
  const last = JSON.stringify({ version, size: actions.length, sizeInBytes: bytes.length, numOfAddFiles: files.length })
  return [{ key: logKey(folder, `${versionText(version)}.checkpoint.parquet`), bytes }, { key: logKey(folder, '_last_checkpoint'), bytes: utf8Encode(last) }]
}
