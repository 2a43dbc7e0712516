import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Dump, parseHexDump } from './hexdump.ts'

export const ROOT = join(import.meta.dirname, '../..')

/** A table of a Markdown page under its heading; cells without backquotes. */
export interface DocsTable {
  heading: string
  /** Files of src that the text above the table names. */
  sources: readonly string[]
  columns: readonly string[]
  rows: readonly Record<string, string>[]
}

export function readDoc(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function tablesOf(markdown: string): DocsTable[] {
  const tables: DocsTable[] = []
  let heading = ''
  let sources: string[] = []
  const lines = markdown.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    const title = /^#+ (.*)$/.exec(line)
    if (title) [heading, sources] = [title[1]!, []]
    sources.push(...[...line.matchAll(/`(src\/[\w./]+\.ts)`/g)].map((match) => match[1]!))
    if (!line.startsWith('|')) continue
    const end = lines.findIndex((text, at) => at > i && !text.startsWith('|'))
    const [columns = [], , ...rows] = lines.slice(i, end).map(cellsOf)
    tables.push({ heading, sources: [...sources], columns, rows: rows.map((cells) => Object.fromEntries(columns.map((name, at) => [name, cells[at] ?? '']))) })
    i = end - 1
  }
  return tables
}

function cellsOf(line: string): string[] {
  return line.slice(1, line.lastIndexOf('|')).split('|').map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1'))
}

export function dumpOf(markdown: string, name: string): Dump {
  const [, text] = new RegExp(`^\`\`\`hex ${name}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(markdown) ?? []
  if (text === undefined) throw new Error(`no dump ${name}`)
  return parseHexDump(text)
}
