import type { ByteWriter } from '../../common/bytes.ts'

/**
 * A database encoding and its way to UTF-8 and back, as the server itself converts: convert_from and convert_to between it and UTF8.
 * Both directions append to `out` and return true, or append nothing and return false: not valid there, or no counterpart.
 * A zero byte is never valid. A byte order mark is content and stays.
 */
export interface TextEncoding {
  /** As pg_encoding_to_char names it, e.g. `EUC_JP`. */
  readonly name: string
  /** `source[start .. end)` from this encoding to UTF-8. */
  toUtf8(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean
  /** The inverse of toUtf8; where several codes mean the same character, the one that convert_to writes. */
  fromUtf8(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean
}
