import type { PgMajor } from '../../common/pgversion.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { isUtf8, utf8Decode } from '../../common/utf8.ts'
import type { MainData } from '../maindata.ts'
import { databasePath, forkFileName } from '../../common/relpath.ts'

/** CATALOG_VERSION_NO, part of a tablespace's folder name. */
const CATALOG_VERSIONS: Record<PgMajor, number> = { 14: 202107181, 15: 202209061, 16: 202307071, 17: 202406281, 18: 202506291 }

/** `%c` of a bool. */
export function truth(value: unknown): string {
  return value ? 'T' : 'F'
}

/** `0x%02X` */
export function flagsText(flags: number): string {
  return `0x${flags.toString(16).toUpperCase().padStart(2, '0')}`
}

/** `1663/5/16384` */
export function locatorText({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

export function takeLocator(data: MainData): RelFileLocator {
  return { spcOid: data.u32(), dbOid: data.u32(), relNumber: data.u32() }
}

/** A FullTransactionId as `epoch:xid`. */
export function takeFullXid(data: MainData): string {
  const low = data.u32()
  return `${data.u32()}:${low}`
}

/** BlockIdData: the high half first. */
export function takeBlockId(data: MainData): number {
  const high = data.u16()
  return high * 0x10000 + data.u16()
}

/** array_desc (rmgrdesc_utils.c): ` [1, 2]`, ` []`. */
export function arrayText(items: readonly (string | number)[]): string {
  return ` [${items.join(', ')}]`
}

/** `; rels: base/5/16384 base/5/16385`-like lists: each item after a blank. */
export function spaced(items: readonly (string | number)[]): string {
  return items.map((item) => ` ${item}`).join('')
}

/** relpathperm (relpath.c): `base/5/16384_vm`. */
export function relationPath(locator: RelFileLocator, fork: number, major: PgMajor): string {
  return `${databasePath(locator, { major, catalogVersion: CATALOG_VERSIONS[major] })}/${forkFileName(locator.relNumber, fork)}`
}

/** Text of the server's encoding: as it is if that is UTF-8, else with `\x80` and the like for what is not ASCII. */
export function serverText(bytes: Uint8Array): string {
  if (isUtf8(bytes, 0, bytes.length)) return utf8Decode(bytes)
  return Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`)).join('')
}

/** `%g` of printf: six significant digits. */
export function generalNumber(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  const [digits, exponent] = value.toExponential(5).split('e') as [string, string]
  const power = Number(exponent)
  if (power >= -4 && power < 6) return trimZeros(value.toFixed(5 - power))
  return `${trimZeros(digits)}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}
