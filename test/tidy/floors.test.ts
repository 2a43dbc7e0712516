/** House rules: which file may import which, and which may do I/O. ARCHITECTURE.md has the floors. */
import { dirname } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { lineOf, nodesOf, parseSource, readSources, type SourceFile } from './sources.ts'

const FLOORS: Record<string, number> = {
  common: 0, page: 1, tuple: 1, wal: 1, vector: 1, datum: 2, parquet: 2, redo: 3, xact: 3, catalog: 4, replay: 4, columnar: 5, history: 6, lake: 6, engine: 7, service: 7.5,
  io: 8, server: 8.5, jobs: 9, cli: 10,
}
/** The order inside io: a folder imports itself or lower ones. */
const IO_FLOORS: Record<string, number> = {
  process: 0, compression: 0, disk: 1, walsource: 2, pagestore: 2, objectstore: 2, http: 2, datadir: 3, results: 3, toast: 4, seed: 4,
}
/** Floors from here on may do I/O. */
const IO_FLOOR = 8
/** npm packages that a floor below io may import, and where. */
const PURE_PACKAGES: Record<string, RegExp> = {
  'apache-arrow': /^src\/parquet\//, 'parquet-wasm': /^src\/parquet\//, fzstd: /^src\/common\/compression\//, valibot: /./,
  '@hpcc-js/wasm-zstd': /^src\/parquet\//,
}
/** What is another at another time, on another machine, or by chance. */
const IMPURE = new Set(['process', 'Buffer', 'Date', 'performance', 'setTimeout', 'setInterval', 'setImmediate', 'Intl', 'fetch', 'crypto'])

/** A file directly under src is an entry of the package: it stands above all floors, and an entry may be made of others. */
const isEntry = (path: string): boolean => path.split('/').length === 2
const folderOf = (path: string): string => path.split('/')[1]!
const floorOf = (path: string): number => isEntry(path) ? Infinity : FLOORS[folderOf(path)]!
/** Files directly under src/io are made of everything below. */
const ioFloorOf = (path: string): number => path.split('/').length === 3 ? Infinity : IO_FLOORS[path.split('/')[2]!]!

function wrongImports({ path, imports }: SourceFile): string[] {
  return imports.filter(({ isFile }) => isFile).flatMap(({ target }) => {
    const inIo = folderOf(path) === 'io' && folderOf(target) === 'io'
    const fine = inIo ? dirname(target) === dirname(path) || ioFloorOf(target) < ioFloorOf(path)
      : folderOf(target) === folderOf(path) || floorOf(target) < floorOf(path) || isEntry(path) && isEntry(target)
    return fine ? [] : [`${path} imports ${target}`]
  })
}

function impurities(file: SourceFile): string[] {
  const { path, tree, imports } = file
  const packages = imports.filter(({ isFile, target }) => !isFile && !PURE_PACKAGES[target]?.test(path)).map(({ target }) => `${path} imports ${target}`)
  const words = [...nodesOf(tree)].filter((node) => {
    if (!ts.isIdentifier(node)) return false
    const isMember = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node
    if (node.text === 'random') return isMember && node.parent.expression.getText(tree) === 'Math'
    const isValue = ts.isPropertyAccessExpression(node.parent) || ts.isCallExpression(node.parent) || ts.isNewExpression(node.parent)
    return IMPURE.has(node.text) && isValue && !isMember
  })
  return [...packages, ...words.map((node) => `${path}:${lineOf(file, node.getStart(tree))} uses ${node.getText(tree)}`)]
}

function circles(files: readonly SourceFile[]): string[] {
  const graph = new Map(files.map(({ path, imports }) => [path, imports.filter(({ isFile }) => isFile).map(({ target }) => target)]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path].join(' → '))
    if (done.has(path)) return
    done.add(path)
    for (const next of graph.get(path) ?? []) visit(next, [...way, path])
  }
  for (const path of graph.keys()) visit(path, [])
  return found
}

const files = readSources('src')

describe('floors', () => {
  test('every folder has one', () => expect(files.filter(({ path }) => floorOf(path) === undefined || folderOf(path) === 'io' && ioFloorOf(path) === undefined)).toEqual([]))
  test('a file imports its own folder or lower floors', () => expect(files.flatMap(wrongImports)).toEqual([]))
  test('no I/O, clock, environment or chance below io', () => expect(files.filter(({ path }) => floorOf(path) < IO_FLOOR).flatMap(impurities)).toEqual([]))
  test('no circles', () => expect(circles(files)).toEqual([]))
  test('io is under 12 % of the lines', () => {
    const lines = (list: readonly SourceFile[]): number => list.reduce((sum, { text }) => sum + text.split('\n').length, 0)
    const share = lines(files.filter(({ path }) => folderOf(path) === 'io')) / lines(files)
    console.info(`io has ${(share * 100).toFixed(1)} % of the lines`)
    expect(share).toBeLessThan(0.12)
  })
  test('code is compiled in one place, from source text', () => {
    const compilers = /\bnew Function\b|\bFunction\(|\beval\(|\bGeneratorFunction\b|\bnode:vm\b|constructor\.constructor/
    const compiling = files.filter(({ tree }) => [...nodesOf(tree)].some((node) =>
      (ts.isCallExpression(node) || ts.isNewExpression(node)) && compilers.test(`${ts.isNewExpression(node) ? 'new ' : ''}${node.expression.getText(tree)}(`)))
    expect(compiling.map(({ path }) => path)).toEqual(['src/columnar/compile.ts'])
  })
})

describe('planted faults are found', () => {
  test.each([
    ['src/page/x.ts', "import { a } from '../datum/codec.ts'"], ['src/page/x.ts', "import { a } from '../tuple/header.ts'"],
    ['src/wal/x.ts', "export * from '../redo/redo.ts'"], ['src/io/disk/x.ts', "const a = await import('../seed/seed.ts')"],
    ['src/jobs/x.ts', "type A = import('../cli/run.ts').A"], ['src/io/pagestore/x.ts', "import { a } from '../walsource/walsource.ts'"],
  ])('%s: %s', (path, text) => expect(wrongImports(parseSource(path, text))).toHaveLength(1))
  test.each(["import { readFileSync } from 'node:fs'", 'const at = Date.now()', 'const at = new Date()', 'const n = Math.random()', 'const b = Buffer.from(text)',
    'const u = process.env', 'setTimeout(f, 1)', "import { Table } from 'apache-arrow'"])('%s', (text) => {
    expect(impurities(parseSource('src/page/x.ts', text))).toHaveLength(1)
  })
  test('a circle', () => {
    expect(circles([parseSource('src/page/x.ts', "import './y.ts'"), parseSource('src/page/y.ts', "import './x.ts'")])).toEqual(['src/page/x.ts → src/page/y.ts → src/page/x.ts'])
  })
})
