/** What openCluster accepts and refuses, on data directories of real servers. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../../src/common/crc32c.ts'
import { CorruptionError, EnvironmentError, UnsupportedError } from '../../../src/common/errors.ts'
import { formatLsn } from '../../../src/common/ids.ts'
import { parsePgMajor } from '../../../src/common/pgversion.ts'
import { openCluster } from '../../../src/io/cluster.ts'
import { parseControlFile } from '../../../src/catalog/controlfile.ts'
import { closeSessions, connect, majors, withCluster } from '../../support/oracle.ts'

/** Runs `body` while the file has another content. */
function withFile(path: string, content: string | Uint8Array, body: () => void): void {
  let before: Uint8Array | undefined
  try {
    before = readFileSync(path)
  } catch {
    // It was not there.
  }
  writeFileSync(path, content)
  try {
    body()
  } finally {
    if (before) writeFileSync(path, before)
    else rmSync(path)
  }
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}

describe.each(majors())('data directory of Postgres %i', (major) => {
  test('control file, refusals, orphans', async () => {
    await withCluster(major, {}, async (server, sql) => {
      const { dataDir } = server
      expect(() => openCluster(dataDir)).toThrow(new RegExp(`datadir.running: .*process ${server.pid}.*stop`))
      await sql.exec('create table t (a int); insert into t values (1)')
      await closeSessions(server)
      await server.stop('immediate')
      rmSync(join(dataDir, 'postmaster.pid'), { force: true })
      expect(() => openCluster(dataDir)).toThrow(/datadir.state: .*in production.*start the server and stop it/)
      await server.start()
      const dbOid = Number(await (await connect(server)).value(`select oid from pg_database where datname = 'postgres'`))
      await closeSessions(server)
      await server.stop()

      const { control } = openCluster(dataDir)
      await server.start()
      const again = await connect(server)
      const [expected] = await again.query(`select checkpoint_lsn, redo_lsn, timeline_id, next_xid, next_oid, next_multixact_id,
        next_multi_offset,
        oldest_xid, oldest_multi_xid, system_identifier, pg_control_version, catalog_version_no, data_page_checksum_version,
          bytes_per_wal_segment
        from pg_control_checkpoint(), pg_control_system(), pg_control_init()`)
      expect({
        checkpoint_lsn: formatLsn(control.checkpoint), redo_lsn: formatLsn(control.redo), timeline_id: String(control.timeline),
        next_xid: `${control.nextXid.epoch}:${control.nextXid.low}`, next_oid: String(control.nextOid),
        next_multixact_id: String(control.nextMulti), next_multi_offset: String(control.nextMultiOffset),
          oldest_xid: String(control.oldestXid),
        oldest_multi_xid: String(control.oldestMulti), system_identifier: String(control.systemIdentifier),
        pg_control_version: String(control.controlVersion), catalog_version_no: String(control.catalogVersion),
        data_page_checksum_version: control.checksums ? '1' : '0', bytes_per_wal_segment: String(control.walSegmentSize),
      }).toEqual(expected)
      await closeSessions(server)
      await server.stop()
      const dead = String(2 ** 22 + 7)
      refusals(dataDir, dead)
      damage(dataDir, dbOid)
      strays(dataDir, dbOid)
    })
  })

  test('a database whose DROP was interrupted', async () => {
    await withCluster(major, {}, async (server, sql) => {
      await sql.script(`create database broken`)
      const oid = Number(await sql.value(`select oid from pg_database where datname = 'broken'`))
      await sql.exec(`update pg_database set datconnlimit = -2 where datname = 'broken'`)
      await closeSessions(server)
      await server.stop()
      rmSync(join(server.dataDir, 'base', String(oid), 'pg_filenode.map'))
      const cluster = openCluster(server.dataDir)
      expect(cluster.databases.find(({ invalid }) => invalid)?.name).toBe('broken')
      expect([...cluster.allRelations()].length).toBeGreaterThan(200)
      expect(() => cluster.relations(oid)).toThrow(/drop it again/)
      expect(new Set(cluster.orphans().map(({ dbOid }) => dbOid))).toEqual(new Set([oid]))
    })
  })
})

