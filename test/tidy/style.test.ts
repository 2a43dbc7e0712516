/** House rules of form: lengths of files, functions and lines, what no file has, and what words of names mean. */
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { misnamed } from './names.ts'
import { lineOf, nodesOf, parseSource, readSources, type SourceFile } from './sources.ts'

const FILE_LINES_MAX = 420
const FUNCTION_LINES_MAX = 70
/** A test that drives a server tells a story. */
const TEST_FUNCTION_LINES_MAX = 100
const LINE_LENGTH_MAX = 160
/** The limit for lines with texts that are compared. */
const TEST_LINE_LENGTH_MAX = 240
/** A value in hex cannot be wrapped. */
const BYTES = /'[0-9a-f]{200,}'/
/** Tables that a script writes. */
const isTable = (path: string): boolean => path.startsWith('src/datum/encoding/')

function faults(file: SourceFile): string[] {
  const { path, text, tree } = file
  const found: string[] = []
  const lines = text.replace(/\n$/, '').split('\n')
  if (!isTable(path)) {
    if (lines.length > FILE_LINES_MAX) found.push(`${path} has ${lines.length} lines`)
    lines.forEach((line, i) => line.length > (path.startsWith('src/') ? LINE_LENGTH_MAX : TEST_LINE_LENGTH_MAX) && !BYTES.test(line) && found.push(`${path}:${i + 1} has ${line.length} characters`))
  }
  if (/\b(?:FIXME|TODO|XXX)\b/.test(text)) found.push(`${path} has a leftover`)
  for (const node of nodesOf(tree)) {
    const what = faultOf(path, node, tree)
    if (what !== undefined) found.push(`${path}:${lineOf(file, node.getStart(tree))} ${what}`)
  }
  return found
}

function faultOf(path: string, node: ts.Node, tree: ts.SourceFile): string | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return 'uses any'
  if (ts.isEnumDeclaration(node)) return 'has an enum'
  if (ts.isExportAssignment(node)) return 'has a default export'
  const isPrinting = ts.isPropertyAccessExpression(node) && node.expression.getText(tree) === 'console'
  if (isPrinting && path.startsWith('src/') && !path.startsWith('src/cli/')) return 'prints'
  const isOurRangeError = ts.isNewExpression(node) && node.expression.getText(tree) === 'RangeError'
  // It means one thing: the bytes end before what is read. DataView says the same.
  if (isOurRangeError && path.startsWith('src/') && path !== 'src/common/bytes.ts') return 'throws a RangeError: assert() is for bugs, CorruptionError for bad bytes'
  if (path.startsWith('test/') && hasOwnLimit(node, tree)) return 'has a time limit of its own: vitest.config.ts has one for all'
  if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined
  const length = tree.getLineAndCharacterOfPosition(node.getEnd()).line - tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
  const isDescribe = ts.isCallExpression(node.parent) && /^(?:describe|suite)\b/.test(node.parent.expression.getText(tree))
  const max = path.startsWith('src/') ? FUNCTION_LINES_MAX : TEST_FUNCTION_LINES_MAX
  return length > max && !isDescribe ? `has a function of ${length} lines` : undefined
}

/** Of a test or hook: a number behind its function, or the option `timeout`. None (0) is for a run that somebody ends. */
function hasOwnLimit(node: ts.Node, tree: ts.SourceFile): boolean {
  if (!ts.isCallExpression(node) || !/^(?:test|it|describe|(?:before|after)(?:All|Each))\b/.test(node.expression.getText(tree))) return false
  const options = node.arguments.filter(ts.isObjectLiteralExpression).flatMap(({ properties }) => [...properties])
  return node.arguments.slice(1).some((argument) => ts.isNumericLiteral(argument) || ts.isBinaryExpression(argument))
    || options.some((option) => ts.isPropertyAssignment(option) && option.name.getText(tree) === 'timeout' && option.initializer.getText(tree) !== '0')
}

const files = readSources('src', 'test', 'bench').filter(({ path }) => path !== 'test/tidy/style.test.ts')

test.each(['src', 'test', 'bench'])('%s', (folder) => {
  expect(files.filter(({ path }) => path.startsWith(`${folder}/`) && path !== 'vitest.config.ts').flatMap(faults)).toEqual([])
})

/** Number of `!` behind a value: what the author knows and the compiler does not. */
function assertions({ tree }: SourceFile): number {
  return [...nodesOf(tree)].filter(ts.isNonNullExpression).length
}

