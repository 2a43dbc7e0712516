import { formatLsn, parseLsn } from '../common/ids.ts'
import { utf8Decode, utf8Encode } from '../common/utf8.ts'

/*
 * A warehouse is a database, or a database as of one state of the lake: `shop`, `shop@16/B374D848`, `shop@monday`. Its prefix in paths has only characters
 * that no client encodes: others are `~` and two hexadecimal digits for each byte of their UTF-8, and an LSN has `-` in place of its `/`.
 */

/** Where all tables of a warehouse are pinned; undefined for the newest state. */
export type Pinned = { readonly lsn: string } | { readonly tag: string } | undefined

export interface Warehouse {
  readonly database: string
  readonly at: Pinned
}

export function warehousePrefix({ database, at }: Warehouse): string {
  const point = at === undefined ? '' : 'lsn' in at ? `@lsn-${at.lsn.replace('/', '-')}` : `@tag-${at.tag}`
  return encoded(database) + point
}

/** @returns undefined for a text that {@link warehousePrefix} does not give */
export function parsePrefix(prefix: string): Warehouse | undefined {
  const [, name = '', kind, point = ''] = /^([A-Za-z0-9_.~-]*)(?:@(lsn|tag)-([A-Za-z0-9_-]+))?$/.exec(prefix) ?? []
  const database = decoded(name)
  if (database === undefined || database === '') return undefined
  if (kind === undefined) return { database, at: undefined }
  if (kind === 'tag') return { database, at: { tag: point } }
  const lsn = parseLsn(point.replace('-', '/'))
  return lsn === undefined ? undefined : { database, at: { lsn: formatLsn(lsn) } }
}

function encoded(name: string): string {
  const plain = name === '.' || name === '..' ? /[A-Za-z0-9_-]/ : /[A-Za-z0-9_.-]/
  return Array.from(utf8Encode(name), (byte) => {
    const char = String.fromCharCode(byte)
    return plain.test(char) ? char : `~${byte.toString(16).padStart(2, '0')}`
  }).join('')
}

function decoded(text: string): string | undefined {
  const bytes: number[] = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '~') bytes.push(text.charCodeAt(at))
    else {
      const hex = text.slice(at + 1, at + 3)
      if (!/^[0-9a-f]{2}$/.test(hex)) return undefined
      bytes.push(Number.parseInt(hex, 16))
      at += 2
    }
  }
  try {
    return utf8Decode(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}
