import type { WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { printable } from '../common/printable.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { FORK_NAMES, MAIN_FORK } from '../common/relpath.ts'
import { type BlockReference, IMAGE_LZ4, IMAGE_PGLZ, IMAGE_ZSTD, type ImageCompression, type WalRecord } from './record.ts'
import { rmgrName } from './rmgr.ts'
import { describeRecord, recordType } from './text/describe.ts'
import { locatorText } from './text/parts.ts'

/*
 * Records as pg_waldump prints them (pg_waldump.c, XLogRecGetBlockRefInfo in xlogdesc.c):
 *
 *     rmgr: Heap        len (rec/tot):     54/   150, tx:        733, lsn: 0/01A3B2C8, prev 0/01A3B290,
 *     desc: INSERT off: 5, flags: 0x08, blkref #0: rel 1663/5/16384 blk 0 FPW
 *
 * on one line: total length without images and with them, xid, where the record and the one before it begin.
 */

/** How an image is compressed, `pglz`; null if it is not. */
export function compressionName({ imageCompression }: BlockReference): string | null {
  return METHODS[imageCompression] ?? null
}
const METHODS: Partial<Record<ImageCompression, string>> = { [IMAGE_PGLZ]: 'pglz', [IMAGE_LZ4]: 'lz4', [IMAGE_ZSTD]: 'zstd' }

/** Bytes of the record that are full-page images. */
export function imagesLength(record: WalRecord): number {
  let length = 0
  for (let i = 0; i < record.blockCount; i++) length += record.blocks[i]!.imageLength
  return length
}

/**
 * A record as pg_waldump of the same major prints it, line end included. Times are in UTC.
 * @param details block references on lines of their own, with what their images leave out (--bkp-details)
 * @throws CorruptionError for data that no server of `major` writes
 */
export function dumpRecord(record: WalRecord, major: PgMajor, details = false): string {
  const { rmgr, length } = record
  const lengths = `${String(length - imagesLength(record)).padStart(6)}/${String(length).padStart(6)}`
  const place = `tx: ${String(record.xid).padStart(10)}, lsn: ${paddedLsn(record.startLsn)}, prev ${paddedLsn(record.prev)}`
  const head = `rmgr: ${rmgrName(rmgr).padEnd(11)} len (rec/tot): ${lengths}, ${place}, `
  const text = `desc: ${recordType(rmgr, record.info, major)} ${printable(describeRecord(record, major))}`
  return head + text + (details ? `\n${detailedBlocks(record, major)}` : `${shortBlocks(record)}\n`)
}

function shortBlocks(record: WalRecord): string {
  let text = ''
  for (let i = 0; i < record.blockCount; i++) {
    const block = record.blocks[i]!
    const fork = block.fork === MAIN_FORK ? '' : ` fork ${FORK_NAMES[block.fork]}`
    text += `, blkref #${block.id}: rel ${locatorText(block)}${fork} blk ${block.block}`
    if (block.hasImage) text += block.applyImage ? ' FPW' : ' FPW for WAL verification'
  }
  return text
}

function detailedBlocks(record: WalRecord, major: PgMajor): string {
  return record.blocks.slice(0, record.blockCount).map((block) => `\t${detailedBlock(block, major)}\n`).join('')
}

/** The form that pg_walinspect has in block_ref, too. */
function detailedBlock(block: BlockReference, major: PgMajor): string {
  const text = `blkref #${block.id}: rel ${locatorText(block)} fork ${FORK_NAMES[block.fork]} blk ${block.block}`
  if (!block.hasImage) return text
  const { holeOffset, holeLength, imageLength } = block
  const method = compressionName(block)
  const hole = `${text} (FPW${block.applyImage ? '' : ' for WAL verification'}); hole: offset: ${holeOffset}, length: ${holeLength}`
  if (method === null) return hole
  const saved = `${hole}, compression saved: ${BLOCK_SIZE - holeLength - imageLength}`
  return major === 14 ? saved : `${saved}, method: ${method}`
}

/** `%X/%08X` */
function paddedLsn(at: WalPosition): string {
  return `${hex(Math.floor(at / 0x100000000))}/${hex(at % 0x100000000).padStart(8, '0')}`
}

function hex(value: number): string {
  return value.toString(16).toUpperCase()
}
