/** Bad data directories, bad lakes, bad places: exit code 3 (or 1: the answer is no) and one line that says what to do. */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { LakeReport } from '../../src/jobs/lakereport.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { expectRefusal, heapFile, refused, whileChanged, whileFile } from '../support/badinput.ts'
import { transcode } from '../support/lakes.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { ltap } from './streams.ts'

const MAJOR = Math.max(...majors())
const PG_CONTROL_CRC = MAJOR >= 18 ? 292 : 288

let folder: string
let cluster: PostgresServer
let pgdata: string
let lake: string
/** The same as a lake of format 1, by the library. */
let oldLake: string
let lakes = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ltap-bad-'))
  cluster = await createCluster(MAJOR, { initdbArgs: ['-k'] })
  pgdata = cluster.dataDir
  const place = await cluster.makeDir('place')
  const sql = await connect(cluster)
  await sql.script(`CREATE TABLESPACE place LOCATION '${place}'; CREATE DATABASE shop`)
  const shop = await connect(cluster, 'shop')
  await shop.script(`
    CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS v FROM generate_series(1, 3000) i;
    DELETE FROM t WHERE id % 10 = 0;
    CREATE TABLE u (LIKE t); INSERT INTO u SELECT * FROM t;
    CREATE TABLE elsewhere TABLESPACE place AS SELECT 1 AS a`)
  await closeSessions(cluster)
  await cluster.stop()
  lake = join(folder, 'lake')
  const made = await ltap(transcodeAll(lake))
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' })
  expect(made.stdout).toMatch(/^Postgres \d+ at .* is in .*\n {2}relations .*\n {2}pages .*\n {2}tuples .*\n {2}values .*\n {2}published .*\n {2}forensic .*\n {2}damaged {4}0 pages\n/)
  oldLake = await makeOldLake('oldlake')
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** The tables of shop only: a whole cluster takes seconds. */
function transcodeAll(to: string): string[] {
  return ['transcode', pgdata, '--lake', to, '--database', 'shop', ...['t', 'u', 'elsewhere'].flatMap((name) => ['--table', `public.${name}`])]
}

async function makeOldLake(name: string): Promise<string> {
  await transcode(pgdata, join(folder, name), { filter: { databases: ['shop'], tables: ['public.t', 'public.u', 'public.elsewhere'] } })
  return join(folder, name)
}

/** A lake folder that nobody used yet. */
function fresh(): string {
  return join(folder, `lake${lakes++}`)
}

const transcodeArgs = (...more: string[]): string[] => ['transcode', pgdata, '--lake', fresh(), ...more]
const transcodeShop = (...more: string[]): string[] => transcodeArgs('--database', 'shop', '--table', 'public.t', ...more)

/** Every verb that reads a data directory refuses it alike, before it writes anything. */
async function refusedByAll(message: RegExp): Promise<void> {
  await refused(transcodeArgs(), message)
  expect(existsSync(join(folder, `lake${lakes - 1}`))).toBe(false)
  await refused(['verify', pgdata, '--lake', lake], message)
  await refused(['rebuild', '--lake', lake, '--pgdata', pgdata, '--force'], message)
  await refused(['inspect', 'relations', pgdata], message)
  await refused(['inspect', 'table', pgdata, 'public.t'], message)
}

