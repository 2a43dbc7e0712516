/** Which files of a data directory a lake keeps, on directories of real servers: what is kept, and that nothing else could matter. */
import { appendFileSync, chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { catalogVersionOf } from '../../../src/catalog/controlfile.ts'
import type { PgMajor } from '../../../src/common/pgversion.ts'
import { readConfiguration } from '../../../src/io/datadir/configuration.ts'
import { clusterFilesOf } from '../../../src/io/datadir/lakefiles.ts'
import { initdbFolders } from '../../../src/lake/keptfiles.ts'
import { authenticationIncludes, parseSettings } from '../../../src/lake/serversettings.ts'
import { PostgresServer } from '../../../src/server/postgres.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../../support/oracle.ts'

/** What may be missing from a lake: pages that it has otherwise or that can be made again, and what belongs to the server that ran. */
const LEFT_OUT: readonly RegExp[] = [
  /^(?:global|base\/\d+|pg_tblspc\/\d+\/PG_\d+_\d+\/\d+)\/(?:t\d+_)?\d+(?:_fsm|_vm)?(?:\.\d+)?$/, /(?:^|\/)pg_internal\.init$/, /(?:^|\/)pgsql_tmp/,
  /^pg_wal\/[0-9A-F]{24}$/, /^pg_wal\/archive_status\//, /^pg_(?:subtrans|notify|serial|snapshots|dynshmem|stat|stat_tmp)\//, /^pg_replslot\//,
  /^pg_logical\/(?:snapshots|mappings)\//, /^postmaster\.opts$/, /^server\.log$/,
]

/** Every entry below a folder; where a link leads is below it, too. */
function everything(folder: string, parent = ''): { path: string; isFolder: boolean }[] {
  return readdirSync(join(folder, parent)).flatMap((name) => {
    const path = parent === '' ? name : `${parent}/${name}`
    const isFolder = statSync(join(folder, path)).isDirectory()
    return [{ path, isFolder }, ...(isFolder ? everything(folder, path) : [])]
  })
}

function listed(dataDir: string, major: number): ReturnType<typeof clusterFilesOf> {
  return clusterFilesOf(dataDir, { major: major as PgMajor, catalogVersion: catalogVersionOf(major as PgMajor) })
}

describe.each(fewerMajors('majors of files that a lake keeps'))('Postgres %i', (major) => {
  const settings = { track_commit_timestamp: 'on', wal_level: 'logical' }
  test('keeps all that a server cannot make again, and says where each thing is', () => withCluster(major, { settings }, async (cluster, sql) => {
    const space = await cluster.makeDir('space')
    await sql.script(`
      CREATE TABLESPACE elsewhere LOCATION '${space}';
      CREATE DATABASE other;
      CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY) TABLESPACE elsewhere;
      CREATE TABLE kept (id int) TABLESPACE elsewhere;
      SELECT pg_create_physical_replication_slot('slot');
      SELECT pg_create_logical_replication_slot('decoding', 'test_decoding');
      BEGIN; INSERT INTO kept VALUES (1); PREPARE TRANSACTION 'prepared'`)
    const spcOid = await sql.value("SELECT oid FROM pg_tablespace WHERE spcname = 'elsewhere'")
    const dbOid = await sql.value("SELECT oid FROM pg_database WHERE datname = 'postgres'")
    const init = await sql.value("SELECT pg_relation_filepath('unlogged')")
    const index = await sql.value("SELECT pg_relation_filepath('unlogged_pkey')")
    await closeSessions(cluster)
    await cluster.stop()
    const { dataDir } = cluster
    mkdirSync(join(dataDir, 'conf.d'))
    writeFileSync(join(dataDir, 'conf.d/memory.conf'), "work_mem = '8MB'\n")
    writeFileSync(join(dataDir, 'conf.d/notes.txt'), 'not included')
    writeFileSync(join(dataDir, 'server.log'), 'a log')
    writeFileSync(join(dataDir, 'server.key'), 'a key')
    chmodSync(join(dataDir, 'server.key'), 0o600)
    appendFileSync(join(dataDir, 'postgresql.conf'), "\ninclude_dir 'conf.d'\nhba_file = '/etc/ltap/pg_hba.conf'\n")

    const entries = [...listed(dataDir, major)]
    const paths = entries.map(({ path }) => path)
    expect(new Set(paths).size).toBe(paths.length)
    for (const [i, path] of paths.entries()) {
      const above = path.split('/').slice(0, -1).join('/')
      if (above !== '') expect(paths.slice(0, i), path).toContain(above)
    }
    const version = `PG_${major}_${catalogVersionOf(major as PgMajor)}`
    expect(paths).toEqual(expect.arrayContaining([
      'PG_VERSION', 'global/pg_control', 'global/pg_filenode.map', `base/${dbOid}/PG_VERSION`, `base/${dbOid}/pg_filenode.map`, 'pg_xact/0000',
      'pg_multixact/offsets/0000', 'pg_multixact/members/0000', 'pg_commit_ts/0000', 'pg_logical/replorigin_checkpoint', 'postgresql.conf',
      'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf', 'conf.d', 'conf.d/memory.conf', 'server.key',
      `pg_tblspc/${spcOid}`, `pg_tblspc/${spcOid}/${version}`, `pg_tblspc/${spcOid}/${version}/${dbOid}`, `${init}_init`, `${index}_init`,
    ]))
    expect(paths.filter((path) => path.startsWith('pg_twophase/'))).toHaveLength(1)
    expect(entries.find(({ path }) => path === `pg_tblspc/${spcOid}`)).toEqual({ kind: 'link', path: `pg_tblspc/${spcOid}`, target: space })
    expect(entries.find(({ path }) => path === 'server.key')).toEqual({ kind: 'file', path: 'server.key', mode: 0o600, bytes: 5 })
    for (const entry of entries) {
      if (entry.kind === 'file') expect(entry.bytes, entry.path).toBe(statSync(join(dataDir, entry.path)).size)
      else expect(lstatSync(join(dataDir, entry.path)).isSymbolicLink(), entry.path).toBe(entry.kind === 'link')
    }
    const rest = everything(dataDir).filter(({ path }) => !paths.includes(path)).map(({ path }) => path)
    expect(rest.filter((path) => path !== 'conf.d/notes.txt' && !LEFT_OUT.some((pattern) => pattern.test(path)))).toEqual([])
    expect(paths.filter((path) => LEFT_OUT.some((pattern) => pattern.test(path)) && entries.find((entry) => entry.path === path)!.kind === 'file')).toEqual([])
    expect(readConfiguration(dataDir).outside).toEqual([{ name: 'hba_file', path: '/etc/ltap/pg_hba.conf' }])
  }))

  test('the folders are those of initdb', async () => {
    const cluster = await PostgresServer.create({ major })
    try {
      const made = everything(cluster.dataDir).filter(({ path, isFolder }) => isFolder && !/^base\/./.test(path)).map(({ path }) => path)
      expect([...initdbFolders(major)].sort()).toEqual(made.sort())
    } finally {
      await cluster.remove()
    }
  })

  test('the server reads the same settings out of a file', () => withCluster(major, {}, async (cluster) => {
    const lines = [
      "cluster_name='it''s \\'x\\' # no comment' # a comment", 'work_mem 7MB', 'Maintenance_Work_Mem=  9MB', "  ltap.one = 'a\\\\b'", 'ltap.two = plain_1',
      "ltap.three=''", '# ltap.four = 1', 'ltap.two = last',
    ]
    writeFileSync(join(cluster.dataDir, 'more.conf'), `${lines.join('\n')}\n`)
    appendFileSync(join(cluster.dataDir, 'postgresql.conf'), "\ninclude_if_exists = 'more.conf'\n")
    await cluster.stop()
    const { settings } = readConfiguration(cluster.dataDir)
    await cluster.start()
    const again = await connect(cluster)
    for (const name of ['cluster_name', 'work_mem', 'maintenance_work_mem', 'ltap.one', 'ltap.two', 'ltap.three']) {
      expect(settings.get(name), name).toBe(await again.value(`SHOW ${name}`))
    }
    expect(settings.has('ltap.four')).toBe(false)
  }))
})

describe('configuration', () => {
  test('included files of a circle are read to the depth that a server allows; files of pg_hba.conf count', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-configuration-'))
    try {
      writeFileSync(join(folder, 'postgresql.conf'), "include 'postgresql.conf'\nssl_crl_dir = 'crls'\nssl_ca_file = 'ca.crt'\ndata_directory = '/other'\n")
      mkdirSync(join(folder, 'crls'))
      writeFileSync(join(folder, 'crls/abc.r0'), '')
      writeFileSync(join(folder, 'pg_hba.conf'), '# @no\nlocal all,@users.txt all trust\ninclude "more hba.conf"\ninclude_dir /etc/ltap/hba\n')
      symlinkSync('/nowhere', join(folder, 'link'))
      const { inside, outside } = readConfiguration(folder)
      expect(inside).toEqual(['ca.crt', 'crls/abc.r0', 'more hba.conf', 'pg_hba.conf', 'pg_ident.conf', 'postgresql.conf', 'server.crt', 'server.key', 'users.txt'])
      expect(outside.map(({ name, path }) => [name, path])).toEqual([['include_dir', '/etc/ltap/hba'], ['data_directory', '/other']])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('lines', () => {
    expect(parseSettings("a = 'x\ny' \r\nb=1;c=2\nINCLUDE 'f'\n= 3\n")).toEqual([{ name: 'b', value: '1;c=2' }, { name: 'include', value: 'f' }])
    expect(authenticationIncludes('host "@db" @"a ""b""" x trust\ninclude_if_exists f # g\n')).toEqual([
      { name: 'include', value: 'a "b"' }, { name: 'include_if_exists', value: 'f' },
    ])
  })
})
