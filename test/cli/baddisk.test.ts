/**
 * A disk that reports EIO, for real (test/support/baddisk.ts): what each verb says that reads or writes there, what it leaves, and what `--on-corrupt carry`
 * gives of a data directory on such a disk. One file lies on it, bound over the file of the same name.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { BEHIND_IT, onBadDisk, whyNoBadDisk } from '../support/baddisk.ts'
import { heapFile } from '../support/badinput.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { amount, drawn } from '../support/scope.ts'

const PROGRAM = join(resolve(import.meta.dirname, '../..'), 'dist/cli/main.js')
const WHY_NOT = whyNoBadDisk()
if (WHY_NOT !== undefined) console.warn(`SKIPPED: a disk with EIO: none can be made on this machine: ${WHY_NOT}`)

const ROWS = 20_000
const EIO = 'file\\.error: the disk reports an error in reading or writing \\(EIO\\); see the system log, and copy what can still be read'

let folder: string
let cluster: PostgresServer
let data: string
let lake: string
let place = 0
/** Data directory, relative. */
const files: Record<'heap' | 'toast' | 'class' | 'map' | 'control' | 'clog' | 'wal', string> = {
  heap: '', toast: '', class: '', map: '', control: 'global/pg_control', clog: 'pg_xact/0000', wal: '',
}

beforeAll(async () => {
  if (WHY_NOT !== undefined) return
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ltap-baddisk-')))
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.script(`CREATE TABLE other (a int); INSERT INTO other VALUES (7);
    CREATE TABLE t AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS v FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE big (id int, v text); ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
    INSERT INTO big SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 200) i; SELECT count(*) FROM t; SELECT count(*) FROM big; CHECKPOINT`)
  files.toast = await sql.value("SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'big'") ?? ''
  files.class = await sql.value("SELECT pg_relation_filepath('pg_class')") ?? ''
  files.wal = `pg_wal/${await sql.value('SELECT pg_walfile_name(pg_current_wal_lsn())')}`
  await closeSessions(cluster)
  await cluster.stop()
  data = cluster.dataDir
  files.heap = heapFile(data, 'postgres', 'public.t').slice(data.length + 1)
  files.map = join(files.heap, '../pg_filenode.map')
  lake = join(folder, 'lake')
  expect(ltap('transcode', data, '--lake', lake, ...TABLES, '--compression', 'none').status).toBe(0)
})

afterAll(async () => {
  await cluster?.remove()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  status: number | null
  stdout: string
  stderr: string
}

function spawned(command: readonly string[], env: Record<string, string> = {}): Ran {
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 28 })
  return { status, stdout: stdout.replace(/^left: lost\+found\n/m, ''), stderr: stderr.replace(/^(?:transcode|replay|verify|rebuild): \d.*\n/gm, '') }
}

function ltap(...args: string[]): Ran {
  return spawned([process.execPath, PROGRAM, ...args])
}

function newFolder(): string {
  const made = join(folder, `case${place++}`)
  mkdirSync(made)
  return made
}

/** Runs ltap while `file` lies on a disk that does not give it from its 4 KiB block `skip` on. */
function withBad(file: string, skip: number, args: readonly string[]): Ran {
  const at = newFolder()
  // In one piece: the blocks are there before they are written.
  const fill = `fallocate -l $(stat -c %s '${file}') file; dd if='${file}' of=file bs=1M conv=notrunc status=none; chown --reference='${file}' file; chmod 600 file`
  const bound = ['sh', '-c', 'mount --bind "$1" "$2" && shift 2 && exec "$@"', 'sh', join(at, 'file'), file, process.execPath, PROGRAM, ...args]
  const ran = spawned(onBadDisk({ at, fill, bad: 'file', skip }, bound))
  return { ...ran, stdout: ran.stdout.replace(/^left: file\n/m, '') }
}

/** Runs ltap with an empty folder on a disk that takes a few blocks at most. */
function ontoBad(args: (disk: string) => string[], env: (disk: string) => Record<string, string> = () => ({})): Ran & { left: string[] } {
  const at = newFolder()
  const ran = spawned(onBadDisk({ at, fill: 'echo sound > file', bad: 'file', skip: BEHIND_IT }, [process.execPath, PROGRAM, ...args(at)]), env(at))
  const left = [...ran.stdout.matchAll(/^left: (.*)$/gm)].map(([, name]) => name!).filter((name) => name !== 'file')
  return { ...ran, stdout: ran.stdout.replace(/^left: .*\n/gm, ''), left }
}

const TABLES = ['--database', 'postgres', '--table', 'public.t', '--table', 'public.big', '--table', 'public.other']
const TABLE = ['--database', 'postgres', '--table', 'public.t']
const oneLine = (text: string): unknown => expect.stringMatching(new RegExp(`^ltap: ${text}[^\\n]*\\n$`))

