import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresCluster } from '../src/server/postgres.ts'
import { ltap } from './cli/streams.ts'
import { connect, majors, withCluster } from './support/oracle.ts'

/** What the README shows works: its snippets run, its commands exist. */
const ROOT = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].map(([, language, text]) => ({ language: language!, text: text! }))
const ofLanguage = (language: string): string[] => blocks.filter((block) => block.language === language).map(({ text }) => text)

const commands = ofLanguage('sh').flatMap((text) => text.split('\n')).filter((line) => line.startsWith('ltap '))

/** Words of a shell line as far as the README goes: quotes, and a redirection or a pipe at the end. */
function wordsOf(line: string): string[] {
  const command = line.replace(/\s[>|]\s.*$/, '')
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain!)
}

describe('commands', () => {
  test('there are some for every verb', async () => {
    const { stdout } = await ltap(['--help'])
    const listed = stdout.slice(stdout.indexOf('\nCommands:'), stdout.indexOf('\nExamples:'))
    const verbs = [...listed.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1]!).filter((verb) => verb !== 'help')
    expect(verbs.length).toBeGreaterThan(5)
    for (const verb of verbs) expect(commands.some((line) => line.startsWith(`ltap ${verb}`)), verb).toBe(true)
  })

  test.each(commands)('%s', async (line) => {
    const words = wordsOf(line).slice(1)
    const isGroup = words[0] === 'inspect'
    const verb = words.slice(0, isGroup ? 2 : 1)
    const { code, stdout } = await ltap([...verb, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^Usage: ltap ${verb.join(' ')} `))
    for (const option of words.filter((word) => word.startsWith('--'))) {
      expect(stdout, option).toMatch(new RegExp(`^ +(?:-\\w, )?${option}\\b`, 'm'))
    }
    // It parses: where the lake or the data directory is missing, the failure is not one of usage.
    if (verb[0] === 'demo') return
    const missing = words.map((word) => (word.startsWith('./') || word.startsWith('/') ? join(tmpdir(), 'ltap-no-such-folder') : word))
    expect((await ltap(missing)).code).toBe(3)
  })
})

test('npm scripts and files that are named exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const [, name] of readme.matchAll(/npm run (\w+)/g)) expect(scripts).toHaveProperty(name!)
  for (const [, file] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) expect(existsSync(join(ROOT, file!)), file).toBe(true)
})

describe.runIf(majors().length > 0 && existsSync(join(ROOT, 'dist/index.js')))('snippets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-readme-'))
  const snippets = ofLanguage('js')

  beforeAll(async () => {
    // The server on the copy may be another user.
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(ROOT, join(folder, 'node_modules/ltap'), 'dir')
    await withCluster(majors().at(-1)!, {}, async (cluster, sql) => {
      await sql.script('CREATE DATABASE shop')
      const shop = await connect(cluster, 'shop')
      await shop.exec('CREATE TABLE orders AS SELECT i AS id, i * 1.25 AS total FROM generate_series(1, 1000) AS i')
      await cluster.stop()
      await cluster.copyDataDir(join(folder, 'backup'))
      await cluster.start()
      const later = await connect(cluster, 'shop')
      await later.exec('DELETE FROM orders WHERE id % 10 = 0')
      const path = (await later.value("SELECT pg_relation_filepath('orders')"))!
      await cluster.stop()
      for (const name of ['data', 'copy']) await cluster.copyDataDir(join(folder, name))
      await copyFile(join(folder, 'data', path), join(folder, 'data/heapfile'))
    })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const run = (i: number): string => {
    const file = join(folder, `snippet${i}.mjs`)
    writeFileSync(file, snippets[i]!)
    return execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28 })
  }

  test('a whole cluster, and a server boots on the copy', async () => {
    expect(run(0)).toMatch(/^0 of [1-9]\d+ pages differ\n$/)
    const server = await PostgresCluster.adopt({ dataDir: join(folder, 'copy') })
    try {
      await server.start()
      await server.stop()
    } finally {
      await server.remove()
    }
  })

  test('one table', () => {
    const pages = readFileSync(join(folder, 'data/heapfile')).length / 8192
    expect(run(1)).toMatch(new RegExp(`^1000 tuples in \\d+ bytes of Parquet; a list of hidden rows: true\\n${pages} pages\\n$`))
  })

  test('one page', () => {
    const lines = run(2).trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(100)
    for (const line of lines) expect(line).toMatch(/^tuple \d+: inserted by [1-9]\d*, deleted or locked by \d+, 2 attributes$/)
  })

  test('WAL as a stream', () => {
    const lines = run(3).trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(1000)
    for (const line of lines.slice(0, -1)) expect(line).toMatch(/^0\/[1-9A-F][0-9A-F]+ \w+/)
    expect(lines.at(-1)).toMatch(/^more may follow$|^0\/[0-9A-F]+: \w/)
  })

  test('pages at an LSN', () => {
    const [replayed, page] = run(4).split('\n')
    expect(replayed).toMatch(/^[1-9]\d+ records later the pages are those of 0\/[0-9A-F]+$/)
    // 24 bytes and 4 for each line pointer.
    expect(page).toMatch(/^orders has [1-9]\d* blocks; pd_lower of the first is [1-9]\d+$/)
  })

  test('there is a test for each', () => {
    expect(snippets).toHaveLength(5)
  })
})
