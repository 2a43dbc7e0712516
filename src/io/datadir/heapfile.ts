import { closeSync } from 'node:fs'
import { basename } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { fileError, readFully } from '../disk/files.ts'
import { openRegular, statRegular } from '../disk/regularfile.ts'

/** A page of one segment file. */
export interface FilePage {
  /** Within the file. */
  block: number
  /** Within the relation's fork: what the checksum is computed with. */
  forkBlock: number
  page: Uint8Array
}

/**
 * Pages of a relation's segment file, `16385` or `16385.1`, read one by one; only `block` if it is given. A partial block at the end is
 * not read. The page's memory is used again for the next one.
 * @throws EnvironmentError file.*
 */
export function* readHeapFile(path: string, block?: number): Generator<FilePage> {
  const blocks = Math.floor(sizeOf(path) / BLOCK_SIZE)
  if (block !== undefined && block >= blocks) {
    const has = blocks === 1 ? '1 block' : `${blocks} blocks`
    throw new EnvironmentError('file.block', `no block ${block}: the file has ${has} of ${BLOCK_SIZE} bytes`, { file: path })
  }
  const firstForkBlock = segmentNumber(path) * SEGMENT_BLOCKS
  const page = new Uint8Array(BLOCK_SIZE)
  const fd = openRegular(path)
  try {
    for (let at = block ?? 0; at < (block === undefined ? blocks : block + 1); at++) {
      if (readBlock(fd, page, at, path) < BLOCK_SIZE) {
        throw new EnvironmentError('file.block',
          'the file became shorter while it was read: stop the server, then run the command again', { file: path, block: at })
      }
      yield { block: at, forkBlock: firstForkBlock + at, page }
    }
  } finally {
    closeSync(fd)
  }
}

function readBlock(fd: number, page: Uint8Array, block: number, file: string): number {
  try {
    return readFully(fd, page, 0, BLOCK_SIZE, block * BLOCK_SIZE)
  } catch (error) {
    throw fileError(error, file).at({ block })
  }
}

/** Bytes behind the last whole block: no page. */
export function trailingBytesOf(path: string): number {
  return sizeOf(path) % BLOCK_SIZE
}

function sizeOf(path: string): number {
  try {
    return statRegular(path).size
  } catch (error) {
    throw fileError(error, path)
  }
}

function segmentNumber(path: string): number {
  const match = /^\d+(?:_[a-z]+)?\.(\d{1,5})$/.exec(basename(path))
  return match ? Number(match[1]) : 0
}