const READING: readonly [what: string, file: () => string, skip: number, args: (out: string) => string[], line?: string][] = [
  ['transcode, a heap', () => join(data, files.heap), 200, (out) => ['transcode', data, '--lake', join(out, 'lake'), ...TABLE]],
  ['verify, a heap', () => join(data, files.heap), 200, () => ['verify', data, '--lake', lake]],
  ['replay, a heap', () => join(data, files.heap), 200, (out) => ['replay', data, '--out', join(out, 'replayed')]],
  ['inspect page', () => join(data, files.heap), 200, () => ['inspect', 'page', join(data, files.heap), '--block', '150']],
  ['inspect history', () => join(data, files.heap), 200, () => ['inspect', 'history', data, 'public.t']],
  ['inspect relations, pg_class', () => join(data, files.class), 4, () => ['inspect', 'relations', data]],
  ['transcode, pg_control', () => join(data, files.control), 0, (out) => ['transcode', data, '--lake', join(out, 'lake'), ...TABLE]],
  ['transcode of a replay, WAL', () => join(data, files.wal), 2, (out) => ['transcode', data, '--to', 'latest', '--lake', join(out, 'lake'), ...TABLE]],
  ['inspect wal', () => join(data, files.wal), 2, () => ['inspect', 'wal', join(data, files.wal), '--stats', 'record']],
  ['verify of the lake alone', () => parquet(), 100, () => ['verify', '--lake', lake]],
  ['query', () => parquet(), 100, () => ['query', '--lake', lake, 'SELECT count(*), max(v) FROM t']],
  ['query, the format', () => join(lake, 'ltap/format.json'), 0, () => ['query', '--lake', lake, 'SELECT count(*) FROM t']],
  ['rebuild, the lake', () => parquet(), 100, (out) => ['rebuild', '--lake', lake, '--pgdata', copyOf(out), ...TABLE], `${EIO}; nothing was overwritten`],
]

const WRITING: readonly [what: string, args: (disk: string) => string[], env?: (disk: string) => Record<string, string>][] = [
  ['transcode', (disk) => ['transcode', data, '--lake', join(disk, 'lake'), ...TABLE, '--compression', 'none']],
  ['transcode of a replay', (disk) => ['transcode', data, '--to', 'latest', '--lake', join(disk, 'lake'), ...TABLE]],
  ['replay', (disk) => ['replay', data, '--out', join(disk, 'replayed')]],
  ['inspect history, its temporary folder', () => ['inspect', 'history', data, 'public.t'], (disk) => ({ TMPDIR: disk })],
]

function parquet(): string {
  const name = readdirSync(lake, { recursive: true, encoding: 'utf8' }).find((path) => /public\.t-.*\.layer$/.test(path))!
  return join(lake, name)
}

function copyOf(out: string): string {
  const copy = join(out, 'copy')
  cpSync(data, copy, { recursive: true })
  return copy
}