/** Most are elements of typed arrays. There were 20.9 in 1,000 lines before noUncheckedIndexedAccess was on. This limit may only shrink. */
const ASSERTIONS_MAX = 18

test(`src has at most ${ASSERTIONS_MAX} non-null assertions in 1,000 lines`, () => {
  const sources = files.filter(({ path }) => path.startsWith('src/'))
  const [found, lines] = [sources.reduce((sum, file) => sum + assertions(file), 0), sources.reduce((sum, { text }) => sum + text.split('\n').length - 1, 0)]
  console.info(`${found} non-null assertions in ${lines} lines: ${(found / lines * 1000).toFixed(1)} in 1,000`)
  expect(found / lines * 1000).toBeLessThan(ASSERTIONS_MAX)
})

describe('planted faults are found', () => {
  test('non-null assertions are counted', () => expect(assertions(parseSource('src/x.ts', 'f(a!, b[0]!, !c, d != e, g!.h)'))).toBe(3))
  const long = (count: number): string => `function f() {\n${'  g()\n'.repeat(count - 2)}}`
  test.each([
    ['const a: any = 1', 'uses any'], ['enum A { B }', 'has an enum'], ['export default 1', 'has a default export'], ['console.log(1)', 'prints'],
    ['// TODO', 'has a leftover'], ["throw new RangeError('x')", 'throws a RangeError'], [long(71), 'has a function of 71 lines'],
    [`const f = () => {\n${'  g()\n'.repeat(80)}}`, 'has a function of 82 lines'], [`// ${'x'.repeat(160)}`, 'has 163 characters'], ['\n'.repeat(421), 'has 421 lines'],
  ])('%j', (text, fault) => expect(faults(parseSource('src/page/x.ts', text)).join()).toContain(fault))
  test.each(["test('x', () => {}, 300_000)", "beforeAll(async () => {}, 2 * MINUTE)", "test.each([1])('x', { timeout: 60_000 }, () => {})"])('%s', (text) => {
    expect(faults(parseSource('test/x.test.ts', text)).join()).toContain('has a time limit of its own')
  })
  test('what is no fault', () => {
    expect(faults(parseSource('test/x.test.ts', "test('x', { timeout: 0 }, () => {})\nexpect.poll(f, { timeout: 9 })"))).toEqual([])
    expect(faults(parseSource('src/page/x.ts', `${long(70)}\n// any enum console.log of a comment, and new RangeError\nconst any = 1\n`))).toEqual([])
    expect(faults(parseSource('test/x.ts', `describe('x', () => {\n${'  g()\n'.repeat(200)}})`))).toEqual([])
  })
})

test('history, visibility, cluster and fork mean one thing each', () => {
  expect(files.filter(({ path }) => path.startsWith('src/')).flatMap(misnamed)).toEqual([])
})

describe('planted names are found', () => {
  test.each([
    ['src/wal/x.ts', 'export function parseHistory() {}'], ['src/io/walsource/x.ts', 'const histories = new Map()'],
    ['src/replay/x.ts', 'interface A { history?: TimelineHistory }'], ['src/redo/x.ts', 'export class Visibility {}'], ['src/wal/x.ts', 'const visibility = 1'],
    ['src/server/x.ts', 'export class PostgresCluster {}'], ['src/io/x.ts', 'class RelationFork implements PageSource {}'],
    ['src/replay/x.ts', 'class Pages implements RedoFork {}'], ['src/catalog/x.ts', 'class LostFork {}'], ['src/wal/history.ts', ''],
    ['src/xact/visibility.ts', ''], ['src/columnar/visibilitymap.ts', ''],
  ])('%s: %s', (path, text) => expect(misnamed(parseSource(path, text))).toHaveLength(1))
  test.each([
    ['src/wal/timelinehistory.ts', 'export function parseTimelineHistory(timelineHistory: string) {}'], ['src/history/x.ts', 'class VersionHistory {}'],
    ['src/redo/visibilitymap.ts', 'class VisibilityMapRedo {}'], ['src/columnar/x.ts', 'interface RowVisibility {}'],
    ['src/io/x.ts', 'class SegmentPages implements PageSource {}'], ['src/wal/x.ts', 'const TIMELINE_HISTORY_SIZE_MAX = 1'],
  ])('%s: %s is no fault', (path, text) => expect(misnamed(parseSource(path, text))).toEqual([]))
})
