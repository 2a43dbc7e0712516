import * as v from 'valibot'
import { crc32c } from '../../common/crc32c.ts'
import { assert, CorruptionError, UnsupportedError } from '../../common/errors.ts'
import { utf8Decode } from '../../common/utf8.ts'
import {
  integer, matching, oneOf, parseJson, type Persisted, pieceLength, pieceStart, refuseDeep, type Schema, text, unsigned32, validate,
} from '../../common/validate.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { decodeStateText, encodeStateText } from './statetext.ts'

/*
 * Pages of a state: sorted entries of one tree, as JSON that is compressed (statetext.ts). Several pages of one commit lie in one object behind each other.
 *
 *     { "format": 2, "tree": "layers", "level": 0, "entries": [ ["<key>", <value>], … ] }
 *
 * Above level 0 a value is the reference of the page whose first key the entry has.
 */

/** Format of states, of their pages and of HEAD. */
export const STATE_FORMAT = 2

/** What the trees of a lake hold: layers by relation, transaction status by full xid, small files of the cluster by path; databases, tables without pages
 * and what is not read; what was published of each table; ends of all transactions since the first state; retained states by sequence. */
export type TreeName = 'layers' | 'status' | 'files' | 'catalog' | 'published' | 'transactions' | 'states'
const TREES = ['layers', 'status', 'files', 'catalog', 'published', 'transactions', 'states'] as const satisfies readonly TreeName[]

/** Where a page lies. */
export interface PageRef {
  /** Key of the object, relative to the lake. */
  readonly key: string
  readonly start: number
  readonly length: number
  /** CRC-32C of its bytes. */
  readonly crc: number
}

/** Where a small piece of an object lies that is no page, and what it is known by. */
export interface PieceRef extends PageRef {
  /** SHA-256 of its bytes in base64url: two pieces with the same one are the same. */
  readonly sha256: string
}

export type Entry = readonly [key: string, value: unknown]

export interface Page {
  readonly tree: TreeName | 'log'
  /** 0: its entries are the tree's; else references of pages one level below. */
  readonly level: number
  /** By key, in the order of its UTF-16 code units; keys are ASCII. */
  readonly entries: readonly Entry[]
}

/** A key of an object: what ltap itself names, and each store takes (src/engine/objectkey.ts). */
export const objectKey: Schema<string> = matching(
  /^(?=.{1,768}$)(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._=-]{1,255}(?:\/[A-Za-z0-9._=-]{1,255})*$/, 'a key of an object')

const REF_ENTRIES = { key: objectKey, start: pieceStart, length: pieceLength, crc: unsigned32 }
export const PAGE_REF: Schema<PageRef> = v.object(REF_ENTRIES)
export const PIECE_REF: Schema<PieceRef> = v.strictObject({ ...REF_ENTRIES, sha256: matching(/^[\w-]{43}$/, 'a SHA-256 in base64url') })

const KEY = matching(/^[\x21-\x7e]{1,200}$/, 'a key of 1 to 200 ASCII characters')
const LEVELS_MAX = 8
const PAGE = v.strictObject({
  format: integer(STATE_FORMAT, STATE_FORMAT), tree: oneOf([...TREES, 'log'] as const), level: integer(0, LEVELS_MAX),
  entries: v.array(v.strictTuple([KEY, v.unknown()])),
})

/** So many bytes of JSON a page has at most: a reader takes no more memory for what a stranger wrote. Trees cut theirs at 192 KiB. */
export const PAGE_TEXT_MAX: number = 64 << 20

/** @param compressor of the lake; undefined leaves the page as JSON */
export function encodePage({ tree, level, entries }: Page, compressor?: Compressor): Uint8Array {
  const json = JSON.stringify({ format: STATE_FORMAT, tree, level, entries })
  assert(json.length <= PAGE_TEXT_MAX, `a page of ${json.length} characters`)
  return encodeStateText(json, compressor)
}

/** What error messages call a page. */
export function pageOf({ key, start }: PageRef): Persisted {
  return { code: 'lake.page', name: `the page at byte ${start} of ${key}` }
}

/**
 * The JSON of a page.
 * @param bytes of the page alone @param compressor of the lake, for what zstd did not make
 * @throws CorruptionError lake.page; UnsupportedError lake.compressor
 */
export function pageText(bytes: Uint8Array, ref: PageRef, compressor?: Compressor): Uint8Array {
  const persisted = pageOf(ref)
  if (bytes.length !== ref.length || crc32c(bytes) !== ref.crc) {
    throw new CorruptionError(persisted.code, `${persisted.name} is damaged: its ${bytes.length} bytes do not have the CRC of its reference`)
  }
  return decodeStateText(bytes, persisted, PAGE_TEXT_MAX, compressor)
}

/**
 * @param text as {@link pageText} gives it
 * @param expected what the reference's holder says is there
 * @throws CorruptionError lake.page with the member; UnsupportedError lake.format
 */
export function decodePage(text: Uint8Array, ref: PageRef, expected: { tree: Page['tree']; level?: number }): Page {
  const persisted = pageOf(ref)
  const page = validate(PAGE, refuseNewer(parseText(text, persisted), persisted.name), persisted)
  if (page.tree !== expected.tree) throw new CorruptionError(persisted.code, `${persisted.name} is damaged: tree is ${page.tree}, not ${expected.tree}`)
  if (expected.level !== undefined && page.level !== expected.level) {
    throw new CorruptionError(persisted.code, `${persisted.name} is damaged: level is ${page.level}, not ${expected.level}`)
  }
  // The log has its edits in the order of their commits; a key may have several.
  const unsorted = page.tree === 'log' ? -1 : page.entries.findIndex(([key], i) => i > 0 && page.entries[i - 1]![0] >= key)
  if (unsorted >= 0) throw new CorruptionError(persisted.code, `${persisted.name} is damaged: entries[${unsorted}] is not above the one before it`)
  return page
}

/** @throws CorruptionError if `bytes` are not JSON in UTF-8, or too deep */
export function parseText(bytes: Uint8Array, persisted: Persisted): unknown {
  let decoded: string
  try {
    decoded = utf8Decode(bytes)
  } catch {
    throw new CorruptionError(persisted.code, `${persisted.name} is not UTF-8`)
  }
  refuseDeep(decoded, persisted)
  return parseJson(decoded, persisted)
}

const NEWER = v.object({ format: integer(STATE_FORMAT + 1, Number.MAX_SAFE_INTEGER) })

/** @throws UnsupportedError lake.format for what a newer ltap wrote */
export function refuseNewer(found: unknown, name: string): unknown {
  if (!v.is(NEWER, found)) return found
  throw new UnsupportedError('lake.format', `${name} has format version ${found.format}, this ltap reads ${STATE_FORMAT}: use a newer ltap`)
}

/** The check of a short text in the value of an entry. */
export const shortText: Schema<string> = v.pipe(text, v.maxLength(1024, 'a text of at most 1024 characters'))
