import { BlockSet } from '../common/blockset.ts'
import { CorruptionError } from '../common/errors.ts'
import { type BlockNumber, formatWalPosition, type WalPosition } from '../common/ids.ts'

/**
 * What one materialization wrote of a relation. The relation is a RelFileLocator and the LSN at which it was made, for relation numbers are
 * used again: layers of the file that had the number before are another list.
 */
export interface Layer<File extends { blocks: BlockSet }> {
  /** Its files have the relation as of this LSN. */
  lsn: WalPosition
  /**
   * The smallest length that the relation had since the layer before, or when it was made. Blocks from it on that are older are gone, and every one
   * of [smallest, length) is in the files, whatever it was before.
   */
  smallest: number
  /** Length of the relation now. */
  length: number
  /** Their blocks are below the length, and no block is in two of them. */
  files: readonly File[]
  /** The relation is gone: no block is current any more. */
  dropped?: true
}

/** A file, and the blocks of it that no later layer supersedes; none if it is wholly superseded. */
export interface CurrentFile<File> {
  file: File
  current: BlockSet
}

/** Where each block of a relation is, now or as of some layer. */
export class CurrentRelation<File extends { blocks: BlockSet }> {
  /** The relation's length in blocks. */
  readonly length: number
  /** All files, in order of their layers. */
  readonly files: readonly CurrentFile<File>[]
  private readonly runs: readonly { first: BlockNumber; end: BlockNumber; file: File }[]

  /**
   * @param layers oldest first
   * @throws CorruptionError lake.layers if they are not layers of one relation: a block is missing or in two files, something follows a drop
   */
  constructor(layers: readonly Layer<File>[]) {
    checkLayers(layers)
    const last = layers.at(-1)
    this.length = last === undefined || last.dropped ? 0 : last.length
    this.files = currentFiles(layers)
    this.runs = this.files.flatMap(({ file, current }) => current.runs.map(({ first, count }) => ({ first, end: first + count, file })))
      .sort((a, b) => a.first - b.first)
    let next = 0
    for (const { first, end } of this.runs) {
      if (first !== next) break
      next = end
    }
    if (next !== this.length) throw damaged(last!, `block ${next} of ${this.length} is in no file`)
  }

  /** The newest file that has the block; undefined beyond the length. */
  fileOf(block: BlockNumber): File | undefined {
    let low = 0
    let high = this.runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.runs[middle]!.first <= block) low = middle
      else high = middle - 1
    }
    const run = this.runs[low]
    return run !== undefined && block >= run.first && block < run.end ? run.file : undefined
  }
}

/** Goes from the newest layer to the oldest: a block that a later layer wrote or cut off is not current. */
function currentFiles<File extends { blocks: BlockSet }>(layers: readonly Layer<File>[]): CurrentFile<File>[] {
  const found: CurrentFile<File>[] = []
  let written = BlockSet.EMPTY
  let limit = Infinity
  for (const { files, smallest, dropped } of layers.toReversed()) {
    if (dropped) limit = 0
    const before = limit === Infinity ? undefined : BlockSet.range(0, limit)
    for (const file of files.toReversed()) found.push({ file, current: (before ? file.blocks.intersect(before) : file.blocks).subtract(written) })
    written = files.reduce((all, { blocks }) => all.union(blocks), written)
    limit = Math.min(limit, smallest)
  }
  return found.reverse()
}

function checkLayers<File extends { blocks: BlockSet }>(layers: readonly Layer<File>[]): void {
  let before: Layer<File> | undefined
  for (const layer of layers) {
    const { lsn, smallest, length, files, dropped } = layer
    const blocks = files.reduce((all, file) => all.union(file.blocks), BlockSet.EMPTY)
    const last = blocks.runs.at(-1)
    if (before?.dropped) throw damaged(layer, 'it follows the drop of the relation')
    if (before && lsn < before.lsn) throw damaged(layer, `it follows one at ${formatWalPosition(before.lsn)}`)
    if (dropped && (files.length > 0 || length > 0)) throw damaged(layer, 'it drops the relation and has blocks')
    const lengthBefore = before?.length ?? 0
    if (smallest > Math.min(length, lengthBefore)) throw damaged(layer, `its smallest length is ${smallest}, before ${lengthBefore}, then ${length}`)
    if (last && last.first + last.count > length) throw damaged(layer, `block ${last.first + last.count - 1} of ${length}`)
    if (files.reduce((sum, file) => sum + file.blocks.size, 0) !== blocks.size) throw damaged(layer, 'a block is in two of its files')
    const missing = BlockSet.range(smallest, length - smallest).subtract(blocks)
    if (missing.size > 0) {
      throw damaged(layer, `block ${missing.at(0)} is not in its files, though the relation was ${smallest} blocks long since the layer before`)
    }
    before = layer
  }
}

function damaged({ lsn }: Pick<Layer<never>, 'lsn'>, problem: string): CorruptionError {
  return new CorruptionError('lake.layers', `the layer at ${formatWalPosition(lsn)} does not fit its relation: ${problem}`)
}
