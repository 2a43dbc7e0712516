/** Which test files a run has, by its scope: for vitest.config.ts. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { drawnIndexes } from './scope.ts'
import type { Scope } from './scopename.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** Number of files of test/long in a sample. With what test/support/scope.ts says of each file, they end in time however many files there are. */
const LONG_FILES = 16
/** Number of the other files that need a server in a sample; they run on its majors. */
const SERVER_FILES = 5

/** Quick: none of test/long. Sample: some of test/long, and some others on the sample's majors. All: all. */
export function testFiles(scope: Scope, seed: number): string[] {
  const files = allTestFiles()
  const isLong = (path: string): boolean => path.startsWith('test/long/')
  if (scope === 'all') return files
  // They need what is no npm package: `npm run conformance`, `npm run test:engines`.
  const needsMore = (path: string): boolean => path.startsWith('test/conformance/') || path.startsWith('test/engines/')
  const quick = files.filter((path) => !isLong(path) && !needsMore(path))
  if (scope === 'quick') return quick
  const onServers = quick.filter((path) => readFileSync(join(ROOT, path), 'utf8').includes('majors()'))
  return [...drawnFiles(files.filter(isLong), LONG_FILES, seed, 'files of test/long'), ...drawnFiles(onServers, SERVER_FILES, seed, 'other files with servers')]
}

/** Files that have a process each: they take much memory, are about processes and locks, or run what is no npm package. */
const OWN = /^test\/(?:conformance|engines|io\/disk|io\/(?:archives|encrypted|s3objectstore|tarfile)\.|long|package|server)/

/** Where a file runs: in a process that it shares with others; in one of its own; or in one in which vitest loads all modules, since `vi` replaces some. */
export function placeOf(path: string): 'shared' | 'own' | 'replaced' {
  if (/\bvi\.(?:mock|doMock|resetModules)\b/.test(readFileSync(join(ROOT, path), 'utf8'))) return 'replaced'
  return OWN.test(path) ? 'own' : 'shared'
}

/** Every file, for a run that names some. */
export function allTestFiles(): string[] {
  return readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name.replaceAll('\\', '/')}`).sort()
}

function drawnFiles(files: readonly string[], count: number, seed: number, what: string): string[] {
  const chosen = drawnIndexes(files.length, count, seed, what).map((i) => files[i]!)
  console.info(`seed ${seed} draws ${chosen.length} of ${files.length} ${what}:\n  ${chosen.join('\n  ')}`)
  return chosen
}
