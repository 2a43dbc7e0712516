import { CorruptionError, UnsupportedError } from '../errors.ts'

/*
 * A tar header (POSIX ustar; GNU tar differs in the magic and has no prefix), one block of 512 bytes:
 *
 *     0 name 100 | 100 mode 8 | uid 8 | gid 8 | 124 size 12 | mtime 12 | 148 checksum 8 | 156 type 1 | 157 link name 100 | 257 magic 8 | … | 345 prefix 155
 *
 * Numbers are octal text, or of GNU base 256 where the first bit is set. Extended headers (x: pax, L: GNU long name) are entries of their
 * own before the one that they are about.
 */
export const TAR_BLOCK = 512
/** An extended header has a name and some attributes; a larger one is an attack on memory. */
const EXTENDED_BYTES_MAX = 1 << 20
const [NAME, SIZE, CHECKSUM, TYPE, MAGIC, PREFIX] = [0, 124, 148, 156, 257, 345] as const

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export type TarType = 'file' | 'directory' | 'link' | 'special'

export interface TarHeader {
  name: string
  size: number
  type: TarType
}

/** What an entry says that is no file but about the next one. */
export interface ExtendedHeader {
  extended: 'pax' | 'global' | 'long-name' | 'long-link'
  size: number
}

/** Whether a block may be a tar header: its checksum is right. */
export function isTarHeader(block: Uint8Array): boolean {
  return block.length >= TAR_BLOCK && !isZero(block.subarray(0, TAR_BLOCK)) && octal(block, CHECKSUM, 8) === checksum(block)
}

export function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

/** @throws CorruptionError, UnsupportedError backup.tar */
export function parseTarHeader(block: Uint8Array): TarHeader | ExtendedHeader {
  if (octal(block, CHECKSUM, 8) !== checksum(block)) throw corrupt('wrong checksum of a header')
  const size = parseSize(block)
  const flag = String.fromCharCode(block[TYPE]!)
  const extended = ({ x: 'pax', X: 'pax', g: 'global', L: 'long-name', K: 'long-link' } as const)[flag]
  if (extended !== undefined) {
    if (size > EXTENDED_BYTES_MAX) throw corrupt(`an extended header of ${size} bytes; ltap takes up to ${EXTENDED_BYTES_MAX}`)
    return { extended, size }
  }
  const name = headerName(block)
  const type = typeOf(flag, name)
  if (type !== 'file' && size !== 0) throw corrupt(`a ${type === 'directory' ? 'folder' : type} with ${size} bytes of content`)
  return { name, size, type }
}

function typeOf(flag: string, name: string): TarType {
  switch (flag) {
    case '0': case '7': return 'file'
    case '\0': return name.endsWith('/') ? 'directory' : 'file'
    case '5': return 'directory'
    case '1': case '2': return 'link'
    case '3': case '4': case '6': return 'special'
    case 'S': throw new UnsupportedError('backup.tar', 'a sparse file (GNU tar --sparse); pack the backup without that option')
    case 'M': throw new UnsupportedError('backup.tar', 'a file that began on another volume (GNU tar --multi-volume); pack the backup without that option')
    case 'D': case 'N': case 'V': throw new UnsupportedError('backup.tar', `an entry of GNU tar's type ${flag}; pack the backup as a plain tar file`)
    default: throw corrupt(`an entry of the unknown type ${JSON.stringify(flag)}`)
  }
}

/** What a pax header says that changes the next entry; its other attributes do not matter here. @throws CorruptionError, UnsupportedError backup.tar */
export function parsePax(bytes: Uint8Array): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {}
  for (let at = 0; at < bytes.length; ) {
    if (isZero(bytes.subarray(at))) break
    const space = bytes.indexOf(0x20, at)
    const digits = space < 0 || space - at > 7 ? '' : text(bytes.subarray(at, space))
    const end = at + Number(digits)
    const equals = bytes.indexOf(0x3d, space)
    const sound = /^[1-9]\d*$/.test(digits) && end <= bytes.length && bytes[end - 1] === 0x0a && equals > space && equals < end
    if (!sound) throw corrupt('a pax header whose records make no sense')
    const key = text(bytes.subarray(space + 1, equals))
    const value = text(bytes.subarray(equals + 1, end - 1))
    if (key.startsWith('GNU.sparse.')) throw new UnsupportedError('backup.tar', 'a sparse file (GNU tar --sparse); pack the backup without that option')
    if (key === 'path') found.path = checkName(value)
    if (key === 'size') found.size = paxSize(value)
    at = end
  }
  return found
}

