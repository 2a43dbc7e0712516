/** A whole cluster in every state a data directory can be in → lake → heap files of a copy, judged by a real server. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../support/oracle.ts'
import { destroyHeapFiles, disagreements, interrogate, transcode, withFolder } from '../support/lakes.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

/** Data checksums on for 15, 17 and 18, off for 14 and 16. */
const INITDB: Record<number, string[]> = { 15: ['-k'], 17: ['-k'] }

describe.each(fewerMajors('majors of round trip'))('round trip on Postgres %i', (major) => {
  test('every page of every relation, the data directory gone', async () => {
    await withFolder(async (folder) => {
      const [lake, original, rebuilt] = ['lake', 'original', 'rebuilt'].map((name) => join(folder, name)) as [string, string, string]
      const manifest = await prepare(major, lake, original, rebuilt)
      expect(manifest.checksums).toBe([15, 17, 18].includes(major))

      expect(destroyHeapFiles(rebuilt, manifest)).toBeGreaterThan(700)
      const { relations } = await rebuildLake({ lake, pgdata: rebuilt, force: true, workers: 0 })
      expect(relations).toBe(manifest.relations.filter(({ relkind }) => relkind !== 'p').length)
      expect((await verifyLake({ lake, pgdata: rebuilt, workers: 0 })).differences).toEqual([])

      const expected = await interrogate(original)
      const found = await interrogate(rebuilt)
      expect(disagreements(expected, found)).toEqual([])
      const unclean = [...found].filter(([question, answer]) => question.includes('amcheck of') && answer !== clean(question))
      expect(unclean).toEqual([])
      expect(JSON.parse(found.get('prepared transactions')!)).toHaveLength(6)
      expect(found.get('postgres: rows of mvcc.prepared_created')).toContain('not yet')
    })
  })
})

function clean(question: string): string {
  return question.includes('amcheck of index') ? 'clean' : '[]'
}

/** The lake of a cluster, and two copies of its data directory: the cluster itself is gone. */
async function prepare(major: number, lake: string, original: string, rebuilt: string): Promise<Manifest> {
  return withCluster(major, { initdbArgs: INITDB[major] ?? [] }, async (cluster, sql) => {
    await loadZoo(major, sql)
    const { databases } = await runWorkload(cluster)
    for (const database of [...databases, 'template1']) await (await connect(cluster, database)).exec('CREATE EXTENSION amcheck')
    await closeSessions(cluster)
    await cluster.stop('fast')
    const manifest = await transcode(cluster.dataDir, lake)
    // Rows of rolled back and of prepared DDL: no catalog at L describes them, nobody sees them.
    const carried = manifest.relations.filter(({ lanes }) => lanes.tupleLane > 0).map(({ name }) => name).sort()
    const prepared = ['altered', 'created', 'retyped', 'truncated'].map((what) => `prepared_${what}`)
    expect(carried).toEqual(['ddl_aborted', ...prepared, 'running_altered'])
    expect(manifest.relations.every(({ lanes }) => lanes.pageImages === 0)).toBe(true)
    const report = await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })
    expect(report.differences).toEqual([])
    expect(report.equal).toBe(true)
    expect(report.forensic).toMatchObject({ hintContradictions: 0, damagedPages: 0, orphanFiles: [] })
    await cluster.copyDataDir(original)
    await cluster.copyDataDir(rebuilt)
    await cluster.remove()
    const audit = await verifyLake({ lake, workers: 0 })
    expect(audit.equal).toBe(true)
    expect(audit).toMatchObject({ pages: report.pages, tuples: report.tuples, rows: report.rows, hiddenRows: report.hiddenRows })
    return manifest
  })
}
