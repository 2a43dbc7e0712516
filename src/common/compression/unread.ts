import { bytesEqual } from '../bytes.ts'
import { UnsupportedError } from '../errors.ts'

/** What ltap does not read, by the first bytes of the file: encrypted, or packed by a program whose format it does not know. */
const SIGNS: readonly [what: string, how: string, signs: readonly (string | number[])[]][] = [
  [
    'encrypted with a passphrase (Salted__: pgBackRest with repo-cipher-type, or openssl enc)', 'fetch it with pgbackrest, or decrypt it with openssl',
    // In base64, too.
    ['Salted__', 'U2FsdGVkX1'],
  ],
  ['encrypted with age', 'decrypt it with age -d', ['age-encryption.org/', '-----BEGIN AGE ENCRYPTED FILE-----']],
  ['encrypted with OpenPGP (gpg, WAL-G with a PGP key, Barman)', 'decrypt it with gpg -d', ['-----BEGIN PGP MESSAGE']],
  ['encrypted with CMS (openssl cms, S/MIME)', 'decrypt it with openssl cms', ['-----BEGIN CMS-----', '-----BEGIN PKCS7-----']],
  ['encrypted with AES Crypt', 'decrypt it with aescrypt -d', ['AES\x01', 'AES\x02', 'AES\x03']],
  ['an encrypted disk (LUKS)', 'open it with cryptsetup, and name what is on it', [[0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]]],
  ['a zip file', 'unpack it', ['PK\x03\x04']],
  ['a 7-Zip file', 'unpack it', [[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]]],
  ['compressed with lzo, which ltap does not read', 'decompress it with lzop -d', [[0x89, 0x4c, 0x5a, 0x4f]]],
  ['compressed with snappy, which ltap does not read', 'decompress it', [[0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]]],
]
/** Tags of the packets that an OpenPGP message begins with: a session key for a public key, or for a passphrase. */
const OPENPGP_TAGS = [0x84, 0x85, 0x86, 0x8c, 0x8d, 0xc1, 0xc3]
/** The same by the ends of names. */
const ENDS: Readonly<Record<string, string>> = {
  '.gpg': 'encrypted with OpenPGP; decrypt it with gpg -d', '.pgp': 'encrypted with OpenPGP; decrypt it with gpg -d',
  '.asc': 'encrypted with OpenPGP; decrypt it with gpg -d', '.age': 'encrypted with age; decrypt it with age -d',
  '.enc': 'encrypted; decrypt it', '.aes': 'encrypted; decrypt it', '.crypt': 'encrypted; decrypt it',
  '.cpt': 'encrypted with ccrypt; decrypt it with ccdecrypt',
  '.lzo': 'compressed with lzo, which ltap does not read; decompress it with lzop -d',
  '.snappy': 'compressed with snappy, which ltap does not read; decompress it', '.sz': 'compressed with snappy, which ltap does not read; decompress it',
  '.zip': 'a zip file; unpack it', '.7z': 'a 7-Zip file; unpack it',
}
export const UNREAD_ENDS: readonly string[] = Object.keys(ENDS)

/** Takes the end of a name off that says why ltap cannot read the file. */
export function splitUnread(name: string): [stem: string, why: string | undefined] {
  const suffix = /\.[a-z0-9]+$/.exec(name)?.[0] ?? ''
  return Object.hasOwn(ENDS, suffix) ? [name.slice(0, -suffix.length), ENDS[suffix]] : [name, undefined]
}

/** Refuses a file whose first bytes are those of a format that ltap does not read. @throws UnsupportedError archive.encrypted */
export function refuseUnread(head: Uint8Array): void {
  for (const [what, how, signs] of SIGNS) if (signs.some((sign) => startsWith(head, sign))) throw encrypted(what, how)
}

/** The same for OpenPGP, whose sign is one byte: of a file whose content ltap does not know. @throws UnsupportedError archive.encrypted */
export function refuseOpenPgp(head: Uint8Array): void {
  if (head.length === 0 || !OPENPGP_TAGS.includes(head[0]!)) return
  throw encrypted('encrypted with OpenPGP (gpg, WAL-G with a PGP key; its first byte says so), or damaged', 'decrypt it with gpg -d')
}

/** What a file is that has not the content that its name says. */
export function noContent(what: string): UnsupportedError {
  return encrypted(`no ${what} content, though its name says so: encrypted (WAL-G with libsodium leaves no mark), or damaged`, 'fetch it with its own tool')
}

/** What is said of a file whose sound content would have no mark of its own either. */
export const NO_MARK = 'it is damaged, or encrypted (WAL-G with libsodium leaves no mark)'

function encrypted(what: string, how: string): UnsupportedError {
  return new UnsupportedError('archive.encrypted', `the file is ${what}; ${how}`)
}

function startsWith(head: Uint8Array, sign: string | number[]): boolean {
  const bytes = typeof sign === 'string' ? new TextEncoder().encode(sign) : Uint8Array.from(sign)
  return bytesEqual(head.subarray(0, bytes.length), bytes)
}
