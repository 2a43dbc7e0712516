import { UnsupportedError } from '../../common/errors.ts'
import { EUC_JAPANESE, EUC_PLAIN, EUC_TAIWAN, eucEncoding } from './euc.ts'
import { singleByteEncoding } from './singlebyte.ts'
import { EUC_CN } from './tables/euc_cn.ts'
import { EUC_JIS_2004 } from './tables/euc_jis_2004.ts'
import { EUC_JP } from './tables/euc_jp.ts'
import { EUC_KR } from './tables/euc_kr.ts'
import { EUC_TW } from './tables/euc_tw.ts'
import * as singleByte from './tables/singlebyte.ts'
import type { TextEncoding } from './textencoding.ts'
import { asciiEncoding, utf8Encoding } from './utf8.ts'

export type { TextEncoding }

/** pg_enc (pg_wchar.h), the backend encodings in the order of their numbers; the same in all majors we read. */
const ENCODINGS: readonly TextEncoding[] = [
  utf8Encoding('SQL_ASCII'),
  eucEncoding('EUC_JP', EUC_JAPANESE, EUC_JP),
  eucEncoding('EUC_CN', EUC_PLAIN, EUC_CN),
  eucEncoding('EUC_KR', EUC_PLAIN, EUC_KR),
  eucEncoding('EUC_TW', EUC_TAIWAN, EUC_TW),
  eucEncoding('EUC_JIS_2004', EUC_JAPANESE, EUC_JIS_2004),
  utf8Encoding('UTF8'),
  asciiEncoding('MULE_INTERNAL'),
  ...([
    'LATIN1', 'LATIN2', 'LATIN3', 'LATIN4', 'LATIN5', 'LATIN6', 'LATIN7', 'LATIN8', 'LATIN9', 'LATIN10', 'WIN1256', 'WIN1258', 'WIN866',
    'WIN874', 'KOI8R', 'WIN1251', 'WIN1252', 'ISO_8859_5', 'ISO_8859_6', 'ISO_8859_7', 'ISO_8859_8', 'WIN1250', 'WIN1253', 'WIN1254',
    'WIN1255', 'WIN1257', 'KOI8U',
  ] as const).map((name) => singleByteEncoding(name, singleByte[name])),
]

/** pg_database.encoding of a name as pg_encoding_to_char writes it, in any case; undefined without one. */
export function databaseEncoding(name: string): number | undefined {
  const number = ENCODINGS.findIndex((encoding) => encoding.name === name.toUpperCase())
  return number < 0 ? undefined : number
}

/** The encoding with the number of pg_database.encoding. Throws UnsupportedError on numbers that no database has. */
export function textEncoding(encodingNumber: number): TextEncoding {
  const encoding = ENCODINGS[encodingNumber]
  if (!encoding) throw new UnsupportedError('datum.encoding', `no database encoding has number ${encodingNumber}`)
  return encoding
}
