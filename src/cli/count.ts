import type { LaneCounts } from '../columnar/lanes.ts'
import { printable } from '../common/printable.ts'

/** 1234567 → `1,234,567`. */
export function thousands(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Millions of bytes, one decimal. */
export function megabytes(bytes: number): string {
  return `${thousands(Math.floor(bytes / 1e6))}.${Math.floor((bytes % 1e6) / 1e5)} MB`
}

/** `12 kB` below a million bytes, else as {@link megabytes}. */
export function fileSize(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : megabytes(bytes)
}

/** `3 pages`, `1 page`; the plural is `noun` + s unless given. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${thousands(count)} ${count === 1 ? noun : plural}`
}

/** Lines `  name   value`, values aligned. */
export function factLines(facts: readonly (readonly [string, string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length))
  return facts.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}\n`).join('')
}

/** `12,345 native, 6 text, 78 raw; carried whole: 1 tuple, 0 pages`. */
export function lanesText({ native, text, raw, tupleLane, pageImages }: LaneCounts): string {
  const carried = `${counted(tupleLane, 'tuple')}, ${counted(pageImages, 'page')}`
  return `${thousands(native)} native, ${thousands(text)} text, ${thousands(raw)} raw; carried whole: ${carried}`
}

/** A line for each, up to a limit. */
export function listed(what: string, lines: readonly string[], most: number): string[] {
  const rest = lines.length - most
  return [...lines.slice(0, most).map((line) => `${what}: ${printable(line)}\n`), ...(rest > 0 ? [`and ${counted(rest, what)} more\n`] : [])]
}
