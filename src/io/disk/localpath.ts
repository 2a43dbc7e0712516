import { existsSync, realpathSync } from 'node:fs'
import { dirname, resolve, sep } from 'node:path'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//

/**
 * Refuses URLs where a local path is needed: a file system takes `s3://bucket/x` for a folder `s3:`, and would put the lake there without an error.
 * @throws UnsupportedError path.scheme
 */
export function refuseScheme(path: string): void {
  if (/^s3:\/[^/]/i.test(path)) {
    throw new UnsupportedError('path.scheme', `s3: needs two slashes; did you mean s3://${path.slice(4)}? (./${path} is a folder)`, { file: path })
  }
  const scheme = SCHEME.exec(path)?.[0]
  if (scheme === undefined) return
  const kind = scheme.toLowerCase()
  const folder = `a local folder (./${scheme}… if one is called so)`
  const reason = kind === 'file://' ? 'file:// is not taken here; write the path alone' : kind === 's3://' ? `s3:// is not taken here; name ${folder}`
    : `${scheme} is not supported; name ${folder}, or s3://bucket/prefix for a lake`
  throw new UnsupportedError('path.scheme', reason, { file: path })
}

/**
 * Refuses an output folder inside the folder that is read: it would change that folder, and a server that starts there would find foreign files.
 * @param made a folder that is there or not @param source the folder that is read
 * @throws EnvironmentError path.inside
 */
export function refuseInside(made: string, source: string): void {
  if (!existsSync(source)) return
  let there = resolve(made)
  while (!existsSync(there)) there = dirname(there)
  const [inner, outer] = [realpathSync(there), realpathSync(source)]
  if (inner === outer && there === resolve(made)) return
  if (!isBelow(inner, outer)) return
  throw new EnvironmentError('path.inside', `the folder lies inside ${outer}, which is read; name one outside of it`, { file: made })
}

/**
 * Refuses an output folder that has the folder that is read in it: what is written there could take its place.
 * @param made a folder that is there or not @param source the folder that is read
 * @throws EnvironmentError path.inside
 */
export function refuseAround(made: string, source: string): void {
  if (!existsSync(source) || !existsSync(made)) return
  const [inner, outer] = [realpathSync(source), realpathSync(made)]
  if (inner === outer || !isBelow(inner, outer)) return
  throw new EnvironmentError('path.inside', `${inner}, which is read, lies inside the folder; name another one`, { file: made })
}

/** Whether a real path is another one, or below it. */
function isBelow(inner: string, outer: string): boolean {
  return `${inner}${sep}`.startsWith(outer.endsWith(sep) ? outer : `${outer}${sep}`)
}