describe(`data directories, Postgres ${MAJOR}`, () => {
  test('running, then not shut down cleanly', async () => {
    await cluster.start()
    await refusedByAll(/datadir.running: a server runs here \(process \d+\); stop it with pg_ctl stop -m fast/)
    expect((await ltap(['inspect', 'control', pgdata])).stdout).toMatch(/Database cluster state +in production\n/)
    await cluster.stop('immediate')
    await refusedByAll(/datadir.state: the server was not shut down cleanly \(pg_control: in production\); replay its WAL \(ltap replay, or --wal\), or start the server and stop it/)
    const { code, stdout } = await ltap(['inspect', 'control', pgdata, '--json'])
    expect([code, (JSON.parse(stdout) as Record<string, string>)['Database cluster state']]).toEqual([0, 'in production'])
    await cluster.start()
    await cluster.stop()
    const moved = await ltap(['verify', pgdata, '--lake', lake])
    expectRefusal(moved, /lake.other-lsn: the data directory is at [0-9A-F/]+, the lake at [0-9A-F/]+/)
    rmSync(lake, { recursive: true })
    expect((await ltap(transcodeAll(lake))).code).toBe(0)
  })

  test.each(['backup_label', 'recovery.signal', 'standby.signal'])('%s', async (name) => {
    await whileFile(join(pgdata, name), '', () => refusedByAll(new RegExp(`datadir.recovery: ${name} is there: .* stop it with pg_ctl stop`)))
  })

  test('PG_VERSION', async () => {
    for (const version of ['13\n', '19\n', '9.6\n', 'garbage\0\x1b[31m', '']) {
      await whileFile(join(pgdata, 'PG_VERSION'), version, () => refusedByAll(/cluster.version: PG_VERSION says '.*', ltap reads 14 to 18/))
    }
    await whileFile(join(pgdata, 'PG_VERSION'), undefined, () => refusedByAll(/datadir.missing: not a Postgres data directory: it has no file PG_VERSION/))
    await refused(['inspect', 'control', folder], /datadir.missing/)
    await refused(['transcode', join(folder, 'nowhere'), '--lake', fresh()], /datadir.missing/)
  })

  test('pg_control', async () => {
    const file = join(pgdata, 'global/pg_control')
    const sealed = (change: (view: DataView) => void) => (bytes: Uint8Array): void => {
      const view = new DataView(bytes.buffer)
      change(view)
      view.setUint32(PG_CONTROL_CRC, crc32c(bytes, 0, PG_CONTROL_CRC), true)
    }
    await whileChanged(file, sealed((view) => view.setUint32(216, 16384, true)), () => refusedByAll(/blcksz is 16384, ltap reads 8192/))
    await whileChanged(file, sealed((view) => view.setUint32(220, 65536, true)), () => refusedByAll(/relseg_size is 65536, ltap reads 131072/))
    await whileChanged(file, (bytes) => void (bytes[40]! ^= 1), async () => {
      await refusedByAll(/control.crc: pg_control: wrong CRC \(.*file .*pg_control/)
      await refused(['inspect', 'control', pgdata], /control.crc/)
    })
    await whileFile(file, '', () => refusedByAll(/control.size: pg_control has 0 bytes/))
    await whileFile(file, undefined, () => refusedByAll(/file.missing: the file is missing.*pg_control/))
  })

  test('catalog files', async () => {
    const base = join(heapFile(pgdata, 'shop', 'public.t'), '..')
    for (const map of [join(base, 'pg_filenode.map'), join(pgdata, 'global/pg_filenode.map')]) {
      await whileFile(map, undefined, () => refused(transcodeArgs(), /file.missing: the file is missing.*pg_filenode.map/))
      await whileChanged(map, (bytes) => void (bytes[20]! ^= 1), () => refused(['inspect', 'relations', pgdata], /relmap.*pg_filenode.map/))
    }
    const pgClass = heapFile(pgdata, 'shop', 'pg_catalog.pg_class')
    await whileChanged(pgClass, (bytes) => void (bytes[8000]! ^= 4), () =>
      refused(['inspect', 'relations', pgdata], /page.checksum: .*relation shop.pg_catalog.pg_class, .*block 0|page.checksum: .*block 0.*pg_class/))
    await whileFile(pgClass, undefined, () => refused(transcodeArgs(), /relation.missing-file/))
  })

  test('a cut relation, a missing segment, a missing file', async () => {
    const file = heapFile(pgdata, 'shop', 'public.t')
    const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length - 100)
    // Part of a block is what a server ignores: the whole blocks before it are the relation.
    await whileChanged(file, cut, async () => {
      const listed = await ltap(['inspect', 'relations', pgdata, '--database', 'shop'])
      expect(listed.code).toBe(0)
      const { differences } = await verifyReport(1)
      expect(differences[0]!.reason).toMatch(/\d+ blocks in the data directory, \d+ in the lake/)
    })
    await whileFile(`${file}.1`, 'x'.repeat(8192), () => refused(transcodeShop(), /relation.segment: a segment before this one is missing or not full/))
    await whileFile(`${file}.2`, 'x'.repeat(8192), () => refused(transcodeShop(), /relation.segment/))
    await whileFile(file, undefined, () => refused(transcodeShop(), /relation.missing-file: .*relation shop.public.t/))
    await whileChanged(file, (bytes) => bytes.subarray(0, bytes.length - 8192), async () => {
      const { differences } = await verifyReport(1)
      expect(differences[0]!.reason).toMatch(/\d+ blocks in the data directory, \d+ in the lake/)
    })
  })

  test('flipped bits under checksums', async () => {
    const file = heapFile(pgdata, 'shop', 'public.t')
    const message = /page.checksum: page checksum is \d+, computed \d+ \(.*relation shop.public.t, block 3\)/
    await whileChanged(file, (bytes) => void (bytes[3 * 8192 + 5000]! ^= 0x10), async () => {
      await refused(transcodeShop(), message)
      expect(existsSync(join(folder, `lake${lakes - 1}`))).toBe(false)
      const table = await ltap(['inspect', 'table', pgdata, 'public.t', '--format', 'csv'])
      expectRefusal(table, /page.checksum: .*relation shop.public.t, block 3\)/)
      expect(table.stdout.split('\n').length).toBeGreaterThan(2500)

      const args = transcodeShop('--on-corrupt', 'carry')
      const carried = await ltap(args)
      expect({ code: carried.code, stderr: carried.stderr }).toEqual({ code: 0, stderr: '' })
      expect(carried.stdout).toMatch(/damaged +1 page\n.*\ndamaged page: shop.public.t block 3: page.checksum/s)
      const verified = await ltap(['verify', pgdata, '--lake', args[3]!])
      expect(verified.code).toBe(0)
      expect(verified.stdout).toMatch(/^equal: .*\n.*pages +\d+; 1 damaged when they were read\n/s)
      const { stdout } = await ltap(['query', '--lake', args[3]!, '--format', 'csv', 'SELECT count(*) FROM t'])
      expect(Number(stdout.split('\n')[1])).toBeGreaterThan(2500)
    })
    await whileChanged(file, (bytes) => void (bytes[3 * 8192 + 5000]! ^= 0x10), async () => {
      const { differing, differences } = await verifyReport(1)
      expect(differing).toBe(1)
      expect(differences[0]).toMatchObject({ relation: 'shop.public.t', block: 3 })
      const text = await ltap(['verify', pgdata, '--lake', lake])
      expect(text.stdout).toMatch(/^NOT equal, 1 difference: .*\n {2}shop.public.t block 3: the page in the data directory is damaged: page.checksum/)
    })
  })

  test('names that are not there', async () => {
    await refused(transcodeArgs('--database', 'none'), /selection.database: there is no database 'none'; the cluster has .*shop/)
    await refused(transcodeArgs('--table', 'public.none'), /selection.table: there is no table 'public.none'; write it as schema.name/)
    expect((await ltap(transcodeArgs('--table', 'none'))).code).toBe(2)
    expect((await ltap(transcodeArgs('--workers', '0'))).code).toBe(2)
    expect((await ltap(transcodeArgs('--compression', 'lzma'))).code).toBe(2)
  })
})

