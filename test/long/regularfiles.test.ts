/** A FIFO, a device, a socket or a folder where a file is expected: an error with its name, and no waiting. The built program, with a watchdog. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LayerFile } from '../../src/lake/layer.ts'
import type { LakeFile } from '../../src/lake/manifest.ts'
import { heapFile } from '../support/badinput.ts'
import { transcode } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { ltap } from '../cli/streams.ts'

const PROGRAM = resolve(import.meta.dirname, '../../dist/cli/main.js')
/** Far more than any of these commands takes: a command that runs longer waits for ever. */
const WATCHDOG_MS = 60_000

let root: string
const at = (...names: string[]): string => join(root, ...names)

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-regular-'))
  await withCluster(Math.max(...majors()), { initdbArgs: ['--wal-segsize=1'] }, async (cluster, sql) => {
    await sql.script('CREATE DATABASE shop')
    await sql.script('CREATE TABLE t AS SELECT generate_series(1, 100) i; DELETE FROM t WHERE i % 2 = 0; CHECKPOINT')
    await closeSessions(cluster)
    await cluster.stop()
    await cluster.copyDataDir(at('data'))
  })
  cpSync(at('data', 'pg_wal'), at('wal'), { recursive: true })
  mkdirSync(at('tars'))
  execFileSync('tar', ['-C', at('data'), '-cf', at('tars', 'base.tar'), ...readdirSync(at('data'))])
  expect(await ltap(['transcode', at('data'), '--lake', at('lake'), '--database', 'postgres', '--table', 'public.t', '--workers', '1'])).toMatchObject({ code: 0 })
  const state = await NewestState.read(at('lake'))
  layerFile = (await state.files(state.relation('t')))[0]!.file
  const { relations } = await transcode(at('data'), at('oldlake'), { filter: { databases: ['postgres'], tables: ['public.t'] } })
  oldFile = relations[0]!.files[0]!
  expect(await ltap(['replay', at('data'), '--out', at('store')])).toMatchObject({ code: 0 })
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

const segment = (): string => readdirSync(at('wal')).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort().at(-1)!
/** File of the table in the lake, and in one of format 1. */
let layerFile: LayerFile
let oldFile: LakeFile

/** Each file that is read, and commands that read it. */
const CASES: readonly [what: string, file: () => string, ...commands: (() => string[])[]][] = [
  ['WAL segment', () => at('wal', segment()), () => ['inspect', 'wal', at('wal')], () => ['replay', at('data'), '--wal', at('wal'), '--out', at('new')]],
  ['WAL segment by name', () => at('wal', segment()), () => ['inspect', 'wal', at('wal', segment())]],
  ['compressed WAL segment', () => at('gz', `${segment()}.gz`), () => ['inspect', 'wal', at('gz')]],
  ['history file', () => at('wal', '00000002.history'), () => ['inspect', 'wal', at('wal')]],
  ['base.tar', () => at('tars', 'base.tar'), () => ['replay', at('tars'), '--wal', at('wal'), '--out', at('new')]],
  ['PG_VERSION', () => at('data', 'PG_VERSION'), () => ['inspect', 'relations', at('data')], () => ['inspect', 'control', at('data')]],
  ['pg_control', () => at('data', 'global/pg_control'), () => ['inspect', 'control', at('data')], () => ['transcode', at('data'), '--lake', at('new')]],
  ['relation map', () => at('data', 'global/pg_filenode.map'), () => ['inspect', 'relations', at('data')]],
  ['postmaster.pid', () => at('data', 'postmaster.pid'), () => ['transcode', at('data'), '--lake', at('new')]],
  ['two-phase file', () => at('data', 'pg_twophase', '0'.repeat(Math.max(...majors()) >= 17 ? 16 : 8)), () => ['transcode', at('data'), '--lake', at('new')]],
  ['CLOG', () => at('data', 'pg_xact/0000'), () => ['inspect', 'relations', at('data')], () => ['replay', at('data'), '--out', at('new')]],
  ['backup_label', () => at('data', 'backup_label'), () => ['replay', at('data'), '--out', at('new')]],
  ['tablespace_map', () => at('data', 'tablespace_map'), () => ['replay', at('data'), '--out', at('new')]],
  [
    'relation file', () => heapFile(at('data'), 'postgres', 'public.t'), () => ['transcode', at('data'), '--lake', at('new'), '--table', 'public.t'],
    () => ['inspect', 'table', at('data'), 'public.t'], () => ['inspect', 'page', heap], () => ['replay', at('data'), '--out', at('new')],
  ],
  ['second segment', () => `${heap}.1`, () => ['transcode', at('data'), '--lake', at('new'), '--table', 'public.t']],
  ['format of a lake', () => at('lake/ltap/format.json'), () => ['verify', '--lake', at('lake')], () => ['query', '--lake', at('lake'), 'SELECT 1']],
  ['Parquet file', () => at('lake', layerFile.key), () => ['query', '--lake', at('lake'), 'FROM t'], () => ['rebuild', '--lake', at('lake'), '--pgdata', at('data'), '--force']],
  ['part of a state', () => at('lake/ltap/parts', readdirSync(at('lake/ltap/parts')).sort()[0]!), () => ['verify', '--lake', at('lake')]],
  ['ltap.json', () => at('oldlake', 'ltap.json'), () => ['verify', '--lake', at('oldlake')], () => ['query', '--lake', at('oldlake'), 'SELECT 1']],
  ['Parquet file of format 1', () => at('oldlake', oldFile.path), () => ['query', '--lake', at('oldlake'), 'FROM t'],
    () => ['rebuild', '--lake', at('oldlake'), '--pgdata', at('data'), '--force']],
  ['list of hidden rows', () => at('oldlake', oldFile.hidden!.path), () => ['query', '--lake', at('oldlake'), 'FROM t']],
  ['state of a page store', () => at('store', 'ltap/state'), () => ['transcode', at('store'), '--lake', at('new')], () => ['replay', at('data'), '--out', at('store')]],
  ['journal', () => at('store', 'ltap/journal'), () => ['replay', at('data'), '--out', at('store')]],
]
let heap: string

