import { LP_DEAD, LP_NORMAL, LP_REDIRECT, LP_UNUSED } from './linepointer.ts'

/** Bits of pd_flags by their names (bufpage.h). */
const FLAGS: readonly [number, string][] = [
  [0x0001, 'PD_HAS_FREE_LINES'],
  [0x0002, 'PD_PAGE_FULL'],
  [0x0004, 'PD_ALL_VISIBLE'],
]

/** Names of the bits of pd_flags; bits without a name are one hexadecimal number. */
export function pageFlagNames(flags: number): string[] {
  const names = FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name)
  const rest = FLAGS.reduce((bits, [bit]) => bits & ~bit, flags)
  return rest === 0 ? names : [...names, `0x${rest.toString(16)}`]
}

const STATES: Readonly<Record<number, string>> = {
  [LP_UNUSED]: 'UNUSED', [LP_NORMAL]: 'NORMAL', [LP_REDIRECT]: 'REDIRECT', [LP_DEAD]: 'DEAD',
}

/** A line pointer's lp_flags, 0 to 3, by name. */
export function linePointerState(flags: number): string {
  return STATES[flags] ?? `0x${flags.toString(16)}`
}

/** Lines `0010: 16 bytes in hex  |ascii|` of bytes [start, end), numbered by their position. */
export function hexLines(bytes: Uint8Array, start: number, end: number): string[] {
  const lines: string[] = []
  for (let at = start; at < end; at += 16) {
    const row = Array.from(bytes.subarray(at, Math.min(at + 16, end)))
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(4, '0')}: ${hex.padEnd(47)}  |${ascii}|`)
  }
  return lines
}
