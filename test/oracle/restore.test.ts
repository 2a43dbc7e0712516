/** A data directory made from what a lake holds: the server boots, its indexes are whole, it says what the original says. test/long has the rest. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RestoreTarget } from '../../src/io/datadir/restoretarget.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, fewerMajors, withAdopted, withCluster } from '../support/oracle.ts'
import { pgDump } from '../support/pgdump.ts'
import { amcheck, fill, indexAnswers, restore } from '../support/restorecheck.ts'

describe.each(fewerMajors('majors of restores'))('Postgres %i', (major) => {
  test('a restored server says what the original says', () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await fill(cluster, sql)
    const open = await connect(cluster)
    await open.exec("BEGIN; INSERT INTO facts (id, name) VALUES (-1, 'open'); CREATE TABLE dead (id int PRIMARY KEY)")
    const answers = await indexAnswers(sql)
    await closeSessions(cluster)
    const there = await connect(cluster)
    await there.exec('TRUNCATE forgotten RESTART IDENTITY')
    const dump = await pgDump(cluster, 'postgres')
    await there.exec("INSERT INTO forgotten (t) SELECT repeat('y', 5000) FROM generate_series(1, 10); SELECT setval('forgotten_id_seq', 1, false)")
    await closeSessions(cluster)
    await cluster.stop()
    const out = join(folder, 'restored')
    const report = await restore(cluster.dataDir, out)
    expect(report).toMatchObject({
      timeline: 2, prepared: 0, notRebuilt: [{ database: 'postgres', index: 'public.never_valid' }], notRestored: [], made: [], outside: [],
    })
    expect(report.indexes).toBeGreaterThan(20)
    expect(report.unlogged).toBeGreaterThan(4)
    expect(existsSync(join(out, 'ltap-restore'))).toBe(false)
    expect(readdirSync(`${out}.tablespaces`)).toEqual(report.tablespaces.map(({ oid }) => String(oid)))
    expect(statSync(out).mode & 0o777).toBe(0o700)
    expect(statSync(join(out, 'postgresql.conf')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(out, 'pg_wal/00000002.history'), 'latin1')).toMatch(/^1\t[0-9A-F]+\/[0-9A-F]+\tltap restore [0-9a-z]{20}\n$/)
    await withAdopted(out, async (server, restored) => {
      expect((await restored.rows('SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid')).flat()).toEqual(['never_valid'])
      expect(await restored.value('SELECT count(*) FROM forgotten')).toBe('0')
      expect(await pgDump(server, 'postgres')).toBe(dump)
      expect(await indexAnswers(restored)).toEqual(answers)
      expect(await amcheck(restored)).toEqual([])
      expect(await restored.value("SELECT to_regclass('dead')")).toBe(null)
      expect(await restored.value("INSERT INTO forgotten (t) VALUES ('a') RETURNING id")).toBe('1')
      expect(await restored.value('SELECT timeline_id FROM pg_control_checkpoint()')).toBe('2')
      expect(await restored.value('SHOW archive_mode')).toBe('off')
      await restored.exec('CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 100)')
      await server.kill()
      await server.start()
      expect(await (await connect(server)).value('SELECT count(*) FROM later')).toBe('100')
    })
    await expect(restore(cluster.dataDir, out)).rejects.toThrow(/restore\.exists: the folder is not empty/)
  })))

  test('a folder in which a server still works is not emptied, though a restore left its mark there', () => withCluster(major, {}, async (cluster, sql) => {
    const mark = join(cluster.dataDir, 'ltap-restore')
    mkdirSync(mark)
    expect(() => new RestoreTarget(cluster.dataDir)).toThrow(/restore\.running: a server of the restore that was interrupted still works in the folder: .*process \d+/)
    expect(await sql.value('SELECT count(*) > 0 FROM pg_class')).toBe('t')
    expect(existsSync(join(cluster.dataDir, 'PG_VERSION'))).toBe(true)
    rmSync(mark, { recursive: true })
  }))
})