/** The content of GNU tar's entry for a long name. @throws CorruptionError backup.tar */
export function parseLongName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  if (end < 0 || !isZero(bytes.subarray(end))) throw corrupt('a long name that does not end where it says')
  return checkName(text(bytes.subarray(0, end)))
}

/**
 * A name without `./` before it. `..` in it, or a name of another place than below the folder, is no backup's.
 * @param rooted names begin with a slash that means the data directory (WAL-G)
 * @throws CorruptionError backup.tar
 */
export function relativeName(name: string, rooted: boolean): string {
  const bare = rooted ? name.replace(/^\/+/, '') : name
  if (bare.startsWith('/')) throw corrupt(`an absolute name, ${JSON.stringify(name.slice(0, 100))}`)
  const parts = bare.split('/')
  if (parts.includes('..')) throw corrupt(`a name with '..', ${JSON.stringify(name.slice(0, 100))}`)
  return parts.filter((part) => part !== '' && part !== '.').join('/')
}

function headerName(block: Uint8Array): string {
  const name = field(block, NAME, 100)
  // GNU tar's magic ends with spaces, and it keeps times where POSIX has the prefix.
  const posix = text(block.subarray(MAGIC, MAGIC + 6)) === 'ustar\0'
  const prefix = posix ? field(block, PREFIX, 155) : ''
  return checkName(prefix === '' ? name : `${prefix}/${name}`)
}

function checkName(name: string): string {
  if (name === '' || name.includes('\0')) throw corrupt(name === '' ? 'an entry without a name' : 'a name with a NUL in it')
  return name
}

/** Text up to the first NUL; what follows must be NUL, too: it would be a name that one reader sees and another does not. */
function field(block: Uint8Array, start: number, length: number): string {
  const bytes = block.subarray(start, start + length)
  const end = bytes.indexOf(0)
  if (end >= 0 && !isZero(bytes.subarray(end))) throw corrupt('a name with a NUL in it')
  return text(end < 0 ? bytes : bytes.subarray(0, end))
}

function parseSize(block: Uint8Array): number {
  const first = block[SIZE]!
  const size = first >= 0x80 ? base256(block) : octal(block, SIZE, 12)
  if (size === undefined || size > Number.MAX_SAFE_INTEGER) throw corrupt(size === undefined ? 'a size that is no number' : 'a size beyond 2^53')
  return size
}

/** GNU: 80, then the number; ff… would be a negative one. */
function base256(block: Uint8Array): number | undefined {
  if (block[SIZE] !== 0x80) return undefined
  let value = 0
  for (let i = SIZE + 1; i < SIZE + 12; i++) value = value * 256 + block[i]!
  return value
}

function paxSize(value: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Infinity
  if (size > Number.MAX_SAFE_INTEGER) throw corrupt(`a pax header with the size ${JSON.stringify(value.slice(0, 40))}`)
  return size
}

function octal(block: Uint8Array, start: number, length: number): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(text(block.subarray(start, start + length)))?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 8)
}

/** The sum of the bytes, those of the checksum taken as spaces. */
function checksum(block: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < TAR_BLOCK; i++) sum += i >= CHECKSUM && i < CHECKSUM + 8 ? 0x20 : block[i]!
  return sum
}

/** Names that are kept are ASCII; others need not be valid in any encoding. */
function text(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

export function corrupt(reason: string): CorruptionError {
  return new CorruptionError('backup.tar', `the tar file is damaged: ${reason}`)
}
