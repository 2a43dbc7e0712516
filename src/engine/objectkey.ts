import { assert } from '../common/errors.ts'

const SEGMENT = /^[A-Za-z0-9._=-]{1,255}$/
/** S3 allows 1024 bytes; the rest is for the prefix of the store. */
const KEY_LENGTH_MAX = 768

/**
 * Whether each store takes this key and gives it back as it is: segments of 1 to 255 characters [A-Za-z0-9._=-], joined by `/`, none of them `.` or
 * `..`, at most 768 in all. Servers differ in all that lies beyond: file names of 255 bytes, folders, escapes in URLs.
 */
export function isKey(key: string): boolean {
  return key.length <= KEY_LENGTH_MAX && key.split('/').every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..')
}

/** Keys are made by us; one that comes from a stored file goes through {@link isKey} first. */
export function checkKey(key: string): void {
  assert(isKey(key), `${JSON.stringify(key)} is no key of an object`)
}

/** A key, or what one begins with, or ''. */
export function checkPrefix(prefix: string): void {
  assert(prefix === '' || isKey(`${prefix}x`), `${JSON.stringify(prefix)} is not the beginning of a key`)
}
