import { formatWalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { FORK_NAMES } from '../common/relpath.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { rmgrName } from '../wal/rmgr.ts'
import { describeRecord, recordType } from '../wal/text/describe.ts'
import { locatorText } from '../wal/text/parts.ts'
import { compressionName, imagesLength } from '../wal/waldump.ts'

/** A record for --json: what its line says, and the rest of its headers. Lengths in bytes. */
export function walRecordJson(record: WalRecord, major: PgMajor): Record<string, unknown> {
  return {
    lsn: formatWalPosition(record.startLsn),
    end: formatWalPosition(record.endLsn),
    prev: formatWalPosition(record.prev),
    xid: String(record.xid),
    ...(record.topXid === 0 ? {} : { topXid: String(record.topXid) }),
    ...(record.origin === 0 ? {} : { origin: record.origin }),
    rmgr: rmgrName(record.rmgr),
    type: recordType(record.rmgr, record.info, major),
    length: record.length,
    mainLength: record.mainLength,
    imagesLength: imagesLength(record),
    description: describeRecord(record, major),
    blocks: record.blocks.slice(0, record.blockCount).map(blockJson),
  }
}

function blockJson(block: BlockReference): Record<string, unknown> {
  const { id, dataLength, willInit, hasImage, imageLength, holeOffset, holeLength } = block
  const image = { apply: block.applyImage, length: imageLength, compression: compressionName(block), holeOffset, holeLength }
  return {
    id, relation: locatorText(block), fork: FORK_NAMES[block.fork], block: block.block, dataLength, willInit, image: hasImage ? image : null,
  }
}
