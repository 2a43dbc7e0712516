/** Tar files made byte by byte, right and wrong. */
export interface TarMember {
  name: string
  /** typeflag; default: a file. */
  type?: string
  content?: Uint8Array
  /** Instead of that of the content, as the field's 12 bytes. */
  size?: string
  link?: string
  /** The block before its checksum is computed. */
  change?: (block: Uint8Array) => void
}

export function tarHeader({ name, type = '0', content = new Uint8Array(0), size, link = '', change }: TarMember): Uint8Array {
  const block = new Uint8Array(512)
  const put = (text: string, at: number): void => block.set(Buffer.from(text, 'latin1'), at)
  put(name, 0)
  put('0000600\0', 100)
  put('0000000\0', 108)
  put('0000000\0', 116)
  put(size ?? `${content.length.toString(8).padStart(11, '0')}\0`, 124)
  put('00000000000\0', 136)
  put(type, 156)
  put(link, 157)
  put('ustar\0' + '00', 257)
  change?.(block)
  seal(block)
  return block
}

/** The right checksum for whatever the block holds. */
export function seal(block: Uint8Array): void {
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
}

export function tarEntry(member: TarMember): Uint8Array {
  const content = member.content ?? new Uint8Array(0)
  return Buffer.concat([tarHeader(member), content, new Uint8Array((512 - (content.length % 512)) % 512)])
}

export const TAR_END = new Uint8Array(1024)

export function tarOf(...members: readonly TarMember[]): Uint8Array {
  return Buffer.concat([...members.map(tarEntry), TAR_END])
}

/** A record of a pax header. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = Buffer.byteLength(rest)
  while (String(length).length + Buffer.byteLength(rest) !== length) length = String(length).length + Buffer.byteLength(rest)
  return `${length}${rest}`
}

export function pax(...records: readonly [string, string][]): TarMember {
  return { name: 'pax', type: 'x', content: Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join('')) }
}
