/** A rule of names: a word means one thing. */
import ts from 'typescript'
import { lineOf, nodesOf, type SourceFile } from './sources.ts'

/** Where `history` alone stands for the row versions that a table had over a range of WAL. */
const TABLE_HISTORY = /^src\/(?:history|jobs\/inspect)\/|^src\/cli\/inspecthistory\.ts$/
/** Others are spelt out: of timelines, and of the fields that a table's columns had. The file of one may call its parameter a history. */
const OTHER_HISTORY = /(?:timeline|field)_?histor/i
/** Where row versions are not judged: visibility there is the visibility map. */
const MAP_ONLY = /^src\/(?:page|redo|wal|replay)\//
/** Postgres's own names: the fork, and the bits of its pages (visibilitymap.h). */
const OF_THE_MAP = /visibility_?map|VISIBILITYMAP_/i
/** What is read of a database cluster at one LSN; the second is one of a data directory, with its files. */
const CLUSTERS = ['Cluster', 'DirectoryCluster']

/** What is wrong with a name that is declared. */
function faultOf(path: string, name: string, node: ts.Node): string | undefined {
  if (/histor(?:y|ies)/i.test(name) && !OTHER_HISTORY.test(name) && !OTHER_HISTORY.test(path) && !TABLE_HISTORY.test(path)) return 'which history is not said'
  const isMap = OF_THE_MAP.test(name)
  if (/visibility/i.test(name) && !isMap && MAP_ONLY.test(path)) return 'the visibility map is called one'
  if (!ts.isClassDeclaration(node)) return undefined
  if (name.endsWith('Cluster') && !CLUSTERS.includes(name)) return 'a cluster is what is read of one at an LSN; a process is a server'
  const ports = node.heritageClauses?.flatMap(({ types }) => types.map(({ expression }) => expression.getText())) ?? []
  if (ports.includes('PageSource') && !name.endsWith('Pages')) return 'a source of pages is called …Pages'
  if (ports.includes('RedoFork') !== name.endsWith('Fork')) return 'a fork that redo changes is called …Fork, and nothing else is'
  return undefined
}

/** Names of a file of src in which history, visibility, cluster or fork means something else than it should. */
export function misnamed(file: SourceFile): string[] {
  const { path, tree } = file
  const found: string[] = []
  for (const node of nodesOf(tree)) {
    const { name } = node as ts.NamedDeclaration
    const isPlain = name !== undefined && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name))
    if (!isPlain || ts.isPropertyAccessExpression(node) || ts.isImportSpecifier(node) || ts.isExportSpecifier(node)) continue
    const fault = faultOf(path, name.text, node)
    if (fault !== undefined) found.push(`${path}:${lineOf(file, node.getStart(tree))} ${name.text}: ${fault}`)
  }
  const folders = path.split('/').slice(0, -1)
  const stem = path.split('/').at(-1)!.replace(/\.ts$/, '')
  if (/history/.test(stem) && !OTHER_HISTORY.test(stem) && !TABLE_HISTORY.test(path)) found.push(`${path} is not of a table's history`)
  if (/visibility/.test(stem) && (stem !== 'visibilitymap' || !MAP_ONLY.test(`${folders.join('/')}/`))) found.push(`${path} is not the visibility map`)
  return found
}
