/** The public face: what each entry of package.json exports, as the TypeScript compiler declares it. Made from src, without a build. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'

const ROOT = resolve(import.meta.dirname, '../..')

/** Declaration files by path: each source file's, for itself (isolatedDeclarations). */
export type Declarations = ReadonlyMap<string, string>

export interface Face {
  /** The name of the import: `ltap/page`. */
  entry: string
  exports: readonly FaceExport[]
}

interface FaceExport {
  name: string
  /** Without comments. */
  text: string
  /** Types of this package that the declaration names and no entry exports. */
  hidden: readonly string[]
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
  declaration: true, stripInternal: true, isolatedDeclarations: true, strict: true, exactOptionalPropertyTypes: true, allowImportingTsExtensions: true, noEmit: true,
  verbatimModuleSyntax: true, types: ['node'], skipLibCheck: true,
}

export function sourceDeclarations(): Declarations {
  const names = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => /(?<!\.d)\.ts$/.test(name)).sort()
  return new Map(names.map((name) => {
    const fileName = join(ROOT, 'src', name)
    // What is declared stays importable under the source's own name.
    const { outputText } = ts.transpileDeclaration(readFileSync(fileName, 'utf8'), { fileName, compilerOptions: OPTIONS })
    return [fileName, outputText] as const
  }))
}

/** @param entries source files by the name of the import */
export function readFace(declarations: Declarations, entries: ReadonlyMap<string, string>): Face[] {
  const program = programOf(declarations, [...entries.values()])
  const checker = program.getTypeChecker()
  const exportsOf = [...entries].map(([entry, file]) => ({ entry, symbols: symbolsOf(program, checker, file) }))
  const known = new Set(exportsOf.flatMap(({ symbols }) => [...symbols.values()]))
  const printer = ts.createPrinter({ removeComments: true })
  const first = new Map<ts.Symbol, string>()
  return exportsOf.map(({ entry, symbols }) => ({
    entry,
    exports: [...symbols].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, symbol]): FaceExport => {
      const before = first.get(symbol)
      if (before !== undefined) return { name, text: `as in ${before}`, hidden: [] }
      first.set(symbol, entry)
      const nodes = (symbol.declarations ?? []).map(statementOf)
      const text = nodes.map((node) => printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile())).join('\n')
      return { name, text, hidden: [...new Set(nodes.flatMap((node) => hiddenTypes(node, checker, declarations, known)))] }
    }),
  }))
}

/** The entries of package.json, the smallest first, so that `ltap` itself repeats nothing. */
export function packageEntries(): Map<string, string> {
  const { name, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { name: string; exports: Record<string, { types: string } | string> }
  const found = Object.entries(exports).flatMap(([path, target]) =>
    (typeof target === 'string' ? [] : [[path.replace('.', name), join(ROOT, target.types.replace('./dist/', 'src/').replace('.d.ts', '.ts'))] as const]))
  const isLate = (entry: string): number => [`${name}/io`, `${name}/engine`, name].indexOf(entry)
  return new Map(found.sort(([a], [b]) => isLate(a) - isLate(b)))
}

function programOf(declarations: Declarations, rootNames: readonly string[]): ts.Program {
  const host = ts.createCompilerHost(OPTIONS)
  const original = host.getSourceFile.bind(host)
  host.getSourceFile = (path, version) => {
    const text = declarations.get(resolve(path))
    return text === undefined ? original(path, version) : ts.createSourceFile(path, text, version, true)
  }
  const exists = host.fileExists.bind(host)
  host.fileExists = (path) => declarations.has(resolve(path)) || exists(path)
  return ts.createProgram({ rootNames, options: OPTIONS, host })
}

function symbolsOf(program: ts.Program, checker: ts.TypeChecker, file: string): Map<string, ts.Symbol> {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)
  if (module === undefined) throw new Error(`${file} exports nothing`)
  return new Map(checker.getExportsOfModule(module).map((symbol) => [symbol.name, original(checker, symbol)]))
}

function original(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** The whole statement of a variable; any other declaration itself. */
function statementOf(node: ts.Declaration): ts.Node {
  return ts.isVariableDeclaration(node) ? node.parent.parent : node
}

function hiddenTypes(node: ts.Node, checker: ts.TypeChecker, declarations: Declarations, known: ReadonlySet<ts.Symbol>): string[] {
  const found: string[] = []
  const visit = (at: ts.Node): void => {
    const name = namedBy(at)
    const symbol = name && checker.getSymbolAtLocation(name)
    if (symbol) {
      const target = original(checker, symbol)
      const file = target.declarations?.[0]?.getSourceFile().fileName
      const isLocal = target.declarations?.some((declaration) => declaration.pos >= node.pos && declaration.end <= node.end && declaration.getSourceFile() === node.getSourceFile())
      const isTop = target.declarations?.some((declaration) => ts.isSourceFile(statementOf(declaration).parent))
      if (file !== undefined && declarations.has(resolve(file)) && isTop && !isLocal && !known.has(target)) found.push(target.name)
    }
    ts.forEachChild(at, visit)
  }
  visit(node)
  return found
}

/** The name of a type, a class or a value that stands in a declaration. */
function namedBy(node: ts.Node): ts.Node | undefined {
  if (ts.isTypeReferenceNode(node)) return node.typeName
  if (ts.isExpressionWithTypeArguments(node)) return node.expression
  if (ts.isTypeQueryNode(node)) return node.exprName
  if (ts.isImportTypeNode(node)) return node.qualifier
  return ts.isComputedPropertyName(node) ? node.expression : undefined
}
