import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatWalPosition, parseLsn, walPosition } from '../../src/common/ids.ts'
import { parseBackupLabel } from '../../src/replay/backuplabel.ts'
import { seed, type Seed } from '../../src/io/seed/seed.ts'
import { parseTablespaceMap } from '../../src/replay/tablespacemap.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, fewerMajors, type Row, type Session, withCluster } from '../support/oracle.ts'
import { systemPostgres } from '../support/systempostgres.ts'
import { progressAt } from '../support/replayprogress.ts'

const DEBIAN = systemPostgres()
/** Every kind of file that is kept, and every kind that is not. */
const SCHEMA = `
  CREATE TABLE t (id int, v text, p point, n int[]) ;
  INSERT INTO t SELECT i, repeat('x', i % 300), point(i, i), ARRAY[i] FROM generate_series(1, 3000) i;
  INSERT INTO t SELECT 0, string_agg(md5(i::text), ''), NULL, NULL FROM generate_series(1, 2000) i;
  CREATE INDEX t_btree ON t (id); CREATE INDEX t_hash ON t USING hash (id); CREATE INDEX t_gin ON t USING gin (n);
  CREATE INDEX t_gist ON t USING gist (p); CREATE INDEX t_spgist ON t USING spgist (p); CREATE INDEX t_brin ON t USING brin (id);
  CREATE TABLE empty (a int); CREATE INDEX empty_btree ON empty (a);
  CREATE SEQUENCE s; SELECT nextval('s');
  CREATE UNLOGGED TABLE u (a int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 1000);
  CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
  CREATE DATABASE other;
  BEGIN; INSERT INTO t VALUES (-1); PREPARE TRANSACTION 'p';
  VACUUM t; CHECKPOINT`
const RELATIONS = `
  SELECT c.oid::regclass::text AS name, c.relkind, c.relpersistence, pg_relation_filepath(c.oid) AS path
  FROM pg_class c WHERE pg_relation_filepath(c.oid) IS NOT NULL ORDER BY c.oid`

let root: string
let out: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-backup-'))
  out = join(root, 'out')
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

/** Fills the server, with a tablespace, and says what files its relations have. */
async function fill(cluster: PostgresServer, sql: Session): Promise<Row[]> {
  await sql.script(SCHEMA)
  await sql.script(`
    CREATE TABLESPACE space LOCATION '${await cluster.makeDir('space')}';
    CREATE TABLE in_space TABLESPACE space AS SELECT generate_series(1, 5000) a; CREATE INDEX in_space_btree ON in_space (a) TABLESPACE space; CHECKPOINT`)
  return sql.query(RELATIONS)
}

/** The seed holds heaps, TOAST and sequences byte for byte, and no index; `source` is a data directory that nobody writes to. */
function expectRelations(relations: Row[], source: string): void {
  const seen = new Set<string>()
  for (const { name, relkind, relpersistence, path } of relations) {
    const kind = `${relkind}${relpersistence}`
    seen.add(kind)
    const file = join(out, path!)
    if (relkind === 'i') expect(existsSync(file), `${name} is an index`).toBe(expectIndexKept(join(source, path!)))
    else if (relpersistence === 'u') expect(readFileSync(file).equals(readFileSync(join(source, `${path}_init`))), `${name} is unlogged`).toBe(true)
    else expect(readFileSync(file).equals(readFileSync(join(source, path!))), `${name}: ${path}`).toBe(true)
    expect(existsSync(`${file}_fsm`)).toBe(false)
    const vm = join(source, `${path}_vm`)
    if (relkind === 'r' && relpersistence === 'p' && existsSync(vm)) expect(readFileSync(`${file}_vm`).equals(readFileSync(vm)), `${name} vm`).toBe(true)
  }
  for (const kind of ['rp', 'ip', 'tp', 'Sp', 'ru', 'iu', 'mp']) expect(seen).toContain(kind)
}

/** An index file without a page cannot be told from a heap's. */
function expectIndexKept(file: string): boolean {
  return existsSync(file) && statSync(file).size === 0
}

function expectSlrus(source: string): void {
  for (const dir of ['pg_xact', 'pg_multixact/offsets', 'pg_multixact/members', 'pg_twophase']) {
    expect(readdirSync(join(out, dir)).length).toBe(readdirSync(join(source, dir)).length)
    for (const name of readdirSync(join(source, dir))) expect(readFileSync(join(out, dir, name)).equals(readFileSync(join(source, dir, name)))).toBe(true)
  }
  expect(readFileSync(join(out, 'global/pg_control')).equals(readFileSync(join(source, 'global/pg_control')))).toBe(true)
}

/** Relative path to a hash of the content, of every file. */
function tree(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.sort().map((name) => [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]))
}

function openSeed(seeded: Seed): void {
  createPageStore(out, seeded.identity, progressAt(seeded.start, seeded.timeline), seeded.indexes)
  const store = openPageStore(out)
  expect(store.flushed.lsn).toBe(seeded.start)
  for (const locator of seeded.indexes) expect(store.fork(locator.spcOid, locator.dbOid, locator.relNumber, 0)).toBeUndefined()
  store.close()
}

