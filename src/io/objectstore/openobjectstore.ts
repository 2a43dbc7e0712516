import { fileURLToPath } from 'node:url'
import { UnsupportedError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { DirectoryObjectStore } from './directoryobjectstore.ts'

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/

/**
 * The objects below a folder, named by its path or a `file:` URL.
 * @throws UnsupportedError path.scheme
 */
export async function openObjectStore(url: string): Promise<ObjectStore> {
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined) return new DirectoryObjectStore(url)
  if (scheme === 'file') return new DirectoryObjectStore(localPath(url))
  throw new UnsupportedError('path.scheme', `${scheme}: is not supported; name a folder`, { file: url })
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url)
  } catch {
    throw new UnsupportedError('path.scheme', 'a file: URL with a host, or none; write the path alone', { file: url })
  }
}
