/**
 * Annotated hex dumps of docs/formats, one field a line, more lines if it has more than eight bytes:
 *
 *     000c  24 00                     pd_lower = 36
 *     0024  00 … to 1f80              hole: zeros
 *     0004  … to 2fda                 left out: not in the dump
 */
export interface DumpField {
  start: number
  length: number
  name: string
  value: string
}

export interface Dump {
  /** Bytes by position; those that are left out are undefined. */
  bytes: (number | undefined)[]
  fields: DumpField[]
}

const LINE = /^([0-9a-f]{4,})  ((?:00 )?… to [0-9a-f]+|(?:[0-9a-f]{2} ?)+)(?: +(.*))?$/

/** @throws Error for a line that is no part of a dump, or does not begin where the one before ended */
export function parseHexDump(text: string): Dump {
  const dump: Dump = { bytes: [], fields: [] }
  let start: number | undefined
  for (const line of text.trimEnd().split('\n')) {
    const [, at = '', hex = '', note = ''] = LINE.exec(line) ?? []
    if (at === '') throw new Error(`no line of a dump: ${line}`)
    start ??= parseInt(at, 16)
    if (parseInt(at, 16) !== start + dump.bytes.length) throw new Error(`not where the line before ended: ${line}`)
    const found = bytesOf(hex, start + dump.bytes.length)
    if (note !== '') addField(dump, note, start + dump.bytes.length, found.length)
    else if (dump.fields.length > 0) dump.fields.at(-1)!.length += found.length
    for (const byte of found) dump.bytes.push(byte)
  }
  return dump
}

function addField(dump: Dump, note: string, start: number, length: number): void {
  const [, name, value] = /^(\S+) = (.*)$/.exec(note) ?? [undefined, note, '']
  dump.fields.push({ start, length, name: name!, value: value! })
}

function bytesOf(text: string, at: number): (number | undefined)[] {
  const [, zeros, end] = /^(00 )?… to ([0-9a-f]+)$/.exec(text) ?? []
  if (end !== undefined) return new Array<number | undefined>(parseInt(end, 16) - at).fill(zeros ? 0 : undefined)
  return text.trim().split(' ').map((byte) => parseInt(byte, 16))
}

/** A field's bytes and what is said of them; a field without a value is a remark. */
export interface DumpPart {
  name: string
  length: number
  value?: string
  /** Leave the bytes out, or say that they are zeros. */
  skip?: 'zeros' | 'left out'
}

const BYTES_PER_LINE = 8
const HEX_WIDTH = BYTES_PER_LINE * 3

export function writeHexDump(bytes: Uint8Array, parts: readonly DumpPart[], start = 0): string {
  const lines: string[] = []
  let at = start
  const hex = (value: number): string => value.toString(16).padStart(4, '0')
  for (const { name, length, value, skip } of parts) {
    const note = value === undefined ? name : `${name} = ${value}`
    if (skip === 'zeros' && bytes.subarray(at - start, at - start + length).some((byte) => byte !== 0)) throw new Error(`${name} is not zeros`)
    if (skip) lines.push(`${hex(at)}  ${`${skip === 'zeros' ? '00 ' : ''}… to ${hex(at + length)}`.padEnd(HEX_WIDTH)}  ${note}`)
    else lines.push(...fieldLines(bytes.subarray(at - start, at - start + length), note).map((line, i) => `${hex(at + i * BYTES_PER_LINE)}  ${line}`))
    at += length
  }
  return `${lines.join('\n')}\n`
}

function fieldLines(bytes: Uint8Array, note: string): string[] {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const hex = [...bytes.subarray(at, at + BYTES_PER_LINE)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    lines.push(at === 0 ? `${hex.padEnd(HEX_WIDTH)}  ${note}` : hex)
  }
  return lines
}