describe('places for a lake', () => {
  test('taken, not empty, a file', async () => {
    await refused(['transcode', pgdata, '--lake', oldLake], /lake.exists: the folder holds a lake of format 1, which has one state; name another folder/)
    // A lake of layers takes another state, and this one it has.
    expect(await ltap(['transcode', pgdata, '--lake', lake])).toMatchObject({ code: 0, stdout: expect.stringMatching(/already: nothing to do\n$/) as string })
    const other = fresh()
    mkdirSync(other)
    writeFileSync(join(other, 'notes.txt'), 'mine')
    await refused(['transcode', pgdata, '--lake', other], /lake.not-empty: the folder is not empty and holds no lake; name another folder/)
    expect(readFileSync(join(other, 'notes.txt'), 'utf8')).toBe('mine')
    await refused(['transcode', pgdata, '--lake', join(other, 'notes.txt')], /lake.no-folder: the name is that of a file; name a folder/)
    await refused(['transcode', pgdata, '--lake', join(other, 'notes.txt/lake')], /file.missing: part of the path is a file/)
    await refused(['query', '--lake', other, 'SELECT 1'], /lake.missing/)
    await refused(['verify', '--lake', other], /lake.missing: the folder is not a lake: it has neither ltap\/format.json nor ltap.json/)
    await refused(['rebuild', '--lake', other, '--pgdata', pgdata], /lake.missing/)
  })
})

async function verifyReport(code: number, ...where: string[]): Promise<LakeReport> {
  const ran = await ltap(['verify', ...(where.length > 0 ? where : [pgdata, '--lake', lake]), '--json'])
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code, stderr: '' })
  return JSON.parse(ran.stdout) as LakeReport
}

