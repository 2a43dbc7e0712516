import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { PageSink } from '../columnar/rebuild.ts'
import { setPageChecksum } from '../page/checksum.ts'
import type { Compressor } from '../parquet/compressor.ts'
import { ZSTD } from '../parquet/zstdcompressor.ts'
import { type BlockIndex, parseBlockIndex } from './blockindex.ts'
import type { PackPlace } from './pack.ts'

/** Pages of one relation, as a pack has them; what threads can pass. */
export interface PackedPages extends Pick<PackPlace, 'sizes' | 'compressor'> {
  /** The block index of the pages. */
  readonly index: Uint8Array
  /** The compressed pages, end to end. */
  readonly bytes: Uint8Array
  /** The cluster has data checksums: pages get theirs. */
  readonly checksums: boolean
}

const CODE = 'lake.pack'

/**
 * Every page in block order, as PageRebuilder gives those of a Parquet file: canonical pages, with pd_checksum set if the cluster has checksums, and
 * damaged pages as they were. Each page's CRC is checked against that of its block index.
 * @param compressor of the lake, for what zstd did not make
 * @throws CorruptionError lake.pack with the block, lake.block-index; UnsupportedError lake.compressor
 */
export function unpackPages(packed: PackedPages, sink: PageSink, compressor?: Compressor): BlockIndex {
  const { sizes, bytes, checksums } = packed
  const index = parseBlockIndex(packed.index)
  const length = sizes.reduce((sum, size) => sum + size, 0)
  if (sizes.length !== index.blocks.size || length !== bytes.length) {
    throw new CorruptionError(CODE, `${sizes.length} pages in ${bytes.length} bytes of a pack, where ${index.blocks.size} in ${length} are due`)
  }
  const decompress = decompressorOf(packed.compressor, compressor)
  let at = 0
  let i = 0
  let firstRow = 0
  for (const block of index.blocks) {
    const page = pageOf(bytes.subarray(at, at + sizes[i]!), index.pages.crcs[i]!, block, decompress)
    const isDamaged = index.damaged.has(block)
    if (checksums && !isDamaged) setPageChecksum(page, block)
    sink(block, page, isDamaged ? 'verbatim' : 'canonical', firstRow)
    at += sizes[i]!
    firstRow += index.pages.rows[i]!
    i++
  }
  return index
}

function pageOf(bytes: Uint8Array, crc: number, block: number, decompress: Compressor['decompress']): Uint8Array {
  let page: Uint8Array
  try {
    page = decompress(bytes, BLOCK_SIZE)
  } catch (error) {
    throw error instanceof CorruptionError ? new CorruptionError(CODE, `a page of a pack does not decompress: ${error.message}`, { block }) : error
  }
  if (page.length === BLOCK_SIZE && crc32c(page) === crc) return page
  throw new CorruptionError(CODE, 'a page of a pack is not what was written', { block })
}

function decompressorOf(name: string, compressor: Compressor | undefined): Compressor['decompress'] {
  const familyOf = (text: string): string => text.split(':')[0]!
  const found = [ZSTD, compressor].find((known) => known !== undefined && familyOf(known.name) === familyOf(name))
  if (found) return (bytes, size) => found.decompress(bytes, size)
  if (name === 'none') return (bytes) => bytes
  throw new UnsupportedError('lake.compressor', `a pack is compressed with ${name}; this ltap reads zstd${compressor ? ` and ${compressor.name}` : ''}`)
}
