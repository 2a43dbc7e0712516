import type { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import { copyPlain } from './plain.ts'
import type { TextEncoding } from './textencoding.ts'

/** UTF8 and SQL_ASCII. SQL_ASCII does not say what bytes above 0x7f mean: they are text if they are valid UTF-8, as convert_from has it. */
export function utf8Encoding(name: string): TextEncoding {
  return { name, toUtf8: copyUtf8, fromUtf8: copyUtf8 }
}

/** Encodings that the server does not convert to UTF-8 at all (MULE_INTERNAL): only their ASCII part is text. */
export function asciiEncoding(name: string): TextEncoding {
  return { name, toUtf8: copyPlain, fromUtf8: copyPlain }
}

function copyUtf8(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (copyPlain(source, start, end, out)) return true
  if (!isUtf8(source, start, end)) return false
  out.length += end - start
  return true
}
