import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import type { ColumnBounds } from '../../columnar/columnbounds.ts'
import type { RebuildOptions } from '../../columnar/rebuild.ts'
import { parseBlockIndex } from '../../lake/blockindex.ts'
import type { ExpectedFile } from '../lake.ts'
import type { CodecModules } from './codecs.ts'
import type { VerifySource } from './fileverifier.ts'
import type { VerifyResult } from './verifyresult.ts'
import { verifyFile } from './verifytask.ts'

/** One file of a layer to prove, whose bytes were held against their CRC. */
export interface VerifyLayerTask {
  path: string
  expected: ExpectedFile
  rows: number
  checksums: boolean
  visible: boolean
  /** The object beside it. */
  index: Uint8Array
  /** What the lake's state says of its columns' values. */
  bounds: readonly ColumnBounds[]
  /** Blocks that count in the state, and the rows of these that no reader of it sees: `runs` of sets. */
  current: readonly BlockRun[]
  hidden: readonly BlockRun[]
  source: VerifySource | undefined
  codecs?: CodecModules
}

/** Proves all its pages, and counts those that count. @param options the codecs that the task's modules have */
export function verifyLayer({ index, current, hidden, ...file }: VerifyLayerTask, options: RebuildOptions = {}): VerifyResult {
  const verified = { ...file, index: parseBlockIndex(index), current: BlockSet.ofRuns(current), hidden: () => BlockSet.ofRuns(hidden) }
  return verifyFile(verified, options)
}
