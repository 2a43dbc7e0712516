/** House rules: nothing is exported that no one needs, and no file lies about. */
import ts from 'typescript'
import { expect, test } from 'vitest'
import { parseSource, readSources, type SourceFile } from './sources.ts'

interface Exported {
  name: string
  isType: boolean
}

function exportsOf({ tree }: SourceFile): Exported[] {
  const isExported = (statement: ts.Statement): boolean =>
    ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false)
  return tree.statements.filter(isExported).flatMap((statement) => {
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.flatMap(({ name }) => namesIn(name)).map((name): Exported => ({ name, isType: false }))
    }
    const { name } = statement as ts.Statement & { name?: ts.Identifier }
    return name ? [{ name: name.text, isType: !ts.isFunctionDeclaration(statement) }] : []
  })
}

function namesIn(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text]
  return name.elements.flatMap((element) => ts.isBindingElement(element) ? namesIn(element.name) : [])
}

/**
 * What no other file imports. A type that another declaration of its file names is needed by who calls that; a class may be, too.
 * @param files all that may import
 */
function deadExports(files: readonly SourceFile[]): string[] {
  const used = new Map<string, Set<string> | 'all'>()
  for (const { target, names } of files.flatMap(({ imports }) => imports)) {
    const known = used.get(target)
    if (names === undefined) used.set(target, 'all')
    else if (known !== 'all') used.set(target, new Set([...known ?? [], ...names]))
  }
  return files.filter(({ path }) => used.get(path) !== 'all').flatMap((file) => {
    const names = used.get(file.path) as Set<string> | undefined
    const isNamed = (name: string): boolean => (file.text.match(new RegExp(`\\b${name}\\b`, 'g')) ?? []).length > 1
    return exportsOf(file).filter(({ name, isType }) => !names?.has(name) && !(isType && isNamed(name))).map(({ name }) => `${file.path} exports ${name}`)
  })
}

const files = readSources('src', 'test', 'bench', 'fixtures')

/** What programs and vitest load by name. */
const isLoaded = (path: string): boolean =>
  !/^src\/.*\//.test(path) || path.endsWith('/index.ts') || path.endsWith('.test.ts') || ['src/cli/main.ts', 'src/jobs/worker.ts', 'src/jobs/replay/replayworker.ts'].includes(path)
/** They go by themselves or by vitest's config; text inside a test names some. */
const NAMED_IN_TEXT = /\.bench\.ts$|^test\/support\/(?:forgedinputs|globalsetup|plainsources|sequencer|slowtests|testfiles|pagestoremodel)\.ts$|^fixtures\/|^test\/package\/consumer\//

test('nothing is exported that no other file imports', () => {
  expect(deadExports(files).filter((text) => !NAMED_IN_TEXT.test(text.split(' ')[0]!) && !/\/index\.ts /.test(text))).toEqual([])
})

/** The writer of format 1 is what tests hold lakes of layers against. */
const ORACLES = ['src/jobs/transcodelake.ts']

test('every file of src is imported by something of src', () => {
  const imported = new Set(files.filter(({ path }) => path.startsWith('src/')).flatMap(({ imports }) => imports.map(({ target }) => target)))
  expect(files.map(({ path }) => path).filter((path) => path.startsWith('src/') && !isLoaded(path) && !imported.has(path))).toEqual(ORACLES)
})

test('planted faults are found', () => {
  const a = parseSource('src/page/a.ts', 'export const used = 1\nexport function dead() {}\nexport interface Named {}\nexport function f(x: Named) {}\nexport type Lonely = 1')
  const b = parseSource('src/page/b.ts', "import { used, f } from './a.ts'")
  expect(deadExports([a, b])).toEqual(['src/page/a.ts exports dead', 'src/page/a.ts exports Lonely'])
  expect(deadExports([a, parseSource('src/page/b.ts', "export * from './a.ts'")])).toEqual([])
})
