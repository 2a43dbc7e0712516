/** `ltap replay`, and --wal, --to, --timeline, --work of transcode and verify: what they say, exit codes, going on, every refusal. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pageChecksum } from '../../src/page/checksum.ts'
import { parseLsn } from '../../src/common/ids.ts'
import { parseTarget } from '../../src/cli/replaytarget.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../support/oracle.ts'
import { ltap, type Ran } from './streams.ts'

const SEGMENT_SIZE = 1 << 20
/** The WAL has some segments. */
const CLUSTER = {
  initdbArgs: ['--wal-segsize=1', '--data-checksums'],
  settings: { full_page_writes: 'off', wal_keep_size: '200MB', min_wal_size: '2MB', max_wal_size: '200MB', checkpoint_timeout: '1h' },
}

interface Point {
  lsn: string
  time: string
  rows: number
}

/** Folders that one server left, all in `root`. */
interface Made {
  root: string
  /** Its WAL, from before the clean copy on. */
  wal: string
  /** Cold copy. */
  clean: string
  /** Plain base backup without WAL, and where it ends. */
  backup: string
  backupEnd: string
  backupStart: string
  /** After kill -9, with its pg_wal. */
  crashed: string
  /** Path of the table's file. */
  path: string
  /** Ascending, after the clean copy; the third is after the backup. */
  points: Point[]
}

async function make(major: number, root: string): Promise<Made> {
  const at = (name: string): string => join(root, name)
  return withCluster(major, CLUSTER, async (cluster, sql) => {
    await sql.script('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i; VACUUM t')
    const path = (await sql.value("SELECT pg_relation_filepath('t')"))!
    await closeSessions(cluster)
    await cluster.stop()
    await cluster.copyDataDir(at('clean'))
    await cluster.start()
    // The copy is of a whole second, as pg_control says it.
    await (await connect(cluster)).exec('SELECT pg_sleep(1)')
    const points = [await grow(cluster), await grow(cluster)]
    const { start, end } = await backUp(cluster, at('backup'))
    points.push(await grow(cluster), await grow(cluster))
    await cluster.kill()
    await closeSessions(cluster)
    await cluster.copyDataDir(at('crashed'))
    cpSync(join(at('crashed'), 'pg_wal'), at('wal'), { recursive: true })
    return { root, wal: at('wal'), clean: at('clean'), backup: at('backup'), backupStart: start, backupEnd: end, crashed: at('crashed'), path, points }
  })
}

/** Changes the table, and makes a segment of WAL. @returns the point after it, further from the next than the clock's grain */
async function grow(cluster: PostgresServer): Promise<Point> {
  const sql = await connect(cluster)
  await sql.exec("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series((SELECT max(id) + 1 FROM t), (SELECT max(id) + 1000 FROM t)) i")
  await sql.exec('DELETE FROM t WHERE id % 10 = (SELECT max(id) / 1000 FROM t) % 10')
  await sql.exec('SELECT pg_sleep(0.02)')
  const [row] = await sql.rows('SELECT pg_current_wal_insert_lsn(), clock_timestamp(), (SELECT count(*) FROM t)')
  await sql.exec('SELECT pg_sleep(0.02)')
  await sql.close()
  return { lsn: row![0]!, time: row![1]!, rows: Number(row![2]) }
}

async function backUp(cluster: PostgresServer, to: string): Promise<{ start: string; end: string }> {
  const sql = await connect(cluster)
  const [begin, stop] = cluster.major === 14 ? ["pg_start_backup('b', true, false)", 'pg_stop_backup(false, false)'] : ["pg_backup_start('b', true)", 'pg_backup_stop(false)']
  await sql.exec(`SELECT ${begin}`)
  cpSync(cluster.dataDir, to, { recursive: true, filter: (name) => !/postmaster\.(pid|opts)$|pg_wal\//.test(name) })
  await sql.exec('INSERT INTO t VALUES (-1, NULL); DELETE FROM t WHERE id = -1')
  const [row] = await sql.rows(`SELECT * FROM ${stop}`)
  writeFileSync(join(to, 'backup_label'), row![1]!)
  return { start: /START WAL LOCATION: (\S+)/.exec(row![1]!)![1]!, end: row![0]! }
}

/** One line that begins with this, and nothing on stdout. */
function expectFailure({ code, stdout, stderr }: Ran, message: RegExp, expectedCode = 3): void {
  expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: expectedCode, stdout: '', lines: 2 })
  expect(stderr).toMatch(message)
  expect(stderr).not.toMatch(/bug in ltap/)
}

