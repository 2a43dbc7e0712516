import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeFailure } from '../../src/cli/failure.ts'
import { Output } from '../../src/cli/output.ts'
import { withProgress, withWalProgress } from '../../src/cli/jobprogress.ts'
import { startProgress } from '../../src/cli/progress.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { LTAP_VERSION } from '../../src/jobs/version.ts'
import { numbers, writeLake } from '../lake/smalllake.ts'
import { brokenPipe, ltap } from './streams.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-cli-'))
const lake = join(directory, 'lake')

beforeAll(() => writeLake(lake, [{ name: 't', columns: ['id'], files: [{ select: numbers(3), hidden: [1] }] }]).then(() => {}))
afterAll(() => rmSync(directory, { recursive: true }))

describe('exit codes and streams', () => {
  it('version and help', async () => {
    expect(await ltap(['--version'])).toEqual({ code: 0, stdout: `${LTAP_VERSION}\n`, stderr: '' })
    for (const argv of [['--help'], ['help', 'query'], ['query', '--help'], ['inspect', 'page', '--help']]) {
      const { code, stdout, stderr } = await ltap(argv)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/Usage: ltap/)
      expect(stdout).toMatch(/Examples:\n {2}ltap /)
    }
  })

  it.each([
    [['qery'], /^ltap: unknown command 'qery'/],
    [['query', 'SELECT 1'], /^ltap: required option '--lake <dir\|url>' not specified/],
    [['query', '--lake', lake], /^ltap: missing required argument 'sql'/],
    [['query', '--lake', lake, 'SELECT 1', '--format', 'xml'], /^ltap: option '--format <format>' argument 'xml' is invalid/],
    [['inspect', 'page', 'x', '--block', '-1'], /^ltap: option '--block <number>' argument '-1' is invalid: [a-z][^.]*\n$/],
    [['inspect', 'table', 'x', 'y', '--limit', '-1'], /^ltap: option '--limit <count>' argument '-1' is invalid: a number of rows is needed\n$/],
    [['query', '--lake', lake, 'SELECT 1', '--timeout', '0'], /^ltap: option '--timeout <seconds>' argument '0' is invalid: a number of seconds/],
    [['query', '--lake', lake, 'SELECT 1', '--json', '--format', 'csv'], /^ltap: --json and --format csv exclude each other: give one of them\n$/],
    [['inspect', 'file', 'x', '--columns', 'id int', '--json', '--format', 'table'], /^ltap: --json and --format table exclude each other/],
  ])('usage: %j', async (argv, message) => {
    const { code, stdout, stderr } = await ltap(argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('help marks the options that are required', async () => {
    for (const verb of ['transcode', 'rebuild', 'query']) {
      const { stdout } = await ltap([verb, '--help'])
      expect(stdout).toMatch(/--lake <dir(?:\|url)?> [\s\S]*?\(required\)/)
      expect(stdout.match(/\(required\)/g)!.length).toBe(verb === 'rebuild' ? 2 : 1)
    }
    expect((await ltap(['inspect', 'file', '--help'])).stdout).toMatch(/--columns <list> [\s\S]*?\(required\)/)
  })

  it('a query that takes too long ends with 3', async () => {
    const { code, stdout, stderr } = await ltap(['query', '--lake', lake, '--timeout', '0.3', 'SELECT count(*) FROM range(1000000000), range(1000000)'])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(/^ltap: query.timeout: the query was ended after 0.3 s: give it more with --timeout, or ask for less\n$/)
  })

  it('bad input is one line, with --verbose a stack trace', async () => {
    const { code, stdout, stderr } = await ltap(['query', '--lake', directory, 'SELECT 1'])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(/^ltap: lake.missing: the folder is not a lake: it has neither ltap\/format.json nor ltap.json; ltap transcode writes a lake \(.*\n$/)
    expect((await ltap(['query', '--lake', directory, 'SELECT 1', '--verbose'])).stderr).toMatch(/\n {4}at /)
    expect(describeFailure(new Error('x'), false)).toBe('ltap: x (this is a bug in ltap: run again with --verbose and report it)')
  })

  it('a reader that goes away ends the run quietly', async () => {
    const stderr = new PassThrough()
    const streams = { stdin: Readable.from([]), stdout: brokenPipe(), stderr }
    expect(await runCommandLine(['query', '--lake', lake, 'SELECT * FROM range(100000)'], streams)).toBe(0)
    expect(stderr.read()).toBeNull()
  })
})

describe('ltap query', () => {
  it('formats, json, SQL from stdin', async () => {
    expect(await ltap(['query', '--lake', lake, 'FROM t'])).toEqual({ code: 0, stdout: ' id\n----\n  0\n  2\n(2 rows)\n', stderr: '' })
    expect((await ltap(['query', '--lake', lake, '--format', 'csv', '-'], 'SELECT id FROM t')).stdout).toBe('id\n0\n2\n')
    const { stdout } = await ltap(['query', '--lake', lake, 'FROM t', '--json', '--threads', '1'])
    expect(JSON.parse(stdout)).toEqual([{ id: '0' }, { id: '2' }])
    expect((await ltap(['query', '--lake', lake, 'FROM t', '--memory-limit', 'much'])).code).toBe(3)
  })
})

describe('hints', () => {
  it('a lake that is nowhere, and a URL with one slash', async () => {
    expect(await ltap(['query', '--lake', join(directory, 'none'), 'SELECT 1']))
      .toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: lake.missing: no such folder \(file .*none\)\n$/) as string })
    expect(await ltap(['query', '--lake', 's3:/bucket/shop', 'SELECT 1']))
      .toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: path.scheme: .*did you mean s3:\/\/bucket\/shop\?/) as string })
    expect(await ltap(['transcode', 'p', '--lake', 's3:/bucket/shop'])).toMatchObject({ code: 3, stderr: expect.stringContaining('did you mean s3://') as string })
  })

  it.each([
    [['gc', '--lake', 'x'], /unknown option '--lake'\n\(the lake is an argument here: ltap gc \.\/lake\)\n/],
    [['tag', 'list', '--lake', 'x'], /ltap tag list \.\/lake/],
    [['query', 'x', 'SELECT 1'], /'--lake <dir\|url>' not specified\n\(name the lake with --lake: ltap query --lake \.\/lake\)\n/],
    [['verify', 'x'], /ltap verify --lake \.\/lake/],
    [['query', '--laek', 'x', 'SELECT 1'], /did you mean --lake in place of --laek\?/],
    [['rebuild', '--lake', 'x', '--pgdata', 'y', '--at', '0/28'], /for an earlier state: ltap restore --to <LSN>/],
  ])('%j', async (argv, hint) => {
    expect(await ltap(argv)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(hint) as string })
  })

  it('restore takes --at for --to, and not both', async () => {
    expect(await ltap(['restore', '--lake', lake, '--out', 'x', '--at', '0/28'])).toMatchObject({ code: 3 })
    expect(await ltap(['restore', '--lake', lake, '--out', 'x', '--at', '0/28', '--to', '0/28'])).toMatchObject({ code: 2 })
  })
})