function refusals(dataDir: string, deadPid: string): void {
  const open = (): unknown => openCluster(dataDir)
  expect(open).not.toThrow()
  for (const name of ['backup_label', 'recovery.signal', 'standby.signal']) {
    withFile(join(dataDir, name), '', () => expect(open).toThrow(new RegExp(`datadir.recovery: ${name}`)))
  }
  const pidFile = join(dataDir, 'postmaster.pid')
  withFile(pidFile, `${deadPid}\n/somewhere\n`, () => expect(open).not.toThrow())
  withFile(pidFile, '', () => expect(open).toThrow(EnvironmentError))
  withFile(join(dataDir, 'PG_VERSION'), '13\n', () => expect(open).toThrow(/cluster.version/))
  expect(() => openCluster(join(dataDir, 'base'))).toThrow(/datadir.missing/)
  const link = join(dataDir, 'pg_tblspc/99999')
  symlinkSync('/nowhere', link)
  expect(() => openCluster(dataDir).orphans()).toThrow(/datadir.tablespace/)
  rmSync(link)
}

function damage(dataDir: string, dbOid: number): void {
  const path = join(dataDir, 'global/pg_control')
  const bytes = new Uint8Array(readFileSync(path))
  const major = parsePgMajor(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8'))
  const crcAt = major === 18 ? 292 : 288
  const parse = (change: (view: DataView) => void, sealed: boolean): (() => unknown) => {
    const copy = bytes.slice()
    const view = new DataView(copy.buffer)
    change(view)
    if (sealed) view.setUint32(crcAt, crc32c(copy, 0, crcAt), true)
    return () => parseControlFile(copy, major)
  }
  expect(parse(() => {}, true)).not.toThrow()
  expect(parse((view) => view.setUint8(70, view.getUint8(70) ^ 1), false)).toThrow(/control.crc/)
  for (const [at, value] of [[8, 999], [12, 1], [204, 4], [216, 4096], [220, 1], [232, 32], [240, 1], [248, 2], [252, 2]]) {
    expect(parse((view) => view.setUint32(at!, value!, true), true)).toThrow(UnsupportedError)
  }
  expect(parse((view) => view.setFloat64(208, 1, true), true)).toThrow(/control.float/)
  expect(parse((view) => view.setUint32(16, 7, true), true)).toThrow(CorruptionError)
  expect(() => parseControlFile(bytes.slice(0, crcAt), major)).toThrow(CorruptionError)
  for (const state of [0, 2, 3, 4, 5, 6]) {
    const copy = bytes.slice()
    new DataView(copy.buffer).setUint32(16, state, true)
    new DataView(copy.buffer).setUint32(crcAt, crc32c(copy, 0, crcAt), true)
    withFile(path, copy, () => expect(() => openCluster(dataDir)).toThrow(/datadir.state/))
  }
  const mapPath = join(dataDir, 'base', String(dbOid), 'pg_filenode.map')
  const map = new Uint8Array(readFileSync(mapPath))
  for (const broken of [map.slice(0, 100), map.map((byte, i) => (i === 9 ? byte ^ 1 : byte)), map.map((byte, i) => (i === 0 ? 0 : byte))]) {
    withFile(mapPath, broken, () => expect(() => openCluster(dataDir).relations(dbOid)).toThrow(/relmap.*pg_filenode.map/))
  }
}

function strays(dataDir: string, dbOid: number): void {
  const base = join(dataDir, 'base', String(dbOid))
  const before = openFiles()
  for (const name of ['t7_4242', 't7_4242_fsm', '4242', '4242.1', '4243_vm', 'pg_internal.init.99',
    'notes']) writeFileSync(join(base, name), '')
  mkdirSync(join(dataDir, 'base/4244'))
  copyFileSync(join(base, 'PG_VERSION'), join(dataDir, 'base/4244/PG_VERSION'))
  writeFileSync(join(dataDir, 'base/4244/1259'), '')
  const cluster = openCluster(dataDir)
  const brief = cluster.orphans().map(({ spcOid, dbOid: db, relNumber, forks }) => [spcOid, db, relNumber, Object.fromEntries(forks)])
  expect(brief.sort((a, b) => Number(a[2]) - Number(b[2]))).toEqual([
    [1663, 4244, 1259, { main: [0] }], [1663, dbOid, 4242, { main: [0, 1] }], [1663, dbOid, 4243, { vm: [0] }],
  ])
  expect(cluster.temp().map(({ relNumber, tempBackend, dbOid: db }) => [relNumber, tempBackend, db])).toEqual([[4242, 7, dbOid]])
  expect(() => cluster.relations(4244)).toThrow(/cluster.database/)
  const table = cluster.relations(dbOid).find(({ name }) => name === 't')
  const fork = cluster.openMain(table!)
  const page = fork.read(0)
  expect(page[18]).toBe(4)
  fork.close()
  expect(openFiles()).toBe(before)
  const file = join(base, String(table!.locator.relNumber))
  renameSync(file, `${file}x`)
  expect(() => openCluster(dataDir).openMain(table!)).toThrow(/relation.missing-file.*postgres.public.t/)
}