/** Little here depends on the major. */
describe.each(fewerMajors('majors of the verb replay'))('Postgres %i', (major) => {
  let made: Made
  let root: string
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'ltap-cli-replay-'))
    made = await make(major, root)
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  let folders = 0
  const fresh = (): string => join(root, `new-${++folders}`)

  async function rowsOf(lake: string): Promise<number> {
    const { code, stdout, stderr } = await ltap(['query', '--lake', lake, 'SELECT count(*) AS n FROM t', '--format', 'csv'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return Number(stdout.split('\n')[1])
  }

  /** Transcodes what replay left. */
  async function rowsIn(replayed: string): Promise<number> {
    const lake = fresh()
    expect(await ltap(['transcode', replayed, '--lake', lake, '--table', 'public.t', '--workers', '1'])).toMatchObject({ code: 0 })
    expect(await ltap(['verify', replayed, '--lake', lake, '--workers', '1'])).toMatchObject({ code: 0 })
    return rowsOf(lake)
  }

  test('replay to an LSN, on to the next ones, and to the end', async () => {
    const { clean, wal, points } = made
    const out = fresh()
    let before = 0n
    for (const [i, { lsn, rows }] of points.slice(0, 2).entries()) {
      const { code, stdout } = await ltap(['replay', clean, '--wal', wal, '--to', lsn, '--out', out, '--json'])
      const report = JSON.parse(stdout) as { lsn: string; from: string; resumed: boolean; end: string; records: number; walBytes: number }
      expect({ code, ...report }).toMatchObject({ code: 0, major, timeline: 1, resumed: i > 0, end: 'the target is reached' })
      expect(parseLsn(report.lsn)).toBeLessThanOrEqual(parseLsn(lsn)!)
      expect(parseLsn(report.from)! >= before).toBe(true)
      before = parseLsn(report.lsn)!
      expect(report.records).toBeGreaterThan(1000)
      expect(report.walBytes).toBe(Number(before - parseLsn(report.from)!))
      expect(await rowsIn(out)).toBe(rows)
    }
    const { code, stdout } = await ltap(['replay', clean, '--wal', wal, '--out', out])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^Postgres ${major} at [0-9A-F]+/[0-9A-F]+ is in .*\n`))
    expect(stdout).toMatch(/replayed +[\d,.]+ records, .* of WAL from .*, where an earlier run ended/)
    expect(await rowsIn(out)).toBe(points.at(-1)!.rows)
    // There is nothing more.
    expect((await ltap(['replay', clean, '--wal', wal, '--out', out])).stdout).toMatch(/replayed +0 records/)
    expectFailure(await ltap(['replay', clean, '--wal', wal, '--to', points[0]!.lsn, '--out', out]), /^ltap: replay.past: .*replay into another folder/)
    expectFailure(await ltap(['replay', clean, '--wal', wal, '--to', points[0]!.time, '--out', out]), /^ltap: replay.past: .*replay into another folder/)
  })

  test('a time; the end of a crash; a backup without WAL of its own', async () => {
    const { clean, wal, points, crashed, backup } = made
    const noon = fresh()
    expect(await ltap(['replay', clean, '--wal', wal, '--to', points[1]!.time, '--out', noon])).toMatchObject({ code: 0 })
    expect(await rowsIn(noon)).toBe(points[1]!.rows)
    const now = fresh()
    expect(await ltap(['replay', crashed, '--out', now])).toMatchObject({ code: 0 })
    expect(await rowsIn(now)).toBe(points.at(-1)!.rows)
    const restored = fresh()
    expect(await ltap(['replay', backup, '--wal', wal, '--to', points[2]!.lsn, '--out', restored, '--cache', '8'])).toMatchObject({ code: 0 })
    expect(await rowsIn(restored)).toBe(points[2]!.rows)
  })

  test('tar files, with the WAL beside them or without', async () => {
    const { wal, points, backup } = made
    const tars = fresh()
    mkdirSync(tars)
    const tar = (file: string, dir: string, ...options: string[]): Buffer => execFileSync('tar', ['-C', dir, ...options, '-cf', join(tars, file), ...readdirSync(dir)])
    tar('base.tar.gz', backup, '-z')
    const out = fresh()
    expectFailure(await ltap(['replay', tars, '--out', out]), /^ltap: replay.wal: .*--wal/)
    expect(existsSync(out)).toBe(false)
    expect(await ltap(['replay', tars, '--out', out, '--wal', wal, '--to', points[2]!.lsn])).toMatchObject({ code: 0 })
    expect(await rowsIn(out)).toBe(points[2]!.rows)
    tar('pg_wal.tar', wal)
    const lake = fresh()
    expect(await ltap(['transcode', tars, '--to', 'latest', '--lake', lake, '--table', 'public.t', '--workers', '1'])).toMatchObject({ code: 0 })
    expect(await rowsOf(lake)).toBe(points.at(-1)!.rows)
    // The WAL that came with it is kept, to go on with.
    const again = fresh()
    expect(await ltap(['replay', tars, '--out', again, '--to', points[2]!.lsn])).toMatchObject({ code: 0 })
    expect((await ltap(['replay', tars, '--out', again])).stdout).toMatch(/where an earlier run ended/)
    expect(await rowsIn(again)).toBe(points.at(-1)!.rows)
  })

  test('no --wal: a directory that was shut down needs no WAL at all, a backup may have it inside', async () => {
    const { clean, backup, wal, points } = made
    for (const keepsFolder of [false, true]) {
      const bare = fresh()
      cpSync(clean, bare, { recursive: true, filter: (name) => !/pg_wal\/./.test(name) })
      if (!keepsFolder) rmSync(join(bare, 'pg_wal'), { recursive: true })
      const out = fresh()
      for (const again of [false, true]) {
        const { code, stdout } = await ltap(['replay', bare, '--out', out, '--json'])
        const end = 'there is no WAL, and none is needed: the server was shut down'
        expect({ code, ...JSON.parse(stdout) as object }).toMatchObject({ code: 0, records: 0, walBytes: 0, resumed: again, end })
      }
      if (keepsFolder) continue
      expect(await rowsIn(out)).toBe(1000)
      expectFailure(await ltap(['replay', bare, '--to', points[0]!.lsn, '--out', fresh()]), /^ltap: replay.target: the WAL ends at .*, before the target/)
      // From there on it goes with the WAL, as if it had been there at once.
      expect(await ltap(['replay', bare, '--wal', wal, '--out', out])).toMatchObject({ code: 0 })
      expect(await rowsIn(out)).toBe(points.at(-1)!.rows)
    }
    const inside = fresh()
    cpSync(backup, inside, { recursive: true })
    cpSync(wal, join(inside, 'pg_wal'), { recursive: true })
    const out = fresh()
    expect(await ltap(['replay', inside, '--out', out])).toMatchObject({ code: 0 })
    expect(await rowsIn(out)).toBe(points.at(-1)!.rows)
  })

  test('transcode and verify replay first', async () => {
    const { clean, wal, points, crashed, backup } = made
    const [lake, work] = [fresh(), fresh()]
    const here = readdirSync(root)
    const options = ['--lake', lake, '--workers', '1']
    expect(await ltap(['transcode', clean, '--wal', wal, '--to', points[0]!.lsn, '--table', 'public.t', ...options])).toMatchObject({ code: 0 })
    expect(await rowsOf(lake)).toBe(points[0]!.rows)
    // Default target: the LSN of the lake.
    expect(await ltap(['verify', clean, '--wal', wal, ...options])).toMatchObject({ code: 0 })
    const kept = await ltap(['verify', clean, '--wal', wal, '--work', work, ...options, '--json'])
    expect({ code: kept.code, report: JSON.parse(kept.stdout) as unknown }).toMatchObject({ code: 0, report: { equal: true, comparedWith: clean, forensic: { hintContradictions: 0 } } })
    // The temporary folders are gone.
    expect(readdirSync(root).filter((name) => !here.includes(name)).map((name) => join(root, name)).sort()).toEqual([lake, work].sort())
    expect(await ltap(['verify', work, ...options])).toMatchObject({ code: 0 })
    expectFailure(await ltap(['verify', clean, '--wal', wal, '--to', points[1]!.lsn, ...options]), /^ltap: lake\./)
    expectFailure(await ltap(['verify', backup, '--wal', wal, ...options]), /^ltap: replay.past/)

    const [late, end] = [fresh(), fresh()]
    expect(await ltap(['transcode', backup, '--wal', wal, '--to', points[2]!.time, '--lake', late, '--workers', '1', '--table', 'public.t'])).toMatchObject({ code: 0 })
    expect(await rowsOf(late)).toBe(points[2]!.rows)
    expect(await ltap(['verify', backup, '--wal', wal, '--lake', late, '--workers', '1'])).toMatchObject({ code: 0 })
    expectFailure(await ltap(['transcode', crashed, '--lake', end]), /^ltap: datadir.state: .*--wal/)
    expect(await ltap(['transcode', crashed, '--to', 'latest', '--lake', end, '--workers', '1', '--table', 'public.t'])).toMatchObject({ code: 0 })
    expect(await rowsOf(end)).toBe(points.at(-1)!.rows)
  })

  test('what the archive lacks is taken from its own pg_wal, as a server does', async () => {
    const { clean, wal, points, crashed } = made
    const archive = fresh()
    cpSync(wal, archive, { recursive: true, filter: (name) => !/[0-9A-F]{24}$/.test(name) || name.slice(-24) < segmentName(points[2]!.lsn) })
    const out = fresh()
    expect(await ltap(['replay', crashed, '--wal', archive, '--out', out])).toMatchObject({ code: 0 })
    expect(await rowsIn(out)).toBe(points.at(-1)!.rows)
    // The checkpoint of a clean directory, whose segment is not in the archive yet; then the archive has it.
    const old = fresh()
    mkdirSync(old)
    const [first] = readdirSync(join(clean, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name))
    const before = `${first!.slice(0, 16)}${(Number.parseInt(first!.slice(16), 16) - 1).toString(16).toUpperCase().padStart(8, '0')}`
    cpSync(join(clean, 'pg_wal', first!), join(old, before))
    const again = fresh()
    expect((await ltap(['replay', clean, '--wal', old, '--out', again])).stdout).toMatch(/replayed +1 records/)
    expect(await ltap(['replay', clean, '--wal', wal, '--to', points[1]!.lsn, '--out', again])).toMatchObject({ code: 0 })
    expect(await rowsIn(again)).toBe(points[1]!.rows)
  })

  test('refusals leave nothing that is half done', async () => {
    const { clean, wal, points, crashed, backup, backupStart, backupEnd } = made
    const fails = async (message: RegExp, source: string, ...options: string[]): Promise<string> => {
      const out = fresh()
      expectFailure(await ltap(['replay', source, '--out', out, ...options]), message)
      return out
    }
    const late = await fails(/^ltap: replay.target: the WAL ends at .*, before the target FF\/0/, clean, '--wal', wal, '--to', 'FF/0')
    // What was reached is kept, and that is said.
    expectFailure(await ltap(['replay', clean, '--wal', wal, '--to', 'FF/0', '--out', late]), /; .* is replayed as far as this WAL goes, .*goes on from there/)
    expect((await ltap(['replay', clean, '--wal', wal, '--out', late])).stdout).toMatch(/replayed +0 records/)
    await fails(/^ltap: replay.past: .*take a copy or a base backup that is older/, clean, '--wal', wal, '--to', '0/1000')
    await fails(/^ltap: replay.past: .*take a copy or a base backup that is older/, clean, '--wal', wal, '--to', '2020-01-01')
    // pg_control says the checkpoint's time in seconds.
    const { stdout } = await ltap(['inspect', 'control', clean, '--json'])
    const second = (JSON.parse(stdout) as Record<string, string>)['Time of latest checkpoint']!.replace(' UTC', '').replace(' ', 'T')
    const past = new RegExp(`^ltap: replay.past: the pages are those of [0-9A-F/]+ and some moment in the second that begins at ${second}Z; ${second}.500Z is before that; `)
    await fails(past, clean, '--wal', wal, '--to', `${second}.5Z`)
    await fails(/^ltap: replay.inconsistent: .*as new as/, crashed, '--to', points[2]!.lsn)
    // Without the backup's own pg_wal the position is not known.
    const bare = fresh()
    cpSync(crashed, bare, { recursive: true, filter: (name) => !name.endsWith('pg_wal') })
    await fails(/^ltap: replay.wal: the server crashed/, bare, '--wal', wal)
    await fails(/^ltap: replay.target: .*--to latest is the end of the WAL/, clean, '--wal', wal, '--to', '2200-01-01')
    await fails(/^ltap: datadir.replayed/, late, '--wal', wal)
    const early = await fails(/^ltap: replay.inconsistent: .*end of the backup that began/, backup, '--wal', wal, '--to', backupStart)
    await fails(/^ltap: replay.inconsistent: .*end of the backup that began/, backup, '--wal', wal, '--to', points[1]!.time)
    expectFailure(await ltap(['transcode', early, '--lake', fresh()]), /^ltap: replay.unfinished/)
    expect(await ltap(['replay', backup, '--wal', wal, '--to', backupEnd, '--out', early])).toMatchObject({ code: 0 })
    expect(await rowsIn(early)).toBe(points[1]!.rows)

    expect(existsSync(await fails(/^ltap: datadir.missing/, join(root, 'nowhere'), '--wal', wal))).toBe(false)
    expect(existsSync(await fails(/^ltap: (file|wal)\.[a-z-]+: .*nothing/, clean, '--wal', join(root, 'nothing')))).toBe(false)
    // A backup without WAL, and none is named.
    await fails(/^ltap: (replay.wal|wal.none)/, backup)
    expectFailure(await ltap(['replay', clean, '--wal', wal, '--out', clean]), /^ltap: pagestore.exists/)
    expect(existsSync(join(clean, 'PG_VERSION'))).toBe(true)
    await fails(/^ltap: replay.timeline: .*no ancestor of 7/, clean, '--wal', wal, '--timeline', '7')
  })

  test('WAL with a hole, damaged, of another cluster, of another timeline', async () => {
    const { clean, wal, points } = made
    const changed = (change: (name: string, bytes: Buffer, i: number) => Buffer | undefined): string => {
      const dir = fresh()
      mkdirSync(dir)
      const names = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort()
      for (const [i, name] of names.entries()) {
        const bytes = change(name, readFileSync(join(wal, name)), i)
        if (bytes !== undefined) writeFileSync(join(dir, name), bytes)
      }
      return dir
    }
    const last = points.at(-1)!.lsn
    const lost = segmentName(points[1]!.lsn)
    const out = fresh()
    const run = (dir: string, to = last): Promise<Ran> => ltap(['replay', clean, '--wal', dir, '--to', to, '--out', out])
    expectFailure(await run(changed((name, bytes) => (name === lost ? undefined : bytes))), new RegExp(`^ltap: wal.missing-segment: .*${lost}`))
    // In the middle of the records before the first point.
    const at = Number(parseLsn(points[0]!.lsn)!) - 50_000
    const hurt = segmentName(`0/${at.toString(16)}`)
    const damaged = changed((name, bytes) => (name === hurt ? bytes.fill(0x55, at % SEGMENT_SIZE, (at % SEGMENT_SIZE) + 100) : bytes))
    expectFailure(await run(damaged), new RegExp(`^ltap: wal\\..*${hurt}`))
    const another = changed((_, bytes) => bytes.fill(1, 24, 25))
    expectFailure(await run(another), /^ltap: wal.system/)
    // A fork of before the point that was reached.
    expect(await run(wal, points[2]!.lsn)).toMatchObject({ code: 0 })
    const fork = changed((_, bytes) => bytes)
    cpSync(join(fork, lost), join(fork, `00000002${lost.slice(8)}`))
    appendFileSync(join(fork, '00000002.history'), `1\t${points[1]!.lsn}\tno recovery target specified\n`)
    expectFailure(await run(fork), /^ltap: replay.timeline: .*--timeline/)
    expect(await ltap(['replay', clean, '--wal', fork, '--timeline', '1', '--to', last, '--out', out])).toMatchObject({ code: 0 })
    expect(await rowsIn(out)).toBe(points.at(-1)!.rows)
    const other = fresh()
    cpSync(clean, other, { recursive: true })
    const control = readFileSync(join(other, 'global/pg_control'))
    writeFileSync(join(other, 'global/pg_control'), control.fill(1, 0, 1))
    expectFailure(await ltap(['replay', other, '--wal', wal, '--out', out]), /^ltap: (control.crc|replay.system)/)
  })

  test('a record that does not fit its page is kept, with the page', async () => {
    const { clean, wal } = made
    const damaged = fresh()
    cpSync(clean, damaged, { recursive: true })
    const file = join(damaged, made.path)
    // A byte of a row; then line pointers of rows that are deleted later, under a checksum that is right.
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(bytes[8000]! ^ 1, 8000, 8001))
    expectFailure(await ltap(['replay', damaged, '--wal', wal, '--out', fresh()]), /^ltap: page.checksum: .*ltap\/failed-.*\.record.*block 0/)
    bytes.fill(0, 24, 24 + 4 * 20).writeUInt16LE(pageChecksum(new Uint8Array(bytes.subarray(0, 8192)), 0), 8)
    writeFileSync(file, bytes)
    const out = fresh()
    expectFailure(await ltap(['replay', damaged, '--wal', wal, '--out', out]), /^ltap: page.item: .*ltap\/failed-.*\.record, lsn .*block 0/)
    const kept = readdirSync(join(out, 'ltap')).filter((name) => name.startsWith('failed-')).map((name) => name.replace(/.*\./, ''))
    expect(kept).toEqual(expect.arrayContaining(['record', 'txt', 'block0']))
    // Without a folder to keep, only that is kept.
    const beside = fresh()
    const { code, stderr } = await ltap(['transcode', damaged, '--wal', wal, '--lake', join(beside, 'lake')])
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: page.item: /) as string })
    const [record] = /[^ ]*failed-[^ ]*\.record/.exec(stderr)!
    expect(existsSync(record)).toBe(true)
    expect(readdirSync(beside, { recursive: true }).filter((name) => !String(name).includes('failed-'))).toHaveLength(3)
  })

  test('a running server', () => withCluster(major, {}, async (cluster) => {
    const out = fresh()
    expectFailure(await ltap(['replay', cluster.dataDir, '--out', out]), /^ltap: datadir.running: .*pg_ctl stop/)
    expect(existsSync(out)).toBe(false)
    expectFailure(await ltap(['transcode', cluster.dataDir, '--to', 'latest', '--lake', join(out, 'lake')]), /^ltap: datadir.running/)
    expectFailure(await ltap(['replay', made.crashed, '--wal', join(cluster.dataDir, 'pg_wal'), '--out', out]), /^ltap: wal.system/)
    // The copy is of use: with the right WAL it goes on.
    expect(await ltap(['replay', made.crashed, '--out', out])).toMatchObject({ code: 0 })
  }))

  /** Name of the segment that holds this LSN; segments have 1 MiB. */
  function segmentName(lsn: string): string {
    const number = Math.floor(Number(parseLsn(lsn)!) / SEGMENT_SIZE)
    return `0000000100000000${number.toString(16).toUpperCase().padStart(8, '0')}`
  }
})

describe('usage', () => {
  test.each([
    [['replay', 'x', '--out', 'y', '--to', 'noon'], /^ltap: option '--to <point>' argument 'noon' is invalid. latest, an LSN such as/],
    [['replay', 'x', '--out', 'y', '--to', '2026-13-45'], /^ltap: option '--to <point>'/],
    [['replay', 'x', '--out', 'y', '--to', '2026-02-30 10:00Z'], /^ltap: option '--to <point>'/],
    [['replay', 'x', '--out', 'y', '--to', '16/'], /^ltap: option '--to <point>'/],
    [['replay', 'x', '--out', 'y', '--to', 'FFFFFFFF/0'], /^ltap: option '--to <point>'.*beyond/],
    [['transcode', 'x', '--lake', 'y', '--timeline', '0'], /^ltap: option '--timeline <number>'/],
    [['replay', 'x', '--out', 'y', '--cache', '1'], /^ltap: option '--cache <MB>'/],
    [['replay', 'x'], /^ltap: required option '--out <dir>'/],
  ])('%j', async (argv, message) => {
    expectFailure(await ltap(argv), message, 2)
  })

  test('times', () => {
    const noon = 823_262_400_000_000n
    expect(parseTarget('2026-02-01 12:00Z')).toEqual({ time: noon })
    for (const text of ['2026-02-01T12:00:00', '2026-02-01 12:00', '2026-02-01 14:00+02', '2026-02-01 06:30:00-0530', '2026-02-01 12:00:00.000000 UTC']) {
      expect(parseTarget(text), text).toEqual({ time: noon })
    }
    expect(parseTarget('2026-02-01 12:00:00.000001Z')).toEqual({ time: noon + 1n })
    expect(parseTarget('2026-02-01')).toEqual({ time: noon - 43_200_000_000n })
    expect(parseTarget('latest')).toEqual({})
    expect(parseTarget('16/B374D848')).toEqual({ lsn: 0x16b374d848 })
  })
})