describe('progress', () => {
  const outputTo = (isTTY: boolean, json = false) => {
    const stderr = Object.assign(new PassThrough(), { isTTY })
    const output = new Output({ stdin: Readable.from([]), stdout: new PassThrough(), stderr }, json)
    return { output, text: () => String(stderr.read() ?? '') }
  }

  it('a line every five seconds where there is no terminal', () => {
    let time = 0
    const { output, text } = outputTo(false)
    const progress = startProgress(output, { title: 'transcode', total: 100, unit: 'pages', now: () => time })
    for (; time <= 11_000; time += 1000) progress.update(time / 200, 'public.t')
    progress.stop()
    expect(text()).toBe(
      'transcode: 25 of 100 pages, 5 pages/s, about 15 s left: public.t\n' +
        'transcode: 50 of 100 pages, 5 pages/s, about 10 s left: public.t\n',
    )
  })

  it('no time left before ten seconds or a tenth, and never less than none', () => {
    let time = 0
    const { output, text } = outputTo(false)
    const progress = startProgress(output, { title: 'transcode', total: 1000, unit: 'pages', now: () => time })
    for (const done of [50, 60, 1200]) {
      time += 5000
      progress.update(done, 'public.t')
    }
    expect(text().split('\n')).toEqual([
      'transcode: 50 of 1000 pages, 10 pages/s: public.t', 'transcode: 60 of 1000 pages, 6 pages/s, about 157 s left: public.t',
      'transcode: 1200 of 1000 pages, 80 pages/s, about 0 s left: public.t', '',
    ])
  })

  it('a job whose parts show themselves one behind the other', async () => {
    const { output, text } = outputTo(true)
    await withWalProgress(output, 'replay', (onReplay) => withProgress(output, 'restore', async (onProgress) => {
      onReplay(1e6, 1e6, '0/28')
      onProgress(0, 16384, '')
      onProgress(16384, 16384, 'shop.public.t')
      return await Promise.resolve()
    }))
    expect(text()).toMatch(/replay \[[\s\S]*1\/1 MB[\s\S]*restore \[[\s\S]*\/2 pages/)
  })

  it('a bar on a terminal, nothing with --json', () => {
    const terminal = outputTo(true)
    const bar = startProgress(terminal.output, { title: 'transcode', total: 10, unit: 'pages' })
    bar.update(5, 'public.t')
    bar.stop()
    expect(terminal.text()).toMatch(/transcode \[/)
    const silent = outputTo(true, true)
    startProgress(silent.output, { title: 'transcode', total: 10, unit: 'pages' }).stop()
    expect(silent.text()).toBe('')
  })
})
