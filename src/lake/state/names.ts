import { assert, EnvironmentError } from '../../common/errors.ts'

/*
 * Names of a lake's objects. The last segment of a key, up to its first dot and without a `_` at its start, is the name:
 *
 *     <branch id>-<epoch>-<sequence>-<nonce>       of the writer of that branch in that epoch
 *     <branch id>-job-<job id>-<nonce>             of an attempt at a unit of an open job
 *
 * A name says which writer or job may still refer to the object; no other may. So the name and the HEADs decide whether the object is dead.
 *
 * Delta says how the last segment of a deletion vector file is called, `deletion_vector_<uuid>.bin`: there the segment before is the name.
 */

/** The form of a nonce. Branches, jobs, commits and objects have one. */
export const NONCE: RegExp = /^[0-9a-z]{20}$/

/** Which writer or job named an object. */
export type ObjectName = { readonly branch: string; readonly epoch: number; readonly sequence: number } | { readonly branch: string; readonly job: string }

/** `nonce` is a new one for each object. */
export function formatObjectName(name: ObjectName, nonce: string): string {
  assert(NONCE.test(nonce) && NONCE.test(name.branch), `an object name of ${name.branch} with ${nonce}`)
  return 'job' in name ? `${name.branch}-job-${name.job}-${nonce}` : `${name.branch}-${name.epoch}-${name.sequence}-${nonce}`
}

const WRITERS = /^_?([0-9a-z]{20})-(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})-[0-9a-z]{20}$/
const DELETION_VECTORS = /^deletion_vector_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.bin$/
const JOBS = /^_?([0-9a-z]{20})-job-([0-9a-z]{20})-[0-9a-z]{20}$/

/** @returns undefined for a key that no writer and no job of a lake has made: such an object must not be deleted */
export function parseObjectName(key: string): ObjectName | undefined {
  const segments = key.split('/')
  const last = segments.pop()!
  const [name] = (DELETION_VECTORS.test(last) ? segments.pop() ?? '' : last).split('.') as [string]
  const written = WRITERS.exec(name)
  if (written) return { branch: written[1]!, epoch: Number(written[2]), sequence: Number(written[3]) }
  const job = JOBS.exec(name)
  return job ? { branch: job[1]!, job: job[2]! } : undefined
}

/** What the lake is, written once. */
export const FORMAT_KEY = 'ltap/format.json'
export const MAIN_BRANCH = 'main'
/** The form of a name of a branch, a tag or a lease: one segment of a key. */
export const REFERENCE_NAME: RegExp = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** Refuses what is no name of a branch, a tag or a lease, before a key is made of it. @throws EnvironmentError lake.name */
export function checkReferenceName(name: string): void {
  if (REFERENCE_NAME.test(name)) return
  throw new EnvironmentError('lake.name', `${JSON.stringify(name)} is no name: use [a-z0-9_-], at most 63 characters, the first one of [a-z0-9]`)
}

/** The mutable object of a branch. */
export function headKey(branch: string): string {
  return `ltap/branches/${branch}/HEAD`
}

/** Pages of small relations (src/lake/pack.ts). */
export function packObjectKey(name: string): string {
  return `ltap/packs/${name}.pack`
}

/** Immutable parts of states. */
export function partKey(name: string): string {
  return `ltap/parts/${name}`
}
