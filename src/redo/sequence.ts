import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { initPage, placeItem } from '../page/heappage.ts'
import type { WalRecord } from '../wal/record.ts'
import { decodeSequenceLog, XLOG_SEQ_LOG } from '../wal/sequence.ts'
import type { RedoBuffers } from './buffers.ts'
import { SEQ_MAGIC, SIZE_OF_SEQUENCE_SPECIAL } from '../page/specialarea.ts'
import { copyFromRecord } from './tuplechange.ts'

/**
 * RM_SEQ_ID: seq_redo (sequence.c). A sequence is one page with one tuple, and each record initialises the page. The record is the tuple as it
 * lies on the page, header included: redo copies it and fills in nothing.
 */
export function redoSequence(buffers: RedoBuffers, record: WalRecord): void {
  if (record.op !== XLOG_SEQ_LOG) throw new UnsupportedError('redo.sequence', `unknown sequence record, info 0x${record.info.toString(16)}`)
  const { tupleStart, tupleLength } = decodeSequenceLog(record)
  const block = record.block(0)
  if (block === undefined) throw new CorruptionError('redo.sequence', 'no block 0')
  buffers.init(record, block)
  const { page } = buffers
  initPage(page, SIZE_OF_SEQUENCE_SPECIAL)
  // sequence_magic (sequence.c): read_seq_tuple refuses a page without it. The rest of the special area is alignment.
  page.words[(BLOCK_SIZE - SIZE_OF_SEQUENCE_SPECIAL) >> 2] = SEQ_MAGIC
  copyFromRecord(page, placeItem(page, 1, tupleLength), record.view, tupleStart, tupleLength)
  buffers.changed()
}
