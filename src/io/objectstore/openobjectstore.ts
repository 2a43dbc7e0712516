import { fileURLToPath } from 'node:url'
import { UnsupportedError } from '../../common/errors.ts'
import type { Clock } from '../../common/clock.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Random } from '../../engine/random.ts'
import { systemClock } from '../process/clock.ts'
import { systemRandom } from '../process/systemrandom.ts'
import { DirectoryObjectStore } from './directoryobjectstore.ts'
import { DEFAULT_RETRIES, type RetryPolicy } from './retry.ts'
import { type S3Options, s3Settings } from './s3settings.ts'

export interface ObjectStoreOptions extends S3Options {
  clock?: Clock | undefined
  random?: Random | undefined
  retries?: RetryPolicy | undefined
  /** Says which keys the objects of a store that is no lake's may have, beyond the usual ones; a folder has only these. */
  isKey?: ((key: string) => boolean) | undefined
  /** @default the process's */
  environment?: Readonly<Record<string, string | undefined>> | undefined
}

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/

/**
 * The objects below `s3://bucket/prefix`, or of a folder, named by its path or a `file:` URL. Nothing is asked of it yet.
 * @throws EnvironmentError store.url, store.endpoint; UnsupportedError path.scheme
 */
export async function openObjectStore(url: string, options: ObjectStoreOptions = {}): Promise<ObjectStore> {
  const { clock = systemClock, random = systemRandom, retries = DEFAULT_RETRIES, environment = process.env, isKey } = options
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined) return new DirectoryObjectStore(url, random)
  if (scheme === 'file') return new DirectoryObjectStore(localPath(url), random)
  if (scheme !== 's3') throw new UnsupportedError('path.scheme', `${scheme}: is not supported; name a folder or s3://bucket/prefix`, { file: url })
  const settings = s3Settings(url, options, environment)
  // The SDK takes longer to load than all of ltap.
  const { S3ObjectStore } = await import('./s3objectstore.ts')
  return new S3ObjectStore(settings, { clock, random, retries, isKey })
}

/** The folder that a path or a `file:` URL names; undefined for another store. @throws UnsupportedError path.scheme */
export function localFolder(place: string): string | undefined {
  if (!isStoreUrl(place)) return place
  return /^file:/i.test(place) ? localPath(place) : undefined
}

/** Objects in a store are named by a URL. A folder may be named by its path, too, which may have any characters: `c:x`. */
export function isStoreUrl(place: string): boolean {
  return /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/|file:)/.test(place)
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url)
  } catch {
    throw new UnsupportedError('path.scheme', 'not a file: URL of a local path; write the path alone', { file: url })
  }
}
