import { BlockSet } from '../common/blockset.ts'
import { assert } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { addLaneCounts, type LaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import { MovedMarks, RowMarks } from '../columnar/mergedrows.ts'
import type { Compressor } from '../parquet/compressor.ts'
import type { BlockIndex } from './blockindex.ts'
import { type PackedFile, storedBlocks } from './layer.ts'
import { type PackedPages, unpackPages } from './packedpages.ts'

/** Pages of a relation in a pack that go into another pack. */
export interface PackedInput {
  /** As they lie there, without checksums: canonical pages. */
  readonly packed: PackedPages
  /** Their block index, with rows hidden for good where their transactions have ended. */
  readonly index: BlockIndex
  /** The blocks that it gives: those that no newer file has. */
  readonly current: BlockSet
  readonly lanes: Partial<LaneCounts>
}

/** A page that goes into the new pack. */
interface TakenPage {
  readonly block: number
  readonly page: Uint8Array
  readonly input: PackedInput
  readonly marks: RowMarks
  /** Its place in the input's block index. */
  readonly at: number
  /** Position of its first row in the input. */
  readonly firstRow: number
}

/**
 * Pages of one relation out of several packs, in order of blocks, and what the state says of them. Each page has the CRC that its old block index says.
 * How values travelled is not counted again: the counts of values are those of the inputs, superseded pages included.
 * @param inputs a block is current in one of them @param compressor of the lake, for what zstd did not make
 * @throws CorruptionError lake.pack with the block, lake.block-index; UnsupportedError lake.compressor
 */
export function mergePackedPages(
  inputs: readonly PackedInput[], compressor?: Compressor,
): { blocks: BlockSet; pages: Uint8Array; entry: Omit<PackedFile, 'key' | 'pack' | 'blocks'> } {
  const taken = inputs.flatMap((input) => currentPages(input, compressor)).sort((a, b) => a.block - b.block)
  const pages = new Uint8Array(taken.length * BLOCK_SIZE)
  const states = { rows: new Uint32Array(taken.length), lsns: new Uint32Array(taken.length * 2), crcs: new Uint32Array(taken.length) }
  const damaged: number[] = []
  const marks = new MovedMarks()
  let rows = 0
  for (const [i, { block, page, input: { index }, marks: from, at, firstRow }] of taken.entries()) {
    pages.set(page, i * BLOCK_SIZE)
    const count = states.rows[i] = index.pages.rows[at]!
    states.lsns.set(index.pages.lsns.subarray(at * 2, at * 2 + 2), i * 2)
    states.crcs[i] = index.pages.crcs[at]!
    if (index.damaged.has(block)) damaged.push(block)
    marks.move(from, firstRow, count, rows)
    rows += count
  }
  const blocks = BlockSet.of(taken.map(({ block }) => block))
  assert(blocks.size === taken.length, 'each block is current in one file')
  const lanes = newLaneCounts()
  for (const input of inputs) addLaneCounts(lanes, input.lanes)
  lanes.pages = taken.length
  const { blocks: _, ...entry } = storedBlocks(blocks, { columns: [], pages: states, damaged: BlockSet.of(damaged), ...marks.finish() }, lanes)
  return { blocks, pages, entry }
}

function currentPages(input: PackedInput, compressor: Compressor | undefined): TakenPage[] {
  const { packed, index, current } = input
  const marks = new RowMarks(index)
  const taken: TakenPage[] = []
  unpackPages(packed, (block, page, _, firstRow) => {
    if (current.has(block)) taken.push({ block, page, input, marks, at: index.blocks.indexOf(block), firstRow })
  }, compressor)
  return taken
}
