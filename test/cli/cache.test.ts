/** `ltap transcode --cache`: the page store is kept, the next run goes on there and reads what changed alone; what does not belong together is refused. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { formatState, parseState } from '../../src/replay/pagestore/statefile.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { withFolder } from '../support/lakes.ts'
import { drawn } from '../support/scope.ts'
import { ltap } from './streams.ts'

interface Report {
  lsn: string
  from: string | null
  compared: number
  blocks: number
}

const SETTINGS = { wal_level: 'replica', wal_keep_size: '1GB' }

test.each(drawn(majors(), 1, 'majors of --cache'))('a page store is kept between runs, Postgres %i', (major) => withFolder((folder) =>
  withCluster(major, { settings: SETTINGS }, async (server, sql) => {
    const [base, wal, cache, lake] = [join(folder, 'base'), join(folder, 'wal'), join(folder, 'cache'), `file:${join(folder, 'lake')}`]
    await sql.exec('CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 5000) i')
    await closeSessions(server)
    await server.stop()
    await server.copyDataDir(base)
    await server.start()
    const lsns: string[] = []
    for (const id of [10, 2000, 4000]) {
      const there = await connect(server)
      await there.exec(`UPDATE t SET v = 'new' WHERE id = ${id}`)
      lsns.push((await there.value('SELECT pg_current_wal_insert_lsn()'))!)
      await there.close()
    }
    await server.stop()
    cpSync(join(server.dataDir, 'pg_wal'), wal, { recursive: true })
    const args = (to: string, into = lake): string[] => ['transcode', base, '--wal', wal, '--to', to, '--lake', into, '--workers', '1', '--database', 'postgres']
    const run = async (to: string, ...more: string[]): Promise<Report> => {
      const { code, stdout, stderr } = await ltap([...args(to), '--json', ...more])
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('ltap:') as string })
      return JSON.parse(stdout) as Report
    }
    await run(lsns[0]!, '--cache', cache)
    // Work follows the changed pages: two of the table, and those of its catalogs.
    const second = await run(lsns[1]!, '--cache', cache)
    expect(second.blocks).toBeGreaterThan(1)
    expect(second.compared).toBeLessThan(20)

    // The lake is behind the page store, whose changes since then are known.
    expect((await ltap(['replay', base, '--wal', wal, '--to', lsns[2]!, '--out', cache])).code).toBe(0)
    expect((await ltap([...args(lsns[1]!), '--cache', cache])).stderr).toMatch(/^ltap: replay\.past: /m)
    const third = await run(lsns[2]!, '--cache', cache)
    expect(third).toMatchObject({ from: second.lsn })
    expect(third.compared).toBeLessThan(20)

    // Without it all pages are read again, and that is said.
    const other = `file:${join(folder, 'other')}`
    expect((await ltap([...args(lsns[0]!, other), '--cache', join(folder, 'own')])).code).toBe(0)
    const without = await ltap([...args(lsns[1]!, other), '--json'])
    expect(without.stderr).toMatch(/ltap: the source is replayed from its start: --cache <dir> keeps the replayed files/)
    expect((JSON.parse(without.stdout) as Report).compared).toBeGreaterThan(100)

    const refused = async (change: (state: ReturnType<typeof parseState>) => ReturnType<typeof parseState>): Promise<string> => {
      const copy = join(folder, 'copy')
      cpSync(cache, copy, { recursive: true })
      const file = join(copy, 'ltap/state')
      writeFileSync(file, formatState(change(parseState(readFileSync(file)))))
      return (await ltap([...args(lsns[2]!), '--cache', copy])).stderr
    }
    expect(await refused((state) => ({ ...state, identity: { ...state.identity, systemIdentifier: 7n } }))).toMatch(/^ltap: lake\.other-cluster: .*copy is of the cluster.* 7, the lake/)
    const onTimeline2 = await refused(({ replay, ...state }) => ({
      ...state, replay: { ...replay, ancestors: [{ timeline: 1, end: 0x1000000 }], transactions: { ...replay.transactions, timeline: 2 } },
    }))
    expect(onTimeline2).toMatch(/^ltap: lake\.timeline: .*copy is on timeline 2; .* was left at LSN 0\/1000000, before that/)
    expect((await ltap([...args(lsns[2]!), '--cache', cache, '--work', cache])).code).toBe(2)
  })))