describe.each(fewerMajors('majors of backups'))('Postgres %i', (major) => {
  test('a clean data directory, a crashed one and a copy made during a backup', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      const relations = await fill(cluster, sql)
      const start = major >= 15 ? 'pg_backup_start' : 'pg_start_backup'
      await sql.exec(`SELECT ${start}('b', true${major >= 15 ? '' : ', false'})`)
      const copy = join(root, 'copy')
      cpSync(cluster.dataDir, copy, { recursive: true, verbatimSymlinks: true, filter: (name) => !name.endsWith('postmaster.pid') })
      const [stop] = await sql.query(`SELECT labelfile, spcmapfile, lsn::text FROM ${major >= 15 ? 'pg_backup_stop()' : 'pg_stop_backup(false)'}`)
      writeFileSync(join(copy, 'backup_label'), stop!['labelfile']!)
      writeFileSync(join(copy, 'tablespace_map'), stop!['spcmapfile']!)

      const backup = await seed(copy, out)
      const startLsn = walPosition(parseLsn(/START WAL LOCATION: (\S+)/.exec(stop!['labelfile']!)![1]!)!)
      expect(backup).toMatchObject({ kind: 'backup', major, start: startLsn, backupEndOf: startLsn, timeline: 1, backupLabel: { from: 'primary', label: 'b' } })
      expectRelations(relations, copy)
      openSeed(backup)
      rmSync(out, { recursive: true })

      await expect(seed(cluster.dataDir, out)).rejects.toThrow(/datadir.running/)
      rmSync(out, { recursive: true })
      await sql.exec('INSERT INTO t VALUES (-2)')
      await closeSessions(cluster)
      await cluster.kill()
      const crashed = await seed(cluster.dataDir, out)
      expect(crashed).toMatchObject({ kind: 'crashed', consistentAt: undefined, backupEndOf: undefined })
      expect(crashed.walDirectory).toBe(join(cluster.dataDir, 'pg_wal'))
      expectRelations(relations, cluster.dataDir)
      expectSlrus(cluster.dataDir)
      rmSync(out, { recursive: true })

      await cluster.start()
      await cluster.stop()
      // As an interrupted one leaves it.
      mkdirSync(join(out, 'ltap'), { recursive: true })
      for (const name of ['ltap/seeding', 'garbage']) writeFileSync(join(out, name), '')
      const clean = await seed(cluster.dataDir, out)
      expect(readdirSync(out)).not.toContain('garbage')
      expect(clean).toMatchObject({ kind: 'clean', consistentAt: clean.start, start: clean.checkpoint })
      expectSlrus(cluster.dataDir)
      // Of a clean directory, the seed is one itself.
      const found = openCluster(out)
      expect([...found.allRelations()].map(({ schema, name }) => `${schema}.${name}`)).toContain('public.in_space')
      openSeed(clean)
      await expect(seed(cluster.dataDir, out)).rejects.toThrow(/pagestore.exists/)
    })
  })
})

