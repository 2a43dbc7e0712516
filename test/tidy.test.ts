import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

/** The house rules that a program can check: see ARCHITECTURE.md. */
const ROOT = resolve(import.meta.dirname, '..')
const FLOORS: Record<string, number> = {
  common: 0, page: 1, tuple: 1, wal: 1, vector: 1, datum: 2, parquet: 2, redo: 3, xact: 3, catalog: 4, replay: 4, columnar: 5, history: 6, lake: 6,
  io: 8, server: 8.5, jobs: 9, cli: 10,
}
/** Floors from here on may do I/O. */
const IO_FLOOR = 8
/** npm packages that a floor below io may import, and where. */
const PURE_PACKAGES: Record<string, RegExp> = { 'apache-arrow': /^parquet\//, 'parquet-wasm': /^parquet\//, fzstd: /^wal\//, valibot: /./ }
const FILE_LINES_MAX = 420
const FUNCTION_LINES_MAX = 70
const LINE_LENGTH_MAX = 160

interface SourceFile {
  path: string
  text: string
  imports: string[]
}

function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const text = readFileSync(join(ROOT, folder, name), 'utf8')
      const imports = [...text.matchAll(/(?:^|\n)(?:import|export)[^'"\n;]*?(?:\{[^}]*\}[^'"]*?)?from '([^']+)'/g)].map((match) => match[1]!)
      const dynamic = [...text.matchAll(/import\('([^']+)'\)/g)].map((match) => match[1]!)
      return { path: name, text, imports: [...imports, ...dynamic] }
    })
}

const files = sourceFiles('src')
/** A file directly under src is an entry of the package: it stands above all floors, and an entry may be made of others. */
const isEntry = (path: string): boolean => !path.includes('/')
const floorOf = (path: string): number => isEntry(path) ? Infinity : FLOORS[path.split('/')[0]!]!

describe('floors', () => {
  test.each(files)('$path imports its own folder or lower floors', ({ path, imports }) => {
    for (const name of imports.filter((text) => text.startsWith('.'))) {
      const target = relative(join(ROOT, 'src'), resolve(ROOT, 'src', dirname(path), name))
      const sameFolder = target.split('/')[0] === path.split('/')[0] || isEntry(path) && isEntry(target)
      expect(sameFolder || floorOf(target) < floorOf(path), `${path} imports ${target}`).toBe(true)
    }
  })

  test.each(files.filter(({ path }) => floorOf(path) < IO_FLOOR))('$path does no I/O', ({ path, text, imports }) => {
    for (const name of imports.filter((text) => !text.startsWith('.'))) {
      expect(PURE_PACKAGES[name]?.test(path) ?? false, `${path} imports ${name}`).toBe(true)
    }
    const code = withoutComments(text)
    for (const word of [/\bprocess\./, /\bBuffer\b/, /\bDate\b\s*[.(]/, /\bMath\.random\b/, /\bperformance\./, /\bsetTimeout\b/, /\bIntl\b/]) {
      expect(word.test(code), `${path} uses ${word}`).toBe(false)
    }
  })

  test('code is compiled in one place, from source text', () => {
    const compilers = /\bnew Function\b|\bFunction\(|\beval\(|\bGeneratorFunction\b|\bnode:vm\b|constructor\.constructor/
    expect(files.filter(({ text }) => compilers.test(withoutComments(text))).map(({ path }) => path)).toEqual(['columnar/compile.ts'])
  })

  test('no circles', () => {
    const graph = new Map(files.map(({ path, imports }) => [
      path,
      imports.filter((name) => name.startsWith('.')).map((name) => relative(join(ROOT, 'src'), resolve(ROOT, 'src', dirname(path), name))),
    ]))
    const done = new Set<string>()
    const visit = (path: string, way: string[]): void => {
      expect(way, `circle: ${[...way, path].join(' → ')}`).not.toContain(path)
      if (done.has(path)) return
      for (const next of graph.get(path) ?? []) visit(next, [...way, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
  })
})

/** What makes files and folders, or lets one be written. */
const MAKERS = /\b(?:mkdir|mkdtemp|writeFile|appendFile|copyFile|cp|symlink|link|createWriteStream|WriteStream|openAsBlob|truncate|open|promises)(?:Sync)?\b/g
/** Servers of the demo and the tests: their files are the server's, and their folders copies of its folders. */
const SERVER_MAKERS: Record<string, string[]> = { 'server/postgresdatadir.ts': ['cp', 'symlink'], 'server/postgresbinaries.ts': ['cp', 'symlinkSync'] }

/** Whom nothing keeps from making a file that everybody can read; `open` is fine to read. */
function makersIn(path: string, text: string): string[] {
  if (path === 'io/create.ts' || path === 'io/datadir/regularfile.ts') return []
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
  test.each(files)('$path makes none by itself: io/create.ts does', ({ path, text }) => expect(makersIn(path, text)).toEqual([]))

  test('a file that does is found', () => {
    for (const line of ["import { mkdirSync } from 'node:fs'", "import { open } from 'node:fs/promises'\nawait open(path, 'w')", "import fs from 'node:fs'",
      "import { openSync } from 'node:fs'\nopenSync(path, 'r')\nopenSync(join(path, 'x'), flags)", "const { mkdir } = await import('node:fs/promises')"]) {
      expect(makersIn('io/x.ts', line), line).not.toEqual([])
    }
    expect(makersIn('io/x.ts', "import { openSync } from 'node:fs'\nopenSync(path, 'r')")).toEqual([])
  })
})

describe('style', () => {
  test.each(files)('$path', ({ path, text }) => {
    const lines = text.split('\n')
    if (!path.startsWith('datum/encoding/')) expect(lines.length, `${path} is too long`).toBeLessThanOrEqual(FILE_LINES_MAX)
    const code = withoutComments(text)
    expect(/:\s*any\b|<any>|as any\b/.test(code), `${path} uses any`).toBe(false)
    expect(/\benum\s+\w+\s*\{/.test(code), `${path} has an enum`).toBe(false)
    expect(/export default/.test(code), `${path} has a default export`).toBe(false)
    expect(/\b(?:FIXME|TODO|XXX)\b/.test(text), `${path} has a leftover`).toBe(false)
    if (!path.startsWith('cli/')) expect(/\bconsole\./.test(code), `${path} prints`).toBe(false)
    for (const [i, line] of lines.entries()) {
      if (!path.startsWith('datum/encoding/')) expect(line.length, `${path}:${i + 1} is too wide`).toBeLessThanOrEqual(LINE_LENGTH_MAX)
    }
    for (const [start, length] of functionLengths(lines)) {
      expect(length, `${path}:${start} is a function of ${length} lines`).toBeLessThanOrEqual(FUNCTION_LINES_MAX)
    }
  })

  test('every file is imported by something', () => {
    const imported = new Set(files.flatMap(({ path, imports }) =>
      imports.filter((name) => name.startsWith('.')).map((name) => relative(join(ROOT, 'src'), resolve(ROOT, 'src', dirname(path), name)))))
    const roots = (path: string): boolean => isEntry(path) || path.endsWith('index.ts') || path === 'cli/main.ts'
    const dead = files.map(({ path }) => path).filter((path) => !roots(path) && !imported.has(path))
    expect(dead).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}

/** Start line and length of functions and methods, told by the indentation of their closing brace. */
function* functionLengths(lines: readonly string[]): Iterable<[start: number, length: number]> {
  for (let i = 0; i < lines.length; i++) {
    const head = /^(\s*)(?:export )?(?:async )?(?:function|(?:private |protected |override |static |async |\*)*[\w#]+\()/.exec(lines[i]!)
    if (!head || !lines[i]!.endsWith('{') || /^\s*(?:if|for|while|switch|catch|return)\b/.test(lines[i]!)) continue
    const end = lines.findIndex((line, at) => at > i && line === `${head[1]}}`)
    if (end > 0) yield [i + 1, end - i + 1]
  }
}
