import { UnsupportedError } from '../common/errors.ts'

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//

/**
 * Folders and files are local ones: to a file system `s3://bucket/x` is a folder `s3:`, and a lake would land there in silence.
 * @throws UnsupportedError path.scheme
 */
export function refuseScheme(path: string): void {
  const scheme = SCHEME.exec(path)?.[0]
  if (scheme === undefined) return
  const advice = scheme.toLowerCase() === 'file://' ? 'write the path alone' : `name a local folder (./${scheme}… if one is called so)`
  throw new UnsupportedError('path.scheme', `${scheme} is not supported yet; ${advice}`, { file: path })
}