describe('damaged lakes of format 1', () => {
  let copy: string
  let target: string
  let t: LakeRelation
  let u: LakeRelation

  beforeAll(async () => {
    copy = join(folder, 'copy')
    target = join(folder, 'target')
    // The server started and stopped since the first one was made.
    cpSync(await makeOldLake('newer'), copy, { recursive: true })
    await cluster.copyDataDir(target)
    const { relations } = JSON.parse(readFileSync(join(copy, 'ltap.json'), 'utf8')) as Manifest
    t = relations.find(({ name, database }) => name === 't' && database === 'shop')!
    u = relations.find(({ name, database }) => name === 'u' && database === 'shop')!
  })

  const parquet = (): string => join(copy, t.files[0]!.path)
  const rebuildT = (): string[] => ['rebuild', '--lake', copy, '--pgdata', target, '--table', 'public.t', '--database', 'shop']

  /** verify says no, with and without the data directory; rebuild and query refuse. */
  async function everyVerb(reason: RegExp, rebuild: RegExp, query: RegExp): Promise<void> {
    for (const where of [['--lake', copy], [pgdata, '--lake', copy]]) {
      const { equal, differing, differences } = await verifyReport(1, ...where)
      expect({ equal, differing: differing > 0 }).toEqual({ equal: false, differing: true })
      expect(differences[0]).toMatchObject({ relation: 'shop.public.t', reason: expect.stringMatching(reason) as string })
    }
    await refused(rebuildT(), rebuild)
    await refused(['query', '--lake', copy, 'SELECT max(id), max(v) FROM t'], query)
  }

  test('a missing or truncated file', async () => {
    await whileFile(parquet(), undefined, () => everyVerb(/the file is missing/, /lake.file: the file is missing; nothing was overwritten/, /lake.file: the file is missing \(/))
    for (const length of [0, 3, 8, 1000]) {
      await whileChanged(parquet(), (bytes) => bytes.subarray(0, length), () =>
        everyVerb(/parquet\./, /lake.file: the file has \d+ bytes, ltap.json says \d+; nothing was overwritten/, /lake.file: the file has \d+ bytes, ltap.json says \d+ \(/))
    }
    expect((await ltap([...rebuildT(), '--json'])).code).toBe(0)
  })

  test('flipped bytes anywhere', async () => {
    const { length } = readFileSync(parquet())
    for (let at = 0; at < length; at += Math.ceil(length / 23)) {
      await whileChanged(parquet(), (bytes) => void (bytes[at]! ^= 0x55), async () => {
        const { differences } = await verifyReport(1, '--lake', copy)
        expect(differences[0]).toMatchObject({ relation: 'shop.public.t' })
        await refused(rebuildT(), /half overwritten: start no server on it, make a new copy|ltap.json says/)
      })
    }
    expect((await ltap(rebuildT())).code).toBe(0)
  })

  test('files swapped between relations', async () => {
    const other = readFileSync(join(copy, u.files[0]!.path))
    await whileFile(parquet(), other, () => everyVerb(/lake.other-file: the file is of shop.public.u: relNumber is/, /lake.file-crc|lake.file:/, /lake.file: the file has \d+ bytes|lake.other-file: the file is of shop.public.u/))
  })

  test('hidden rows missing, cut, of another file', async () => {
    const hidden = join(copy, t.files[0]!.hidden!.path)
    const query = ['query', '--lake', copy, 'SELECT count(*) FROM t']
    await whileFile(hidden, undefined, async () => {
      expect((await verifyReport(1, '--lake', copy)).differences[0]!.reason).toMatch(/the file is missing/)
      await refused(query, /file.missing/)
    })
    await whileChanged(hidden, (bytes) => bytes.subarray(0, bytes.length - 20), async () => {
      expect((await verifyReport(1, '--lake', copy)).differences[0]!.reason).toMatch(/lake.hidden: the file is not as it was written/)
      await refused(query, /lake.hidden: the file is not as it was written/)
    })
    await whileFile(hidden, readFileSync(parquet()), async () => {
      expect((await verifyReport(1, '--lake', copy)).differences[0]!.reason).toMatch(/lake.hidden/)
      await refused(query, /lake.hidden: the file is not as it was written/)
    })
  })

  test('ltap.json: garbage, cut, newer, not a lake, paths that leave the folder', async () => {
    const file = join(copy, 'ltap.json')
    const text = readFileSync(file, 'utf8')
    const all = async (content: string, message: RegExp): Promise<void> => {
      await whileFile(file, content, async () => {
        await refused(['verify', '--lake', copy], message)
        await refused(rebuildT(), message)
        await refused(['query', '--lake', copy, 'SELECT 1'], message)
      })
    }
    await all('', /lake.manifest: ltap.json is not JSON/)
    await all('\x00\xff{', /lake.manifest: ltap.json is not JSON/)
    await all(text.slice(0, text.length / 2), /lake.manifest: ltap.json is not JSON/)
    for (const other of ['null', '3']) await all(other, /lake.manifest: ltap.json is damaged: it is .*, not an object/)
    for (const other of ['{}', '[]', '{"format": 1}', '{"format": 1, "relations": [], "databases": [null]}']) await all(other, /lake.manifest: ltap.json is damaged: .* is missing/)
    await all(text.replace('"format": 1', '"format": 2'), /lake.format: the lake has format version 2, this ltap reads 1/)
    await all(text.replace(JSON.stringify(t.files[0]!.path), '"../../etc/passwd"'), /lake.manifest/)
    await all(text.replace(JSON.stringify(t.path), '"../../etc/passwd"'), /lake.manifest/)
    await all(text.replace(/"files": \[/, '"files": [null, '), /lake.manifest.*relations\[\d+\]\.files\[0\] is null, not an object/)
  })
})

describe('rebuild refuses', () => {
  test('the source, another cluster, another state', async () => {
    await refused(['rebuild', '--lake', lake, '--pgdata', pgdata], /rebuild.source: this is the data directory the lake was read from; rebuild into a copy, or say --force/)
    const link = join(folder, 'link')
    symlinkSync(pgdata, link)
    await refused(['rebuild', '--lake', lake, '--pgdata', link], /rebuild.source/)
    const copy = await makeOldLake('lakecopy')
    await refused(['rebuild', '--lake', copy, '--pgdata', pgdata], /rebuild.source: this is the data directory the lake was read from/)
    const file = join(copy, 'ltap.json')
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
    writeFileSync(file, JSON.stringify({ ...manifest, systemIdentifier: '7' }))
    for (const argv of [['rebuild', '--lake', copy, '--pgdata', pgdata, '--force'], ['verify', pgdata, '--lake', copy]]) {
      await refused(argv, /lake.other-cluster: the data directory has system identifier \d+, the lake 7/)
    }
    writeFileSync(file, JSON.stringify({ ...manifest, lsn: '0/28' }))
    await refused(['rebuild', '--lake', copy, '--pgdata', pgdata, '--force'], /lake.other-lsn: the data directory is at .*, the lake at 0\/28.*ltap restore --to <LSN>/)
  })

  test("tablespaces that are the original's", async () => {
    const copy = join(folder, 'linked')
    cpSync(pgdata, copy, { recursive: true, verbatimSymlinks: true })
    const before = statSync(heapFile(pgdata, 'shop', 'public.elsewhere')).mtimeMs
    await refused(['rebuild', '--lake', lake, '--pgdata', copy], /rebuild.tablespace: the tablespace lies outside the data directory, at .*; if that is a copy as well, say --force/)
    expect(statSync(heapFile(pgdata, 'shop', 'public.elsewhere')).mtimeMs).toBe(before)
    const done = await ltap(['rebuild', '--lake', lake, '--pgdata', copy, '--database', 'shop', '--table', 'public.t'])
    expect(done).toEqual({ code: 0, stdout: expect.stringMatching(/^\d relations? rebuilt in .*linked: \d+ pages, .* MB\n$/) as string, stderr: '' })
  })

  test('names that are not there', async () => {
    const rebuild = ['rebuild', '--lake', lake, '--pgdata', pgdata, '--force']
    await refused([...rebuild, '--database', 'none'], /rebuild.database: the lake has no database 'none'; it has .*shop/)
    await refused([...rebuild, '--table', 'public.none'], /selection.table: there is no table 'public.none'/)
  })

  test('a relation file that cannot be written', async () => {
    const target = join(folder, 'blocked')
    await cluster.copyDataDir(target)
    const file = heapFile(target, 'shop', 'public.t')
    renameSync(file, `${file}.aside`)
    mkdirSync(file)
    await refused(['rebuild', '--lake', lake, '--pgdata', target, '--database', 'shop', '--table', 'public.t'], /file.error: not a regular file; nothing was overwritten/)
    rmSync(file, { recursive: true })
    truncateSync(`${file}.aside`, 0)
    renameSync(`${file}.aside`, file)
    expect((await ltap(['rebuild', '--lake', lake, '--pgdata', target, '--database', 'shop', '--table', 'public.t'])).code).toBe(0)
    expect((await verifyReport(0, target, '--lake', lake)).differing).toBe(0)
  })
})
