import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { ScratchFolder } from '../disk/scratchfolder.ts'
import { findWalTar } from './findtars.ts'
import { EXTRACTED_WAL, extractWal } from './seedtar.ts'

/**
 * Runs `body` with the folder or segment where the WAL is: `path` itself, or what a tar file of WAL holds, for as long as that takes.
 * @throws EnvironmentError wal.none, file.*; CorruptionError, UnsupportedError backup.tar, compression.*
 */
export async function withWal<T>(path: string, onNotice: (text: string) => void, body: (folder: string) => Promise<T>): Promise<T> {
  const tar = await findWalTar(path)
  if (tar === undefined) return body(path)
  const scratch = new ScratchFolder(join(tmpdir(), 'ltap-wal-'), onNotice)
  try {
    return await body(await unpackWal(tar, scratch.path))
  } finally {
    scratch.remove()
  }
}

/** @returns the folder of the segments, below `out` */
export async function unpackWal(tar: string, out: string): Promise<string> {
  if (await extractWal(tar, out) > 0) return join(out, EXTRACTED_WAL)
  throw new EnvironmentError('wal.none', 'no WAL segment in this tar file', { file: tar })
}