const KINDS: readonly [kind: string, message: RegExp, make: (path: string) => unknown][] = [
  ['FIFO', /: file\.kind: a FIFO \(named pipe\) where a file is expected; ltap reads regular files only/, (path) => execFileSync('mkfifo', [path])],
  ['device', /: file\.kind: a device where a file is expected/, (path) => symlinkSync('/dev/zero', path)],
  ['folder', /: file\.error: a folder where a file is expected/, (path) => mkdirSync(path)],
]

function run(argv: readonly string[]): { code: number | null; stderr: string; signal: string | null } {
  rmSync(at('new'), { recursive: true, force: true })
  const { status, stderr, signal } = spawnSync(process.execPath, [PROGRAM, ...argv], { encoding: 'utf8', timeout: WATCHDOG_MS, killSignal: 'SIGKILL' })
  return { code: status, stderr, signal }
}

test.each(CASES)('%s', (what, file, ...commands) => {
  heap ??= heapFile(at('data'), 'postgres', 'public.t')
  mkdirSync(at('gz'), { recursive: true })
  writeFileSync(at('gz', `${segment()}.gz`), gzipSync(readFileSync(at('wal', segment()))))
  const path = file()
  const argvs = commands.map((command) => command())
  const aside = `${root}-aside`
  const original = existsSync(path)
  if (original) renameSync(path, aside)
  try {
    for (const [kind, message, make] of KINDS) {
      // A folder may be named where a segment may be.
      if (kind === 'folder' && what === 'WAL segment by name') continue
      make(path)
      for (const argv of argvs) {
        const { code, stderr, signal } = run(argv)
        expect({ code, signal, lines: stderr.trimEnd().split('\n').length }, `${kind} as ${what}: ${argv.join(' ')}: ${stderr}`).toEqual({ code: 3, signal: null, lines: 1 })
        // A folder of objects follows no link.
        const expected = kind === 'device' && path.startsWith(at('lake/')) ? /: file\.link: a symbolic link/ : message
        expect(stderr, `${kind} as ${what}: ${argv.join(' ')}`).toMatch(expected)
        expect(stderr).toContain(path)
      }
      rmSync(path, { recursive: true })
    }
  } finally {
    rmSync(path, { recursive: true, force: true })
    if (original) renameSync(aside, path)
  }
})

test('a socket as WAL segment', async () => {
  const path = at('gz', `${segment().slice(0, 23)}F`)
  const server = createServer().listen(path)
  await new Promise((done) => server.on('listening', done))
  try {
    const { code, stderr } = run(['inspect', 'wal', path])
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringMatching(/file\.kind: a socket or a device where a file is expected/) as string })
  } finally {
    server.close()
  }
})