describe.skipIf(DEBIAN === undefined)('pg_basebackup of Postgres 15', () => {
  test('tar format in every compression, with a tablespace, WAL streamed and fetched', async () => {
    await withCluster(15, { binDir: DEBIAN! }, async (cluster, sql) => {
      const relations = await fill(cluster, sql)
      const base = ['-h', cluster.socketDir, '-p', String(cluster.port), '-U', 'postgres', '--checkpoint=fast', '--no-sync']
      const run = (dir: string, ...more: string[]): string => {
        execFileSync(join(DEBIAN!, 'pg_basebackup'), [...base, '-D', join(root, dir), ...more], { stdio: ['ignore', 'ignore', 'inherit'] })
        return join(root, dir)
      }
      // The oracle: the same backup unpacked by tar, tablespace and all.
      const plainTar = run('tar', '-Ft', '-X', 'stream')
      const unpacked = unpack(plainTar)
      const fromTar = await seed(plainTar, out)
      expectRelations(relations, unpacked)
      expectSlrus(unpacked)
      expect(readdirSync(fromTar.walDirectory!)).toEqual(readdirSync(join(unpacked, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name)))
      const expected = tree(out)
      rmSync(out, { recursive: true })
      const fromPlain = await seed(unpacked, out)
      for (const name of expected.keys()) if (name.startsWith('ltap/')) expected.delete(name)
      const found = tree(out)
      for (const name of found.keys()) if (name.startsWith('ltap/')) found.delete(name)
      expect(found).toEqual(expected)
      expect({ ...fromTar, walDirectory: '', files: 0, bytes: 0, indexes: 0 }).toEqual({ ...fromPlain, walDirectory: '', files: 0, bytes: 0, indexes: 0 })
      expect(fromTar.indexes.map(String).sort()).toEqual(fromPlain.indexes.map(String).sort())
      rmSync(out, { recursive: true })

      // The server is idle: other backups hold the same relations.
      for (const [i, compression] of [['-z'], ['--compress=server-lz4'], ['--compress=client-lz4:9'], ['--compress=server-zstd'], ['--compress=client-zstd:5']].entries()) {
        const dir = run(`tar${i}`, '-Ft', '-X', i === 0 ? 'fetch' : 'stream', ...compression)
        const seeded = await seed(dir, out)
        expect(seeded).toMatchObject({ kind: 'backup', major: 15, backupEndOf: seeded.start })
        expectRelations(relations, unpacked)
        expect(readdirSync(seeded.walDirectory!).length).toBeGreaterThan(0)
        openSeed(seeded)
        rmSync(out, { recursive: true })
      }
      const plain = run('plain', '-Fp', '-T', `${readTablespaceLocation(unpacked)}=${join(root, 'moved')}`)
      expect(await seed(plain, out)).toMatchObject({ kind: 'backup' })
      expectRelations(relations, plain)
      rmSync(out, { recursive: true })
      await damagedTars(plainTar, join(root, 'tar0'))
    })
  })

  /** Cut, damaged and incomplete tar files are errors wherever the damage is. */
  async function damagedTars(plainTar: string, gzip: string): Promise<void> {
    const damaged = join(root, 'damaged')
    const attempt = async (from: string, name: string, change: (bytes: Buffer) => Uint8Array | undefined): Promise<void> => {
      rmSync(damaged, { recursive: true, force: true })
      rmSync(out, { recursive: true, force: true })
      cpSync(from, damaged, { recursive: true })
      const bytes = change(readFileSync(join(damaged, name)))
      if (bytes === undefined) rmSync(join(damaged, name))
      else writeFileSync(join(damaged, name), bytes)
      await expect(seed(damaged, out)).rejects.toThrow(/backup\.|control\.|datadir\.missing/)
    }
    const size = statSync(join(plainTar, 'base.tar')).size
    for (const length of [0, 511, 100_000, Math.floor(size / 2), size - 1024, size - 512]) await attempt(plainTar, 'base.tar', (bytes) => bytes.subarray(0, length))
    await attempt(plainTar, 'base.tar', (bytes) => bytes.fill(0xff, 512 * 3, 512 * 3 + 200))
    const space = readdirSync(plainTar).find((name) => /^\d+\.tar$/.test(name))!
    await attempt(plainTar, space, () => undefined)
    await attempt(plainTar, space, (bytes) => bytes.subarray(0, bytes.length - 1024))
    await attempt(gzip, 'base.tar.gz', (bytes) => bytes.subarray(0, bytes.length - 10))
    await attempt(gzip, 'base.tar.gz', (bytes) => bytes.fill(0, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 50))
  }

  function unpack(dir: string): string {
    const target = join(root, 'unpacked')
    mkdirSync(target)
    execFileSync('tar', ['-xf', join(dir, 'base.tar'), '-C', target])
    execFileSync('tar', ['-xf', join(dir, 'pg_wal.tar'), '-C', join(target, 'pg_wal')])
    for (const name of readdirSync(dir).filter((file) => /^\d+\.tar$/.test(file))) {
      const link = join(target, 'pg_tblspc', name.replace('.tar', ''))
      rmSync(link, { force: true })
      mkdirSync(link)
      execFileSync('tar', ['-xf', join(dir, name), '-C', link])
    }
    return target
  }

  function readTablespaceLocation(unpacked: string): string {
    return realpathSync([...parseTablespaceMap(readFileSync(join(unpacked, 'tablespace_map'), 'utf8')).values()][0]!)
  }
})

describe('backup_label', () => {
  const LABEL = `START WAL LOCATION: 0/2000028 (file 000000020000000000000002)\nCHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed
BACKUP FROM: standby\nSTART TIME: 2026-11-21 14:32:03 UTC\nLABEL: two words\nSTART TIMELINE: 2\n`

  test('fields', () => {
    const label = parseBackupLabel(LABEL)
    expect(label).toEqual({ start: 0x2000028, checkpoint: 0x2000060, timeline: 2, method: 'streamed', from: 'standby', label: 'two words' })
    expect(formatWalPosition(label.start)).toBe('0/2000028')
  })

  test.each([
    ['START WAL LOCATION: 0/2000028', 'START WAL LOCATION: nowhere'], ['CHECKPOINT LOCATION', 'X'], ['BACKUP FROM: standby', 'BACKUP FROM: mars'],
    ['START TIMELINE: 2', 'START TIMELINE: x'],
  ])('%s damaged', (from, to) => {
    expect(() => parseBackupLabel(LABEL.replace(from, to))).toThrow(/backup.label/)
  })

  test('incremental is refused', () => {
    expect(() => parseBackupLabel(`${LABEL}INCREMENTAL FROM LSN: 0/1000028\n`)).toThrow(/backup.incremental/)
  })
})

test('tablespace_map', () => {
  expect([...parseTablespaceMap('16390 /a b/c\n16391 /with\\\nnewline\\\\\n')]).toEqual([[16390, '/a b/c'], [16391, '/with\nnewline\\']])
  expect(() => parseTablespaceMap('no oid\n')).toThrow(/backup.tablespace-map/)
})
