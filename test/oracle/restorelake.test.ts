/** A data directory made from a lake of layers alone: its newest state, and one that came before. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { openLakeSource } from '../../src/jobs/restore/lakesource.ts'
import { findPostgres } from '../../src/server/postgresbinaries.ts'
import { ltap } from '../cli/streams.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, fewerMajors, withAdopted, withCluster } from '../support/oracle.ts'
import { pgDump } from '../support/pgdump.ts'
import { amcheck, fill, indexAnswers, restore } from '../support/restorecheck.ts'

describe.each(fewerMajors('majors of restores from lakes'))('Postgres %i', (major) => {
  test('each state of a lake boots and says what the server said', () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    const lake = join(folder, 'lake')
    const store = await openObjectStore(lake)
    await fill(cluster, sql)
    const states: { lsn: string; dump: string; answers: string[] }[] = []
    for (const change of ['', "UPDATE facts SET name = name || '?' WHERE id % 5 = 0; DELETE FROM parted WHERE id % 3 = 0; VACUUM FULL words"]) {
      const there = await connect(cluster)
      for (const statement of change.split(';')) await there.exec(statement)
      const answers = await indexAnswers(there)
      await there.exec('TRUNCATE forgotten RESTART IDENTITY')
      const dump = await pgDump(cluster, 'postgres')
      await closeSessions(cluster)
      await cluster.stop()
      const { lsn } = await materializeLake({ pgdata: cluster.dataDir, store, workers: 0 })
      states.push({ lsn, dump, answers })
      await cluster.start()
    }
    for (const { lsn, dump, answers } of states) {
      const out = join(folder, lsn.replace('/', '-'))
      const source = await openLakeSource(lake, lsn === states[0]!.lsn ? lsn : undefined)
      const told: { done: number; total: number; what: string }[] = []
      const onProgress = (done: number, total: number, what: string): void => void told.push({ done, total, what })
      expect(await restore(source, out, { onProgress })).toMatchObject({ timeline: 2, notRebuilt: [{ index: 'public.never_valid' }] })
      expect(new Set(told.map(({ total }) => total)).size).toBe(1)
      expect(told.filter(({ done, total }) => done > total)).toEqual([])
      expect(told.at(-1)!.done).toBe(told[0]!.total)
      expect(told.map(({ what }) => what)).toContain('postgres.public.facts')
      await withAdopted(out, async (server, restored) => {
        expect(await pgDump(server, 'postgres')).toBe(dump)
        expect(await indexAnswers(restored)).toEqual(answers)
        expect(await amcheck(restored)).toEqual([])
      })
    }
    expect(states[0]!.answers).not.toEqual(states[1]!.answers)
    const args = ['restore', '--lake', lake, '--out', join(folder, 'verb'), '--to', states[0]!.lsn, '--postgres', findPostgres(major)!.binDir]
    const { code, stdout, stderr } = await ltap(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('ltap:') as string })
    expect(stdout).toMatch(new RegExp(`verb has the state at ${states[0]!.lsn}, as timeline 2\\n[\\s\\S]*rebuilt[\\s\\S]*public.never_valid`))
    expect((await ltap(args)).stderr).toMatch(/^ltap: restore\.exists: .*\n$/)
    await expect(openLakeSource(lake, '0/8')).rejects.toThrow(/lake\.no-state/)
    await expect(openLakeSource(folder)).rejects.toThrow(/restore\.format/)
    const partial = join(folder, 'partial')
    await cluster.stop()
    await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(partial), workers: 0, filter: { databases: ['other'], tables: [] } })
    await expect(openLakeSource(partial)).rejects.toThrow(/restore\.incomplete: .*--database or --table/)
    const secretless = join(folder, 'secretless')
    const filter = { databases: [], tables: [], excludeSecrets: true }
    await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(secretless), workers: 0, filter })
    await expect(openLakeSource(secretless)).rejects.toThrow(/restore\.incomplete: .* lacks .*pg_authid/)
  })))
})
