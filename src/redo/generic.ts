import { dataView } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { FSM_FORK, MAIN_FORK } from '../common/relpath.ts'
import { checkPageBounds, readPageHeader } from '../page/header.ts'
import { decodePageDelta } from '../wal/generic.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { BLK_NEEDS_REDO, BLK_NOTFOUND, isIndexPage, type RedoBuffers } from './buffers.ts'

/**
 * RM_GENERIC_ID: generic_redo (generic_xlog.c). Access methods of extensions log their changes this way. A record says which bytes of a page become what, so
 * it can be applied without the extension. A page that shows itself as an index's is not kept, and neither is its relation.
 */
export function redoGeneric(buffers: RedoBuffers, record: WalRecord): void {
  for (let i = 0; i < record.blockCount; i++) {
    const block = record.blocks[i]!
    buffers.block = block
    if (block.fork === FSM_FORK || buffers.relations.fork(block, block.fork) === undefined) continue
    const action = buffers.read(record, block)
    if (action === BLK_NOTFOUND) continue
    if (action === BLK_NEEDS_REDO) applyDelta(buffers, record, block)
    if (block.fork === MAIN_FORK && isIndexPage(buffers.page, block.block)) buffers.relations.disown(block)
  }
}

function applyDelta(buffers: RedoBuffers, record: WalRecord, block: BlockReference): void {
  // The bytes that go may be row versions.
  buffers.beforeRemove(record, block)
  const { bytes } = buffers.page
  for (const { offset, start, length } of decodePageDelta(record, block)) {
    if (offset + length > BLOCK_SIZE) throw new CorruptionError('redo.block', `a generic record changes ${length} bytes from ${offset} on, beyond the page`)
    bytes.set(record.bytes.subarray(start, start + length), offset)
  }
  const { lower, upper, special } = readPageHeader(dataView(bytes))
  checkPageBounds(lower, upper, special)
  // A delta leaves out the hole between pd_lower and pd_upper: GenericXLogFinish makes it zeros, and redo has to do the same.
  bytes.fill(0, lower, upper)
  buffers.changed()
}
