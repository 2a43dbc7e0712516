/** Catalog pages, maps and transaction files with wrong bytes: an error that says where, or an answer; never anything else. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CorruptionError, isPositioned } from '../../src/common/errors.ts'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { parseTwoPhaseFile } from '../../src/xact/twophase.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

const CATALOGS = ['pg_class', 'pg_attribute', 'pg_type', 'pg_namespace', 'pg_enum', 'pg_range', 'pg_inherits', 'pg_database']

test('wrong bytes in the catalogs', async () => {
  const major = majors()[0]!
  await withCluster(major, major >= 18 ? { initdbArgs: ['--no-data-checksums'] } : {}, async (server, sql) => {
    await sql.script(`create type mood as enum ('a', 'b'); create table p (a int, b mood) partition by list (a);
      create table q partition of p default; alter table p add column c text default repeat('xyz', 2000), add column d int8 default 1`)
    const files: string[] = []
    for (const name of CATALOGS) files.push((await sql.value(`select pg_relation_filepath('${name}')`))!)
    const dbOid = Number(await sql.value(`select oid from pg_database where datname = 'postgres'`))
    await closeSessions(server)
    await server.stop()
    const originals = new Map(files.map((file) => [file, readFileSync(join(server.dataDir, file))]))
    let failures = 0
    fc.assert(fc.property(fc.constantFrom(...files), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (file, at, flip, header) => {
      const original = originals.get(file)!
      const broken = Buffer.from(original)
      // Half of the hits go into page headers and line pointers.
      const byte = header ? (at % (original.length / 8192)) * 8192 + (at % 400) : at % original.length
      broken[byte]! ^= flip
      writeFileSync(join(server.dataDir, file), broken)
      try {
        openCluster(server.dataDir).relations(dbOid)
      } catch (error) {
        failures++
        if (!isPositioned(error)) throw error
      } finally {
        writeFileSync(join(server.dataDir, file), original)
      }
    }), { numRuns: 150 })
    expect(failures).toBeGreaterThan(0)
    expect(() => openCluster(server.dataDir).relations(dbOid)).not.toThrow()
  })
})

test.each(majors())('two-phase files of Postgres %i', async (version) => {
  await withCluster(version, {}, async (server, sql) => {
    const major = parsePgMajor(String(version))
    await sql.exec(`create table t (a int)`)
    await sql.exec(`begin; insert into t values (1); savepoint a; insert into t values (2); savepoint b; insert into t values (3);
      release b; release a;
      savepoint c; insert into t values (4); rollback to c; prepare transaction 'a gid'`)
    const xids = (await sql.rows(`select distinct transaction::text, database from pg_prepared_xacts,
      pg_database where datname = database`))[0]!
    const dbOid = Number(await sql.value(`select oid from pg_database where datname = 'postgres'`))
    await sql.exec('checkpoint')
    const dir = join(server.dataDir, 'pg_twophase')
    const [name] = readdirSync(dir)
    const bytes = new Uint8Array(readFileSync(join(dir, name!)))
    const xid = Number(xids[0])
    // The subtransaction that was rolled back is not among them: it is aborted already.
    expect(parseTwoPhaseFile(bytes, major)).toEqual({ xid, database: dbOid, subxacts: [xid + 1, xid + 2] })
    for (let at = 0; at < bytes.length; at++) {
      const broken = bytes.slice()
      broken[at]! ^= 0x10
      expect(() => parseTwoPhaseFile(broken, major)).toThrow(CorruptionError)
      expect(() => parseTwoPhaseFile(bytes.slice(0, at), major)).toThrow(CorruptionError)
    }
  })
})
