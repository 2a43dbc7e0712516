/** Part of a block at the end of a file, as a crash or a full disk leaves it: a server ignores it, and so does every verb, which says so. */
import { appendFileSync, cpSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ltap } from '../cli/streams.ts'
import { expectRefusal, heapFile, toastFile } from '../support/badinput.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, fewerMajors, withAdopted, withCluster } from '../support/oracle.ts'

const ROWS = 'select count(*), sum(a), sum(length(b)), max(ctid::text) from t'

describe.each(fewerMajors('majors of partial blocks'))('a partial block, Postgres %i', (major) => {
  test('is counted and left out, by a server and by every verb', async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      await sql.script(`create table t (a int, b text); create table empty (a int);
        insert into t select i, repeat('x', i) from generate_series(1, 1000) i;
        insert into t values (0, (select string_agg(md5(i::text), '') from generate_series(1, 500) i))`)
      await closeSessions(server)
      await server.stop()
      const { dataDir } = server
      const [t, empty, toast] = [heapFile(dataDir, 'postgres', 'public.t'), heapFile(dataDir, 'postgres', 'public.empty'), toastFile(dataDir, 'postgres', 'public.t')]
      const whole = statSync(t).size
      appendFileSync(t, Buffer.alloc(4096, 0xab))
      appendFileSync(empty, Buffer.alloc(100, 0xcd))
      appendFileSync(toast, Buffer.alloc(8191, 0xef))
      const copy = join(folder, 'copy')
      cpSync(dataDir, copy, { recursive: true })

      const lake = join(folder, 'lake')
      const only = ['--exclude', 'pg_catalog.*', '--exclude', 'information_schema.*', '--workers', '1']
      const written = await ltap(['transcode', dataDir, '--lake', lake, ...only, '--json'])
      expect({ code: written.code, forensic: JSON.parse(written.stdout).forensic }).toMatchObject({ code: 0, forensic: {
        trailingBytes: 4096 + 100 + 8191,
        partialBlocks: expect.arrayContaining([{ relation: 'postgres.public.t', bytes: 4096 }, { relation: 'postgres.public.empty', bytes: 100 }]),
      } })
      const verified = await ltap(['verify', dataDir, '--lake', lake, '--workers', '1', '--json'])
      expect(JSON.parse(verified.stdout)).toMatchObject({ equal: true, forensic: { trailingBytes: 12387 } })
      const listed = await ltap(['inspect', 'relations', dataDir, '--database', 'postgres'])
      expect({ code: listed.code, stderr: listed.stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/postgres.public.t: 4096 bytes behind the last whole block/) })
      const rows = await ltap(['inspect', 'table', dataDir, 'public.t', '--format', 'csv'])
      expect({ code: rows.code, lines: rows.stdout.split('\n').length, stderr: rows.stderr })
        .toEqual({ code: 0, lines: 1003, stderr: 'ltap: 4096 bytes behind the last whole block, which no server reads\n' })
      const pages = await ltap(['inspect', 'page', t, '--block', '0'])
      expect(pages).toMatchObject({ code: 0, stderr: 'ltap: 4096 bytes behind the last whole block, which no server reads\n' })
      const replayed = await ltap(['replay', dataDir, '--out', join(folder, 'replayed'), '--json'])
      expect({ code: replayed.code, report: JSON.parse(replayed.stdout) }).toMatchObject({ code: 0, report: { trailingBytes: 12387 } })
      expect((await ltap(['verify', join(folder, 'replayed'), '--lake', lake, '--workers', '1'])).code).toBe(0)

      // Whole blocks behind a segment that is not full are another matter: a server does not see them.
      appendFileSync(`${empty}.1`, Buffer.alloc(8192))
      const cut = await ltap(['transcode', dataDir, '--lake', join(folder, 'cut'), ...only])
      expectRefusal(cut, /relation.segment: a segment before this one is missing or not full: a server sees the relation end at block 0; bring that segment back/)
      rmSync(`${empty}.1`)

      expect((await ltap(['rebuild', '--lake', lake, '--pgdata', copy, '--workers', '1'])).code).toBe(0)
      expect(statSync(heapFile(copy, 'postgres', 'public.t')).size).toBe(whole)
      const answers = await Promise.all([dataDir, copy].map((dir) => withAdopted(dir, async (_, session) => {
        const before = await session.rows(ROWS)
        await session.exec("insert into t select i, 'y' from generate_series(1, 2000) i")
        return [before, await session.rows(ROWS)]
      })))
      expect(answers[0]).toEqual(answers[1])
      expect(answers[0]![0]).toEqual([['1001', '500500', String(500500 + 16000), expect.any(String)]])
    }))
  })
})
