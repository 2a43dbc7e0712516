/** The repository's TypeScript as syntax trees, for the house rules. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import ts from 'typescript'

const ROOT = resolve(import.meta.dirname, '../..')

export interface SourceFile {
  /** From the repository's root. */
  path: string
  text: string
  tree: ts.SourceFile
  /** What it takes from other files and packages, in the order of the text. */
  imports: readonly Import[]
}

export interface Import {
  /** A file from the repository's root, or a package as it is named. */
  target: string
  isFile: boolean
  /** Undefined: everything. */
  names: readonly string[] | undefined
}

export function parseSource(path: string, text: string): SourceFile {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true)
  return { path, text, tree, imports: [...importsOf(path, tree)] }
}

/** Files of a run do not change. */
const parsed = new Map<string, SourceFile[]>()

/** Every .ts file of the folders; none that npm installed. */
export function readSources(...folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) => {
    const found = parsed.get(folder) ?? parseFolder(folder)
    parsed.set(folder, found)
    return found
  })
}

function parseFolder(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!\.d)\.ts$/.test(name) && !name.includes('node_modules'))
    .map((name) => join(folder, name).replaceAll('\\', '/')).sort()
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')))
}

/** A node and all below it, in the order of the text. */
export function* nodesOf(root: ts.Node): Generator<ts.Node> {
  const waiting = [root]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    yield node
    const children: ts.Node[] = []
    ts.forEachChild(node, (child) => void children.push(child))
    waiting.push(...children.reverse())
  }
}

export function lineOf({ tree }: SourceFile, at: number): number {
  return tree.getLineAndCharacterOfPosition(at).line + 1
}

function* importsOf(path: string, tree: ts.SourceFile): Generator<Import> {
  for (const node of nodesOf(tree)) {
    if (ts.isImportDeclaration(node)) yield made(path, node.moduleSpecifier, node.importClause?.namedBindings)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) yield made(path, node.moduleSpecifier, node.exportClause)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) yield made(path, node.argument.literal, undefined)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) yield made(path, node.arguments[0], undefined)
  }
}

function made(path: string, specifier: ts.Node | undefined, names: ts.NamedImportBindings | ts.NamedExportBindings | undefined): Import {
  const text = specifier && ts.isStringLiteralLike(specifier) ? specifier.text : ''
  const isFile = text.startsWith('.')
  const listed = names && (ts.isNamedImports(names) || ts.isNamedExports(names))
    ? names.elements.map(({ propertyName, name }) => (propertyName ?? name).text) : undefined
  return { target: isFile ? fileOf(join(dirname(path), text).replaceAll('\\', '/')) : text, isFile, names: listed }
}

/** Tests import what is built, too: the source of it. */
function fileOf(path: string): string {
  const source = path.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts')
  return existsSync(join(ROOT, path)) && !path.startsWith('dist/') ? path : source
}
