/** `ltap inspect wal` against pg_waldump where there is one, and by itself on all majors. */
import { execFile } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeSessions, fewerMajors, majors, type Session, withCluster } from '../support/oracle.ts'
import { pgWaldumps } from '../support/systempostgres.ts'
import { handleSignals } from '../../src/io/process/interruption.ts'
import { ltap, type Ran } from './streams.ts'

const SQL = `
  CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', i % 200) FROM generate_series(1, 3000) i;
  UPDATE t SET v = v || 'y' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; VACUUM t; CHECKPOINT; UPDATE t SET v = 'z' WHERE id % 50 = 0; VACUUM (FREEZE) t;
  SELECT pg_switch_wal(); CREATE INDEX ON t USING gin (to_tsvector('simple', v)); INSERT INTO t SELECT i, 'second segment' FROM generate_series(5000, 9000) i; CHECKPOINT`

interface Wal {
  dir: string
  /** Inside the first segment that has records of the test, and at the end of them. */
  start: string
  end: string
  relation: string
  xid: string
}

/** The WAL of a server that ran {@link SQL}, in a folder of its own. */
async function makeWal(major: number, dir: string): Promise<Wal> {
  return withCluster(major, { settings: { wal_keep_size: '1GB', wal_compression: 'on' } }, async (cluster, sql) => {
    const start = await sql.value('SELECT pg_current_wal_insert_lsn()')
    await sql.script(SQL)
    const end = await sql.value('SELECT pg_current_wal_flush_lsn()')
    const wal = { dir, start: start!, end: end!, relation: await relation(sql), xid: (await sql.value('SELECT min(xmin::text::int) FROM t'))! }
    await closeSessions(cluster)
    await cluster.stop()
    for (const name of readdirSync(join(cluster.dataDir, 'pg_wal'))) {
      if (/^[0-9A-F]{24}$/.test(name)) copyFileSync(join(cluster.dataDir, 'pg_wal', name), join(dir, name))
    }
    return wal
  })
}

async function relation(sql: Session): Promise<string> {
  return (await sql.value(`SELECT '1663/' || oid || '/' || pg_relation_filenode('t') FROM pg_database WHERE datname = current_database()`))!
}

const folders: string[] = []
function makeFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'ltap-wal-'))
  folders.push(dir)
  return dir
}
afterAll(() => folders.forEach((dir) => rmSync(dir, { recursive: true })))

const run = promisify(execFile)

describe.each(majors().length > 0 ? pgWaldumps() : [])('against pg_waldump %i', (major, program) => {
  let wal: Wal
  beforeAll(async () => {
    wal = await makeWal(major, makeFolder())
  })

  async function pgWaldump(...args: string[]): Promise<string> {
    const env = { ...process.env, TZ: 'UTC' }
    const ran = await run(program, args, { env, maxBuffer: 2 ** 30 }).catch((error: { stdout: string }) => error)
    return ran.stdout
  }

  const FILTERS: [string, string[], string[]][] = [
    ['all', [], []],
    ['--bkp-details', ['-b'], ['--bkp-details']],
    ['--rmgr', ['-r', 'heap', '-r', 'Btree'], ['--rmgr', 'heap', '--rmgr', 'Btree']],
    ['--fork', ['-F', 'vm'], ['--fork', 'vm']],
    ['--fullpage', ['-w'], ['--fullpage']],
    ['--limit', ['-n', '7'], ['--limit', '7']],
    ['--stats', ['-z'], ['--stats']],
    ['--stats record', ['--stats=record'], ['--stats', 'record']],
    ['--stats of what is filtered', ['-z', '-r', 'Heap2'], ['--stats', 'rmgr', '--rmgr', 'Heap2']],
    ['--stats of nothing', ['-z', '-x', '4000000'], ['--stats', '--xid', '4000000']],
  ]
  test.each(FILTERS)('%s', async (_name, theirs, ours) => {
    const expected = await pgWaldump('-p', wal.dir, '-s', wal.start, ...theirs)
    const { code, stdout } = await ltap(['inspect', 'wal', wal.dir, '--start', wal.start, ...ours])
    expect({ code, lines: stdout.split('\n') }).toEqual({ code: 0, lines: expected.split('\n') })
    expect(stdout === '').toBe(_name === '--stats of nothing')
  })

  test('--relation, --block, --xid', async () => {
    const expected = await pgWaldump('-p', wal.dir, '-s', wal.start, '-R', wal.relation, '-B', '3')
    expect((await ltap(['inspect', 'wal', wal.dir, '--start', wal.start, '--relation', wal.relation, '--block', '3'])).stdout).toBe(expected)
    expect(expected.split('\n').length).toBeGreaterThan(3)
    const ofXid = await pgWaldump('-p', wal.dir, '-s', wal.start, '-x', wal.xid)
    expect((await ltap(['inspect', 'wal', wal.dir, '--start', wal.start, '--xid', wal.xid])).stdout).toBe(ofXid)
    expect(ofXid).not.toBe('')
  })

  test('--start inside a record, at a page, --end anywhere', async () => {
    const [high, low] = wal.start.split('/') as [string, string]
    const at = (add: number): string => `${high}/${(Number.parseInt(low, 16) + add).toString(16).toUpperCase()}`
    for (let start = 1; start < 40_000; start += 3001) {
      const [from, to] = [at(start), at(start + 9000)]
      const expected = await pgWaldump('-p', wal.dir, '-s', from, '-e', to)
      expect((await ltap(['inspect', 'wal', wal.dir, '--start', from, '--end', to])).stdout).toBe(expected)
      // From 17 on it is said on stderr.
      if (major <= 16) expect(expected).toMatch(/^first record is after /)
    }
  })

  test('one segment file', async () => {
    const [first, second] = readdirSync(wal.dir).sort()
    for (const name of [first!, second!]) {
      expect((await ltap(['inspect', 'wal', join(wal.dir, name)])).stdout).toBe(await pgWaldump(join(wal.dir, name)))
    }
  })
})

