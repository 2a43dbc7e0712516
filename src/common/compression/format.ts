import { bytesEqual } from '../bytes.ts'
import { noContent, refuseOpenPgp, refuseUnread } from './unread.ts'

/** How a file is compressed, by the end of its name. */
export const COMPRESSIONS = ['', '.gz', '.lz4', '.zst', '.bz2', '.xz', '.lzma', '.br'] as const
export type Compression = (typeof COMPRESSIONS)[number]

/** The number of bytes at the beginning of a file that tell its format. */
export const HEAD_LENGTH = 512

/** The first bytes, of the formats that have some. */
const MAGICS: readonly [Compression, number[]][] = [
  ['.gz', [0x1f, 0x8b, 0x08]], ['.lz4', [0x04, 0x22, 0x4d, 0x18]], ['.zst', [0x28, 0xb5, 0x2f, 0xfd]],
  ['.bz2', [0x42, 0x5a, 0x68]], ['.xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
]

/** Takes the end of a name off that says how the file is compressed. */
export function splitCompression(name: string): [stem: string, compression: Compression] {
  const found = COMPRESSIONS.find((suffix) => suffix !== '' && name.endsWith(suffix)) ?? ''
  return [name.slice(0, name.length - found.length), found]
}

/**
 * How a file is compressed whose name says `named`: what has no end of its name is known by its first bytes.
 * @throws UnsupportedError archive.encrypted
 */
export function compressionOf(head: Uint8Array, named: Compression): Compression {
  const found = MAGICS.find(([, magic]) => bytesEqual(head.subarray(0, magic.length), Uint8Array.from(magic)))?.[0] ?? ''
  if (found !== '') return found
  if (head.length === 0) return named
  refuseUnread(head)
  if (named === '' || named === '.lzma' || named === '.br') return named
  refuseOpenPgp(head)
  throw noContent(named.slice(1))
}
