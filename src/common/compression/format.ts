import { bytesEqual } from '../bytes.ts'
import { UnsupportedError } from '../errors.ts'

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
const ENCRYPTIONS: readonly [what: string, how: string, magic: string | number[]][] = [
  [
    'encrypted with a passphrase (Salted__: pgBackRest with repo-cipher-type, or openssl enc)', 'fetch it with pgbackrest, or decrypt it with openssl',
    'Salted__',
  ],
  ['encrypted with age', 'decrypt it with age -d', 'age-encryption.org/'],
  ['encrypted with OpenPGP (gpg, WAL-G with a PGP key, Barman)', 'decrypt it with gpg -d', '-----BEGIN PGP MESSAGE'],
]
/** Tags of the packets that an OpenPGP message begins with: a session key for a public key, or for a passphrase. */
const OPENPGP_TAGS = [0x84, 0x85, 0x86, 0x8c, 0x8d, 0xc1, 0xc3]
/** Ends of names that say what ltap does not read. */
const OTHERS: Readonly<Record<string, string>> = {
  '.gpg': 'encrypted with OpenPGP; decrypt it with gpg -d', '.pgp': 'encrypted with OpenPGP; decrypt it with gpg -d',
  '.asc': 'encrypted with OpenPGP; decrypt it with gpg -d', '.age': 'encrypted with age; decrypt it with age -d',
  '.enc': 'encrypted; decrypt it', '.lzo': 'compressed with lzo, which ltap does not read; decompress it with lzop -d',
  '.snappy': 'compressed with snappy, which ltap does not read; decompress it', '.sz': 'compressed with snappy, which ltap does not read; decompress it',
  '.zip': 'a zip file; unpack it', '.7z': 'a 7-Zip file; unpack it',
}

/** Takes the end of a name off that says how the file is compressed. */
export function splitCompression(name: string): [stem: string, compression: Compression] {
  const found = COMPRESSIONS.find((suffix) => suffix !== '' && name.endsWith(suffix)) ?? ''
  return [name.slice(0, name.length - found.length), found]
}

/** The same for an end that says why ltap cannot read the file. */
export function splitUnread(name: string): [stem: string, why: string | undefined] {
  const suffix = /\.[a-z0-9]+$/.exec(name)?.[0] ?? ''
  return Object.hasOwn(OTHERS, suffix) ? [name.slice(0, -suffix.length), OTHERS[suffix]] : [name, undefined]
}

/**
 * How a file is compressed whose name says `named`: what has no end of its name is known by its first bytes.
 * @throws UnsupportedError archive.encrypted
 */
export function compressionOf(head: Uint8Array, named: Compression): Compression {
  const found = MAGICS.find(([, magic]) => startsWith(head, magic))?.[0] ?? ''
  if (found !== '') return found
  if (head.length === 0) return named
  for (const [what, how, magic] of ENCRYPTIONS) if (startsWith(head, magic)) throw encrypted(what, how)
  if (named === '' || named === '.lzma' || named === '.br') return named
  if (OPENPGP_TAGS.includes(head[0]!)) throw encrypted('encrypted with OpenPGP (gpg, WAL-G with a PGP key)', 'decrypt it with gpg -d')
  const what = `no ${named.slice(1)} content, though its name says so: encrypted (WAL-G with libsodium leaves no mark), or damaged`
  throw encrypted(what, 'fetch it with its own tool')
}

/** Whether the first bytes of a file without known content look like those of an encrypted one. */
export function refuseOpenPgp(head: Uint8Array): void {
  if (head.length === 0 || !OPENPGP_TAGS.includes(head[0]!)) return
  throw encrypted('encrypted with OpenPGP (its first byte says so), or damaged', 'decrypt it with gpg -d')
}

function encrypted(what: string, how: string): UnsupportedError {
  return new UnsupportedError('archive.encrypted', `the file is ${what}; ${how}`)
}

function startsWith(head: Uint8Array, magic: string | number[]): boolean {
  const bytes = typeof magic === 'string' ? new TextEncoder().encode(magic) : Uint8Array.from(magic)
  return bytesEqual(head.subarray(0, bytes.length), bytes)
}
