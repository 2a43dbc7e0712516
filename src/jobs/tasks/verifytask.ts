import { join } from 'node:path'
import { BlockSet } from '../../common/blockset.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { RowSet } from '../../columnar/filesummary.ts'
import { readParquet } from '../../parquet/parquetreader.ts'
import type { RebuildOptions } from '../../columnar/rebuild.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import type { WordVector } from '../../vector/vector.ts'
import type { ExpectedFile } from '../lake.ts'
import { readHiddenFile } from '../lakefile.ts'
import type { CodecModules } from './codecs.ts'
import { FileVerifier, type VerifiedFile, type VerifySource } from './fileverifier.ts'
import type { VerifyResult } from './verifyresult.ts'

/** One file of a lake of format 1 to prove. */
export interface VerifyTask {
  lake: string
  file: LakeFile
  expected: ExpectedFile
  checksums: boolean
  /** The relation is visible at the lake's LSN; else every row must be hidden. */
  visible: boolean
  source: VerifySource | undefined
  codecs?: CodecModules
}

/** @param options the codecs that the task's modules have */
export function verify({ lake, file, expected, checksums, visible, source }: VerifyTask, options: RebuildOptions = {}): VerifyResult {
  const { rows, crc32 } = file
  const verified = { path: join(lake, file.path), crc32, rows, expected, checksums, visible, source, hidden: () => readHidden(lake, file) }
  return verifyFile(verified, options)
}

export function verifyFile(file: VerifiedFile, options: RebuildOptions): VerifyResult {
  const fork = file.source && new SegmentPages(file.source.fork.path, file.source.fork.segments)
  try {
    return new FileVerifier(file, fork).run(options)
  } finally {
    fork?.close()
  }
}

/** @throws CorruptionError lake.hidden unless the positions ascend within the file and number what the manifest says */
function readHidden(lake: string, file: LakeFile): RowSet {
  const bytes = readHiddenFile(lake, file)
  if (!file.hidden || bytes === undefined) return BlockSet.EMPTY
  const reader = readParquet(bytes)
  if (reader.rowGroups !== 1 || reader.rows !== file.hidden.rows || reader.fields.length !== 1 || reader.fields[0]!.type.kind !== 'long') {
    throw new CorruptionError('lake.hidden', `${reader.rows} hidden rows where ltap.json says ${file.hidden.rows}`, { file: file.hidden.path })
  }
  const positions = reader.readRowGroup(0).columns[0] as WordVector
  const runs: { first: number; count: number }[] = []
  let previous = -1
  for (let i = 0; i < positions.length; i++) {
    const position = positions.words[i * 2 + 1]! * 4294967296 + (positions.words[i * 2]! >>> 0)
    if (position <= previous || position >= file.rows) {
      throw new CorruptionError('lake.hidden', `hidden row ${position} is out of order, or beyond the file's ${file.rows} rows`, { file: file.hidden.path })
    }
    const last = runs.at(-1)
    if (last && previous + 1 === position) last.count++
    else runs.push({ first: position, count: 1 })
    previous = position
  }
  return BlockSet.ofRuns(runs)
}