describe.each(fewerMajors('majors of inspect wal'))('Postgres %i', (major) => {
  let wal: Wal
  let all: Ran
  beforeAll(async () => {
    wal = await makeWal(major, makeFolder())
    all = await ltap(['inspect', 'wal', wal.dir])
  })

  test('the end of the WAL is told, and no error', () => {
    expect(all.code).toBe(0)
    expect(all.stdout).toMatch(/^rmgr: XLOG {8}len \(rec\/tot\): {4}114\/ {3}114, tx: {10}0, lsn: 0\/01000028, prev 0\/00000000, desc: CHECKPOINT_SHUTDOWN redo/)
    expect(all.stdout).toMatch(/desc: CHECKPOINT_SHUTDOWN [^\n]*\n$/)
    expect(all.stderr).toMatch(/^ltap: the WAL ends at 0\/[0-9A-F]+: .*\n$/)
  })

  test('--json has a document per record', async () => {
    const { stdout, code } = await ltap(['inspect', 'wal', wal.dir, '--start', wal.start, '--end', wal.end, '--relation', wal.relation, '--fullpage', '--json'])
    const records = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { rmgr: string; xid: unknown; blocks: { relation: string; image: { compression: string } | null }[] })
    expect(code).toBe(0)
    expect(records.length).toBeGreaterThan(5)
    expect(new Set(records.map(({ xid }) => typeof xid))).toEqual(new Set(['string']))
    for (const { blocks } of records) expect(blocks.some(({ image }) => image?.compression === 'pglz' || image?.compression === null)).toBe(true)
    const stats = JSON.parse((await ltap(['inspect', 'wal', wal.dir, '--stats', 'record', '--json'])).stdout) as { type: string; count: number }[]
    const inserts = all.stdout.split('\n').filter((line) => line.startsWith('rmgr: Heap ') && line.includes('desc: INSERT off')).length
    expect(stats.find(({ type }) => type === 'Heap/INSERT')!.count).toBe(inserts)
  })

  test('--start inside a record is told', async () => {
    const start = wal.start.replace(/.$/, (digit) => (digit === 'A' ? 'B' : 'A'))
    const { stdout, stderr } = await ltap(['inspect', 'wal', wal.dir, '--start', start, '--limit', '1'])
    const told = /first record is after 0\/[0-9A-F]+, at 0\/[0-9A-F]+, skipping over \d+ bytes?\n/
    expect(major <= 16 ? stdout : stderr).toMatch(told)
    expect(major <= 16 ? stderr : stdout).not.toMatch(told)
  })

  test('a damaged record ends the WAL of one file, and is an error if more files follow', async () => {
    const [first, second] = readdirSync(wal.dir).sort()
    const dir = makeFolder()
    mkdirSync(join(dir, 'pg_wal'))
    const bytes = readFileSync(join(wal.dir, first!))
    const lines = all.stdout.split('\n').slice(0, 100)
    const [, low] = /lsn: 0\/0([0-9A-F]+),/.exec(lines[99]!)!
    bytes[(Number.parseInt(low!, 16) % bytes.length) + 30]! ^= 1
    writeFileSync(join(dir, 'pg_wal', first!), bytes)
    const alone = await ltap(['inspect', 'wal', dir])
    expect({ code: alone.code, lines: alone.stdout.split('\n').slice(0, -1) }).toEqual({ code: 0, lines: lines.slice(0, 99) })
    expect(alone.stderr).toMatch(/^ltap: the WAL ends at 0\/[0-9A-F]+: a record of \d+ bytes with a wrong CRC\n$/)
    copyFileSync(join(wal.dir, second!), join(dir, 'pg_wal', second!))
    const followed = await ltap(['inspect', 'wal', dir])
    expect({ code: followed.code, stdout: followed.stdout }).toEqual({ code: 3, stdout: alone.stdout })
    expect(followed.stderr).toMatch(/^ltap: wal\.crc: [^\n]*\n$/)
  })

  test('--follow sees what is written later, and ends with Ctrl-C', async () => {
    const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')
    const lines = linesOf(all.stdout)
    const names = readdirSync(wal.dir).sort()
    const dir = makeFolder()
    for (const name of names) copyFileSync(join(wal.dir, name), join(dir, name))
    // The newest segment as it was when it had no more than its first pages, the rest not yet written, then as it became.
    const last = names.findLast((name) => readFileSync(join(dir, name)).subarray(0, 2).some((byte) => byte !== 0))!
    const whole = readFileSync(join(dir, last))
    truncateSync(join(dir, last), 3 * 8192)
    appendFileSync(join(dir, last), new Uint8Array(whole.length - 3 * 8192))
    expect(process.listenerCount('SIGINT')).toBe(0)
    // As the command line's own process does.
    const forget = handleSignals(() => {})
    const early = linesOf((await ltap(['inspect', 'wal', dir])).stdout).length
    expect(early).toBeLessThan(lines.length)
    let seen = 0
    const following = ltap(['inspect', 'wal', dir, '--follow'], '', (text) => (seen = linesOf(text).length))
    await expect.poll(() => seen, { timeout: 240_000 }).toBe(early)
    writeFileSync(join(dir, last), whole)
    await expect.poll(() => seen, { timeout: 240_000 }).toBe(lines.length)
    process.emit('SIGINT', 'SIGINT')
    const { code, stdout, stderr } = await following
    forget()
    expect({ code, stderr, lines: linesOf(stdout) }).toEqual({ code: 0, stderr: '', lines })
    expect(process.listenerCount('SIGINT')).toBe(0)
  })
})

test.each([
  [['--block', '3'], 2, /^ltap: --block needs --relation\n$/],
  [['--start', '0/9', '--end', '0/8'], 2, /--end is before --start/],
  [['--start', 'zero'], 2, /an LSN such as 0\/1A3B2C8 is needed/],
  [['--rmgr', 'nothing'], 2, /there are XLOG, Transaction, .*custom128 to custom255/],
  [['--relation', '1663/5'], 2, /write it as tablespace OID\/database OID\/relfilenode/],
  [['--relation', '0/5/1'], 2, /write it as/],
  [['--fork', 'all'], 2, /there are main, fsm, vm, init/],
  [['--xid', '4294967296'], 2, /a number from 0 to 4294967295/],
  [['--stats', 'all'], 2, /Allowed choices are rmgr, record/],
  [[], 3, /^ltap: wal\.none: no WAL segment here/],
])('usage: %j', async (options, code, message) => {
  const ran = await ltap(['inspect', 'wal', makeFolder(), ...options])
  expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code, stdout: '' })
  expect(ran.stderr).toMatch(message)
})
