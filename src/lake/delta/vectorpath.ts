import { assert } from '../../common/errors.ts'
import { type Schema } from '../../common/validate.ts'
import * as v from 'valibot'
import { z85Encode } from './z85.ts'

/*
 * `pathOrInlineDv` of a deletion vector that is in a file (PROTOCOL.md, Deletion Vector Descriptor Schema): a prefix, which is the name of an object of the
 * lake, and a UUID in Z85, which is made of it.
 */

const UUID_BYTES = 16
const UUID_DIGITS = UUID_BYTES * 5 / 4
const NAME = /^[0-9a-z]{20}-(?:\d{1,15}-\d{1,15}|job-[0-9a-z]{20})-([0-9a-z]{20})$/
/** Numbers of 103 bits and a half: all of them fit into a UUID. */
const NONCE = /[0-9a-z]{20}$/

/** A UUID for each name: its nonce, as a number. */
export function uuidBytes(name: string): Uint8Array {
  const nonce = NONCE.exec(name)?.[0]
  assert(nonce !== undefined, `an object name without a nonce: ${name}`)
  let number = 0n
  for (const digit of nonce) number = number * 36n + BigInt(Number.parseInt(digit, 36))
  const bytes = new Uint8Array(UUID_BYTES)
  for (let at = UUID_BYTES - 1; at >= 0; at--, number >>= 8n) bytes[at] = Number(number & 0xffn)
  return bytes
}

/** @param name of an object of the lake */
export function vectorPath(name: string): string {
  return name + z85Encode(uuidBytes(name))
}

/** Name of the object that a path leads to. */
export function nameInPath(path: string): string {
  return path.slice(0, -UUID_DIGITS)
}

export const VECTOR_PATH: Schema<string> = v.custom<string>(
  (path) => typeof path === 'string' && NAME.test(nameInPath(path)) && vectorPath(nameInPath(path)) === path, 'the name of an object, with its UUID')
