import { DESCRIPTOR_KEY, parseFileDescriptor, schemaContext } from '../../columnar/filedescriptor.ts'
import type { RebuildOptions } from '../../columnar/rebuild.ts'
import { relationSchema } from '../../columnar/schema.ts'
import { readFooter } from '../../parquet/footer.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { unpackPages } from '../../lake/packedpages.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { checkLength, crcProblem, type FileOfLake, type PackedOfLake, readTail } from '../lakefile.ts'
import type { CodecModules } from './codecs.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'

/** One Parquet file to hold against the lake before anything is rebuilt from it. */
export interface CheckFileTask {
  file: FileOfLake | PackedOfLake
  /** Name of its relation, for messages. */
  relation: string
  expected: ExpectedFile
  codecs?: CodecModules
}

/** @throws CorruptionError lake.file, lake.file-crc, lake.other-file, parquet.footer; UnsupportedError datum.codec; EnvironmentError file.*, codecs.* */
export function checkFile(
  { file, relation, expected }: CheckFileTask, { extensions }: RebuildOptions = {},
): void {
  if ('packed' in file) {
    checkPacked(file, relation)
    return
  }
  const { path, name = path, bytes, crc32 } = file
  checkLength({ path, bytes }, relation)
  let source: LakeFileSource | undefined
  try {
    source = new LakeFileSource(path)
    const problem = crc32 === undefined ? undefined : crcProblem(source.crc32(), crc32)
    if (problem !== undefined) throw new CorruptionError('lake.file-crc', problem)
    const descriptor = parseFileDescriptor(readFooter(readTail(path, source.length)).metadata.get(DESCRIPTOR_KEY))
    checkFileDescriptor(descriptor, expected)
    // A codec that is missing shows before anything is overwritten.
    relationSchema(schemaContext(descriptor, extensions))
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: name, relation }) : error
  } finally {
    source?.close()
  }
}

/** Each page is checked. @throws CorruptionError lake.pack, lake.block-index */
function checkPacked({ packed, name }: PackedOfLake, relation: string): void {
  try {
    unpackPages(packed, () => {})
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: name, relation }) : error
  }
}