describe.skipIf(WHY_NOT !== undefined)('a disk that reports EIO', () => {
  test.each(drawn(READING, amount({ quick: 3, sample: 13, all: 13 }), 'reads from a bad disk'))('in reading: %s', (_what, file, skip, args, line = EIO) => {
    const out = newFolder()
    expect(withBad(file(), skip, args(out))).toEqual({ status: 3, stdout: '', stderr: oneLine(line) })
    expect(readdirSync(out).filter((name) => name !== 'copy')).toEqual([])
  })

  test.each(drawn(WRITING, amount({ quick: 1, sample: 4, all: 4 }), 'writes to a bad disk'))('in writing: %s', (_what, args, env) => {
    expect(ontoBad(args, env)).toEqual({ status: 3, stdout: '', stderr: oneLine(EIO), left: [] })
  })

  test('in reading: WAL of a replay, which goes on from where it was once the file is there', () => {
    const args = ['replay', data, '--out', join(newFolder(), 'replayed')]
    expect(withBad(join(data, files.wal), 2, args)).toEqual({ status: 3, stdout: '', stderr: oneLine(EIO) })
    expect(ltap(...args)).toMatchObject({ status: 0, stderr: '' })
  })

  test('in writing: rebuild, which says that the copy is half overwritten', () => {
    const copy = copyOf(newFolder())
    expect(withBad(join(copy, files.heap), 100, ['rebuild', '--lake', lake, '--pgdata', copy, ...TABLE])).toEqual({
      status: 3, stdout: '', stderr: oneLine(`${EIO}; the data directory is half overwritten: start no server on it, make a new copy`),
    })
  })

  test('carry: a table of which a block is lost is not read, all others are, and inspect table gives its other rows', async () => {
    const out = newFolder()
    const heap = join(data, files.heap)
    const made = withBad(heap, 200, ['transcode', data, '--lake', join(out, 'lake'), ...TABLES, '--on-corrupt', 'carry'])
    expect({ status: made.status, stdout: made.stdout }).toEqual({
      status: 0, stdout: expect.stringMatching(/^relation not read: postgres\.public\.t: relation\.unreadable: the disk does not give this block \(EIO\); .*\(file .*, relation postgres\.public\.t\)$/m),
    })
    const { manifest } = await NewestState.read(join(out, 'lake'))
    expect(manifest.notRead).toMatchObject([{ name: 't', why: 'damaged' }])
    const { manifest: whole } = await NewestState.read(lake)
    expect(manifest.relations.map(({ name }) => name)).toEqual(whole.relations.map(({ name }) => name).filter((name) => name !== 't'))
    expect(readdirSync(join(out, 'lake'), { recursive: true, encoding: 'utf8' }).filter((path) => /\/public\.t-.*\./.test(path))).toEqual([])
    expect(ltap('verify', '--lake', join(out, 'lake')).status).toBe(0)

    const rows = withBad(heap, 200, ['inspect', 'table', data, 'public.t', '--format', 'csv', '--on-corrupt', 'carry'])
    expect(rows.status).toBe(3)
    // The disk gives all before block 100; Linux may lose what else is in the same piece of its cache (a large folio, 256 KiB at most for such a read).
    const lost = Number(/^ltap: relation\.unreadable: .*\(relation postgres\.public\.t, block (\d+), file /.exec(rows.stderr)?.[1])
    expect(lost).toBeGreaterThan(100 - 32)
    expect(lost).toBeLessThanOrEqual(100)
    // Pages are filled one after the other: those of the blocks before are there, each whole.
    const given = rows.stdout.trim().split('\n').slice(1)
    const expected = ltap('inspect', 'table', data, 'public.t', '--format', 'csv').stdout.trim().split('\n').slice(1).filter((line) => Number(/^"\((\d+),/.exec(line)![1]) < lost)
    expect(given.length).toBeGreaterThan(5000)
    expect(given).toEqual(expected)
    expect(withBad(heap, 200, ['inspect', 'file', heap, '--columns', 'id int, v text', '--format', 'csv']).stdout.trim().split('\n').slice(1)).toEqual(expected)
  })

  test('carry: lost blocks of a TOAST relation cost the values that are in them', () => {
    const out = newFolder()
    const made = withBad(join(data, files.toast), 200, ['transcode', data, '--lake', join(out, 'lake'), '--database', 'postgres', '--on-corrupt', 'carry', '--table', 'public.big'])
    expect(made.status).toBe(0)
    const { stdout } = ltap('query', '--lake', join(out, 'lake'), '--format', 'csv', 'SELECT id, v, _overflow.v FROM big ORDER BY id')
    const found = stdout.trim().split('\n').slice(1).map((line) => line.split(','))
    expect(found).toHaveLength(200)
    const lost = found.filter(([, v]) => v === '')
    expect(lost.length).toBeGreaterThan(50)
    expect(lost.length).toBeLessThan(150)
    const whole = ltap('query', '--lake', lake, '--format', 'csv', 'SELECT id, v FROM big ORDER BY id').stdout.trim().split('\n').slice(1)
    for (const [i, [id, v, overflow]] of found.entries()) expect(v === '' ? overflow : `${id},${v}`).toEqual(v === '' ? expect.stringMatching(/./) : whole[i])
    expect(made.stdout).toContain(`values not shown: postgres.public.big: ${lost.length} with missing TOAST chunks`)
  })

  test.each(drawn(['map', 'control', 'clog', 'class'] as const, amount({ quick: 1, sample: 4, all: 4 }), 'lost files'))('carry: what a lost file would say is guessed or found elsewhere: %s', (name) => {
    const out = newFolder()
    const made = withBad(join(data, files[name]), name === 'class' ? 1e6 : 0, ['transcode', data, '--lake', join(out, 'lake'), '--on-corrupt', 'carry', ...TABLE])
    expect({ status: made.status, stderr: made.stderr }).toEqual({ status: 0, stderr: '' })
    if (name !== 'class') expect(made.stdout).toMatch(/^damaged: .*(?:cannot be read|EIO)/m)
    expect(ltap('query', '--lake', join(out, 'lake'), '--format', 'csv', 'SELECT count(*) FROM t').stdout).toBe(`count_star()\n${ROWS}\n`)
  })

  test('carry: what the lake does not get of the cluster is said by the commit of a planned job, too', () => {
    const planned = withBad(join(data, files.control), 0, ['transcode', data, '--lake', join(newFolder(), 'lake'), '--on-corrupt', 'carry', '--plan', ...TABLE])
    expect(planned.status, planned.stderr).toBe(0)
    const piped = (input: string, ...args: string[]): string => spawnSync(process.execPath, [PROGRAM, ...args], { input, encoding: 'utf8' }).stdout
    const { damage } = JSON.parse(piped(piped(planned.stdout, 'work', '--workers', '1'), 'commit', '--json')) as { damage: string[] }
    expect(damage).toHaveLength(2)
    expect(damage).toContainEqual(expect.stringMatching(/^the file global\/pg_control cannot be read, and the lake does not have it: /))
  })

  test('nothing of it is left', () => {
    expect(spawnSync('losetup', ['-a'], { encoding: 'utf8' }).stdout).not.toMatch(/memfd:disk/)
    expect(existsSync(join(folder, 'case0/file'))).toBe(false)
  })
})
