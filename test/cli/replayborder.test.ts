/** An archive ends where a segment ends, after each switch: a second replay has nothing to do, and goes on when there is more. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { ltap } from './streams.ts'

const SEGMENT_SIZE = 1 << 20

let root: string
let archive: string
let clean: string
let out: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-border-'))
  clean = join(root, 'clean')
  out = join(root, 'out')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const replay = async (...more: string[]): Promise<{ records: number; lsn: string }> => {
  const { code, stdout, stderr } = await ltap(['replay', clean, '--wal', archive, '--out', out, '--json', ...more])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as { records: number; lsn: string }
}

/** @returns the name of the segment that ends there, once it is in the archive */
async function insertAndSwitch(sql: Session): Promise<string> {
  await sql.exec('INSERT INTO t SELECT generate_series(1, 100)')
  const name = (await sql.value('SELECT pg_walfile_name(pg_current_wal_insert_lsn())'))!
  await sql.exec('SELECT pg_switch_wal()')
  await expect.poll(() => existsSync(join(archive, name)), { timeout: 240_000 }).toBe(true)
  return name
}

async function rows(): Promise<number> {
  const lake = join(root, `lake${readdirSync(root).length}`)
  expect(await ltap(['transcode', out, '--lake', lake, '--table', 'public.t', '--workers', '1'])).toMatchObject({ code: 0 })
  const { stdout } = await ltap(['query', '--lake', lake, '--format', 'csv', 'SELECT count(*) FROM t'])
  return Number(stdout.split('\n')[1])
}

/** As pg_receivewal leaves the segment that it is receiving: zeros after what came. */
async function receivePartially(cluster: PostgresServer, sql: Session): Promise<string> {
  const name = (await sql.value('SELECT pg_walfile_name(pg_current_wal_insert_lsn())'))!
  await sql.exec('CHECKPOINT')
  copyFileSync(join(cluster.dataDir, 'pg_wal', name), join(archive, `${name}.partial`))
  return name
}

describe.each(fewerMajors('majors of segment borders'))('Postgres %i', (major) => {
  test('replay to the end, again and again', () => {
    const settings = { archive_mode: 'on', autovacuum: 'off' }
    return withCluster(major, { initdbArgs: ['--wal-segsize=1'], settings }, async (cluster, first) => {
      archive = await cluster.makeDir('archive')
      await first.exec(`ALTER SYSTEM SET archive_command = 'cp "%p" "${archive}/%f.tmp" && mv "${archive}/%f.tmp" "${archive}/%f"'`)
      await first.exec('CREATE TABLE t (i int)')
      await closeSessions(cluster)
      await cluster.stop()
      await cluster.copyDataDir(clean)
      await cluster.start()
      const sql = await connect(cluster)
      await insertAndSwitch(sql)
      const before = await replay()
      expect(before.records).toBeGreaterThan(100)
      expect(Number.parseInt(before.lsn.split('/')[1]!, 16) % SEGMENT_SIZE).toBe(0)
      for (const to of [[], ['--to', 'latest'], ['--to', before.lsn]]) expect(await replay(...to)).toMatchObject({ records: 0, lsn: before.lsn })
      expect(await rows()).toBe(100)

      const second = await insertAndSwitch(sql)
      await insertAndSwitch(sql)
      renameSync(join(archive, second), join(root, second))
      const hole = await ltap(['replay', clean, '--wal', archive, '--out', out])
      expect(hole).toMatchObject({ code: 3, stderr: expect.stringMatching(new RegExp(`^ltap: wal.missing-segment: .*${second}`)) as string })
      renameSync(join(root, second), join(archive, second))
      expect((await replay()).records).toBeGreaterThan(200)
      expect((await replay()).records).toBe(0)
      expect(await rows()).toBe(300)

      // The next segment is there but empty; then half received; then whole.
      const next = (await sql.value('SELECT pg_walfile_name(pg_current_wal_insert_lsn())'))!
      writeFileSync(join(archive, `${next}.partial`), new Uint8Array(SEGMENT_SIZE))
      expect((await replay('--to', 'latest')).records).toBe(0)
      await sql.exec('INSERT INTO t SELECT generate_series(1, 100)')
      expect(await receivePartially(cluster, sql)).toBe(next)
      expect((await replay()).records).toBeGreaterThan(100)
      expect((await replay('--to', 'latest')).records).toBe(0)
      expect(await rows()).toBe(400)
      expect(await insertAndSwitch(sql)).toBe(next)
      const last = await replay()
      expect(last.records).toBeGreaterThan(100)
      rmSync(join(archive, `${next}.partial`))
      expect((await replay('--to', 'latest')).lsn).toBe(last.lsn)
      expect(await rows()).toBe(500)
      // Older segments may be gone; not the one that ends here, whose absence is a hole.
      for (const name of readdirSync(archive)) if (name !== next) rmSync(join(archive, name))
      expect((await replay()).records).toBe(0)
      // A recycled file is no WAL that goes on.
      writeFileSync(join(archive, `${next.slice(0, 16)}000000F0`), readFileSync(join(archive, next)))
      expect((await replay()).records).toBe(0)
    })
  })
})
