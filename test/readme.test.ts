import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresServer } from '../src/server/postgres.ts'
import { ltap } from './cli/streams.ts'
import { connect, majors, withCluster } from './support/oracle.ts'
import { S3Server } from './support/s3server.ts'

/** What README and docs show works: their snippets run, their commands exist. */
const ROOT = resolve(import.meta.dirname, '..')
const DOCS = [
  'README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'fixtures/README.md', ...['docs', 'docs/formats'].flatMap((folder) =>
    readdirSync(join(ROOT, folder)).filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`)),
]
const texts = new Map(DOCS.map((name) => [name, readFileSync(join(ROOT, name), 'utf8')]))

function ofLanguage(doc: string, language: string): string[] {
  return [...(texts.get(doc) ?? '').matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].filter((block) => block[1] === language).map((block) => block[2]!)
}

const commands = [...new Set(DOCS.flatMap((doc) => ofLanguage(doc, 'sh')).flatMap((text) => text.split('\n')).filter((line) => line.startsWith('ltap ')))]

/** Words of a shell line as far as the documents go: quotes, and a redirection or a pipe at the end. */
function wordsOf(line: string): string[] {
  const command = line.replace(/\s[<>|#]\s.*$/, '')
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain!)
}

/** Verbs that have verbs below them. */
const GROUPS = ['inspect', 'branch', 'tag', 'lease', 'job']

describe('commands', () => {
  // Without an endpoint the AWS SDK looks for credentials in the network, which takes it seconds.
  let server: S3Server
  const usual = { ...process.env }
  beforeAll(async () => {
    server = await S3Server.start()
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret', AWS_ENDPOINT_URL_S3: server.endpoint })
  })
  afterAll(async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_ENDPOINT_URL_S3']) {
      if (usual[name] === undefined) delete process.env[name]
      else process.env[name] = usual[name]
    }
    await server.stop()
  })

  test('there are some for every verb', async () => {
    const { stdout } = await ltap(['--help'])
    const listed = stdout.slice(stdout.indexOf('\nCommands:'), stdout.indexOf('\nExamples:'))
    const verbs = [...listed.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1]!).filter((verb) => verb !== 'help')
    expect(verbs.length).toBeGreaterThan(5)
    for (const verb of verbs) expect(commands.some((line) => line.startsWith(`ltap ${verb}`)), verb).toBe(true)
  })

  test.each(commands)('%s', async (line) => {
    const words = wordsOf(line).slice(1)
    const verb = words.slice(0, GROUPS.includes(words[0]!) ? 2 : 1)
    const { code, stdout } = await ltap([...verb, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^Usage: ltap ${verb.join(' ')} `))
    for (const option of words.filter((word) => word.startsWith('--'))) {
      expect(stdout, option).toMatch(new RegExp(`^ +(?:-\\w, )?${option}\\b`, 'm'))
    }
    // It parses: where the lake or the data directory is missing, the failure is not one of usage.
    if (verb[0] === 'demo') return
    // Without a line it has nothing to do.
    if (verb[0] === 'work') return
    const missing = words.map((word) => (word.startsWith('./') || word.startsWith('/') ? join(tmpdir(), 'ltap-no-such-folder') : word))
    expect((await ltap(missing)).code).toBe(3)
  })
})

test('npm scripts and files that are named exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const [doc, text] of texts) {
    for (const [, name] of text.matchAll(/npm run ([\w:]+)/g)) expect(Object.keys(scripts), doc).toContain(name)
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) expect(brokenLink(doc, link!), doc).toBeUndefined()
  }
  expect(brokenLink('docs/cli.md', '../README.md#no-such-heading')).toBe('../README.md#no-such-heading')
  expect(brokenLink('docs/cli.md', 'README.md')).toBe('README.md')
})

/** The link, if its file or its heading is missing. */
function brokenLink(doc: string, link: string): string | undefined {
  const [file = '', heading] = link.split('#')
  const path = file === '' ? join(ROOT, doc) : join(ROOT, dirname(doc), file)
  if (!existsSync(path)) return link
  if (heading === undefined) return undefined
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map((match) => match[1]!.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
  return headings.includes(heading) ? undefined : link
}

test('the map of tests has every folder of test, and no other', () => {
  const named = [...texts.get('CONTRIBUTING.md')!.matchAll(/`test\/(\w+)`/g)].map((match) => match[1]!)
  const folders = readdirSync(join(ROOT, 'test'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name)
  expect([...new Set(named)].sort()).toEqual(folders.filter((name) => name !== 'postgres').sort())
})

describe.runIf(majors().length > 0 && existsSync(join(ROOT, 'dist/index.js')))('snippets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-readme-'))
  const snippets = [...ofLanguage('docs/library.md', 'js'), ...ofLanguage('README.md', 'js')]

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
    const server = await PostgresServer.adopt({ dataDir: join(folder, 'copy') })
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

  test('pages in memory', () => expect(run(5)).toBe('1 row; the page is the same: true\n'))

  test('there is a test for each', () => {
    expect(snippets).toHaveLength(6)
  })
})
