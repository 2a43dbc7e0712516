import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import type { ColumnBounds } from '../../columnar/columnbounds.ts'
import type { RebuildOptions } from '../../columnar/rebuild.ts'
import { parseBlockIndex } from '../../lake/blockindex.ts'
import type { PackedPages } from '../../lake/packedpages.ts'
import type { ExpectedFile } from '../lake.ts'
import type { CodecModules } from './codecs.ts'
import type { VerifySource } from './fileverifier.ts'
import type { VerifyResult } from './verifyresult.ts'
import { verifyFile } from './verifytask.ts'

/** One file of a layer to prove, or pages of a pack. The bytes of a file were held against their CRC. */
export interface VerifyLayerTask {
  file: { path: string; /** What the lake's state says of its columns' values. */ bounds: readonly ColumnBounds[] } | { packed: PackedPages }
  expected: ExpectedFile
  rows: number
  checksums: boolean
  visible: boolean
  /** The object beside it. */
  index: Uint8Array
  /** Blocks that count in the state, and the rows of these that no reader of it sees: `runs` of sets. */
  current: readonly BlockRun[]
  hidden: readonly BlockRun[]
  source: VerifySource | undefined
  codecs?: CodecModules
}

/** Proves all its pages, and counts those that count. @param options the codecs that the task's modules have */
export function verifyLayer({ file: bytes, index, current, hidden, ...file }: VerifyLayerTask, options: RebuildOptions = {}): VerifyResult {
  const verified = { ...file, ...bytes, index: parseBlockIndex(index), current: BlockSet.ofRuns(current), hidden: () => BlockSet.ofRuns(hidden) }
  return verifyFile(verified, options)
}
