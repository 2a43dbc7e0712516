import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DESCRIPTOR_KEY, parseFileDescriptor } from '../columnar/filedescriptor.ts'
import { readFooter } from '../parquet/footer.ts'
import { CorruptionError, isPositioned } from '../common/errors.ts'
import type { PackedPages } from '../lake/packedpages.ts'
import type { LakeFile, LakeRelation, Manifest } from '../lake/manifest.ts'
import { fileError, isMissing, readPart } from '../io/disk/files.ts'
import { readRegular, statRegular } from '../io/disk/regularfile.ts'
import { checkFileDescriptor, expectedFile, lakeRelationName } from './lake.ts'

/** A Parquet file ends with its footer's length and "PAR1"; most footers are no longer than this. */
const TAIL_LENGTH = 8
const FOOTER_GUESS = 64 << 10

/** A Parquet file on this machine, for a task. */
export interface FileOfLake {
  path: string
  bytes: number
  /** CRC-32 (zlib's); undefined if it was checked already. */
  crc32?: number
  /** What errors call it; default: its path. */
  name?: string
}

/** Pages of one relation that lie in a pack, for a task. */
export interface PackedOfLake {
  packed: PackedPages
  /** What errors call the pack. */
  name: string
}

/**
 * Looks at a file's length and footer, and at its list of hidden rows: whether it is the one that ltap.json means. What is before the
 * footer is not read.
 * @throws CorruptionError lake.file, lake.other-file, lake.hidden, parquet.footer; UnsupportedError lake.format
 */
export function checkLakeFile(lake: string, manifest: Manifest, relation: LakeRelation, file: LakeFile): void {
  const path = join(lake, file.path)
  checkLength({ path, bytes: file.bytes }, lakeRelationName(relation))
  readHiddenFile(lake, file)
  try {
    const { metadata } = readFooter(readTail(path, file.bytes))
    checkFileDescriptor(parseFileDescriptor(metadata.get(DESCRIPTOR_KEY)), expectedFile(manifest, relation, file))
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: path }) : error
  }
}

/** @throws CorruptionError lake.file */
export function checkLength({ path: file, bytes }: Pick<FileOfLake, 'path' | 'bytes'>, relation: string): void {
  const size = sizeOf(file)
  if (size === bytes) return
  const reason = size === undefined ? 'the file is missing' : `the file has ${size} bytes, ltap.json says ${bytes}`
  throw new CorruptionError('lake.file', reason, { relation, file })
}

/** What is wrong with the file whose CRC-32 is `found`; undefined if the manifest has the same CRC-32. */
export function crcProblem(found: number, expected: number): string | undefined {
  return found === expected ? undefined : `the file is not as it was written: its CRC-32 is ${found}, ltap.json says ${expected}`
}

function readWhole(file: string): Uint8Array {
  try {
    return readRegular(file)
  } catch (error) {
    throw fileError(error, file)
  }
}

/** The whole list of a file's hidden rows; undefined if it has none. @throws CorruptionError lake.hidden, EnvironmentError file.* */
export function readHiddenFile(lake: string, { hidden }: LakeFile): Uint8Array | undefined {
  if (hidden === null) return undefined
  const file = join(lake, hidden.path)
  const bytes = readWhole(file)
  const problem = crcProblem(crc32(bytes), hidden.crc32)
  if (problem !== undefined) throw new CorruptionError('lake.hidden', problem, { file })
  return bytes
}

/** The end of a file, footer included. */
export function readTail(path: string, length: number, wanted: number = FOOTER_GUESS): Uint8Array {
  const tail = new Uint8Array(Math.min(length, wanted))
  readPart(path, tail, tail.length, length - tail.length)
  const footer = tail.length < TAIL_LENGTH ? 0 : new DataView(tail.buffer).getUint32(tail.length - TAIL_LENGTH, true) + TAIL_LENGTH
  // A footer that is longer than the file is damaged: readFooter says so.
  return footer <= tail.length || footer > length ? tail : readTail(path, length, footer)
}

function sizeOf(file: string): number | undefined {
  try {
    return statRegular(file).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, file)
  }
}
