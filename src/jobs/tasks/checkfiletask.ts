import { join } from 'node:path'
import { DESCRIPTOR_KEY, parseFileDescriptor } from '../../columnar/filedescriptor.ts'
import { readFooter } from '../../parquet/footer.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { checkLength, crcProblem, readTail } from '../lakefile.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'

/** One Parquet file to hold against ltap.json before anything is rebuilt from it. */
export interface CheckFileTask {
  lake: string
  file: LakeFile
  /** Name of its relation, for messages. */
  relation: string
  expected: ExpectedFile
}

/** @throws CorruptionError lake.file, lake.file-crc, lake.other-file, parquet.footer; EnvironmentError file.* */
export function checkFile({ lake, file, relation, expected }: CheckFileTask): void {
  const path = join(lake, file.path)
  checkLength(lake, relation, file)
  let source: LakeFileSource | undefined
  try {
    source = new LakeFileSource(path)
    const problem = crcProblem(source.crc32(), file.crc32)
    if (problem !== undefined) throw new CorruptionError('lake.file-crc', problem)
    checkFileDescriptor(parseFileDescriptor(readFooter(readTail(path, source.length)).metadata.get(DESCRIPTOR_KEY)), expected)
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: path, relation }) : error
  } finally {
    source?.close()
  }
}
