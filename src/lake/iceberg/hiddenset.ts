import * as v from 'valibot'
import type { RowSet } from '../../columnar/filesummary.ts'
import type { BlockSet } from '../../common/blockset.ts'
import { blockSet, blockSetText } from '../../common/blocksetcodec.ts'
import { hexEncode } from '../../common/bytes.ts'
import { sha256 } from '../../common/sha256.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { matching, type Schema } from '../../common/validate.ts'

/*
 * What is remembered of the rows that a delete file hides: a small set itself, a larger one's SHA-256 behind a `#`. Equal texts are equal sets.
 */

const TEXT_MAX = 200

export function hiddenText(hidden: RowSet): string {
  const text = blockSetText(hidden)
  return text.length <= TEXT_MAX ? text : `#${hexEncode(sha256(utf8Encode(text)))}`
}

/** Whether it is sure that no row of the remembered set is missing in `hidden`. @param before undefined for no rows */
export function hasAll(hidden: RowSet, before: string | undefined): boolean {
  if (before === undefined) return true
  if (before.startsWith('#')) return before === hiddenText(hidden)
  const known = v.parse(blockSet, before)
  return known.subtract(hidden).size === 0
}

/** How many rows a text has; undefined for one that does not say it. */
export function rowsInText(text: string): number | undefined {
  return text.startsWith('#') ? undefined : v.parse(blockSet, text).size
}

/** What is read as a text of {@link hiddenText}, which stays a text. */
export const HIDDEN_TEXT: Schema<string> = v.union(
  [matching(/^#[0-9a-f]{64}$/, 'a SHA-256'), v.pipe(blockSet, v.transform((set: BlockSet) => blockSetText(set)))], 'a set of rows or its SHA-256')
