/** House rule: files and folders are made in one place, for their owner alone. */
import { describe, expect, test } from 'vitest'
import { readSources } from './sources.ts'

const files = readSources('src')

/** What makes files and folders, or lets one be written. */
const MAKERS = /\b(?:mkdir|mkdtemp|writeFile|appendFile|copyFile|cp|symlink|link|createWriteStream|WriteStream|openAsBlob|truncate|open|promises)(?:Sync)?\b/g
/** Servers of the demo and the tests: their files are the server's, and their folders copies of its folders. */
const SERVER_MAKERS: Record<string, string[]> = { 'src/server/postgresdatadir.ts': ['cp', 'symlink'], 'src/server/postgresbinaries.ts': ['cp', 'symlinkSync'] }

/** Whom nothing keeps from making a file that everybody can read; `open` is fine to read. */
function makersIn(path: string, text: string): string[] {
  if (path === 'src/io/disk/create.ts' || path === 'src/io/disk/regularfile.ts') return []
  const code = withoutComments(text)
  const imported = [...code.matchAll(/import (?:type )?([^'"]*?) from '(?:node:)?fs(?:\/promises)?'/g)].map((match) => match[1]!)
  if (imported.length === 0) return /'(?:node:)?fs(?:\/promises)?'/.test(code) ? ['fs'] : []
  const whole = imported.filter((names) => !names.startsWith('{'))
  const found = [...new Set(imported.join(' ').match(MAKERS) ?? [])].filter((name) => !SERVER_MAKERS[path]?.includes(name))
  const readOnly = (name: string): boolean => [...code.matchAll(new RegExp(`(?<![.\\w])${name}\\((.*)`, 'g'))].every((call) => /^[^()]*, 'r'\)/.test(call[1]!))
  if (/O_(?:RDWR|WRONLY|CREAT)\b/.test(code)) found.push('O_RDWR')
  return [...whole, ...found.filter((name) => !(/^open(?:Sync)?$/.test(name) && readOnly(name)) && name !== 'truncateSync')]
}

describe('one place makes files', () => {
  test('io/disk/create.ts', () => expect(files.flatMap(({ path, text }) => makersIn(path, text).map((maker) => `${path} has ${maker}`))).toEqual([]))

  test('a file that does is found', () => {
    for (const line of ["import { mkdirSync } from 'node:fs'", "import { open } from 'node:fs/promises'\nawait open(path, 'w')", "import fs from 'node:fs'",
      "import { openSync } from 'node:fs'\nopenSync(path, 'r')\nopenSync(join(path, 'x'), flags)", "const { mkdir } = await import('node:fs/promises')"]) {
      expect(makersIn('src/io/x.ts', line), line).not.toEqual([])
    }
    expect(makersIn('src/io/x.ts', "import { openSync } from 'node:fs'\nopenSync(path, 'r')")).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}
