/** Visible rows of a lake, value by value, against COPY of the server that was restarted on the same data directory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { TranscodeLakeOptions } from '../../src/jobs/transcodelake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { compareCluster } from '../support/comparelake.ts'
import { makeEncodings } from '../support/encodings.ts'
import { transcode } from '../support/lakes.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

const ICEBERG = ['uuid', 'time', 'time_3', 'mixed_half_null', 'mixed_no_null', 'mixed_few', 'mixed_reordered']

describe.each(drawn(majors(), 1, 'majors of visible'))('visible rows on Postgres %i', (major) => {
  let cluster: PostgresServer
  let folder: string
  const lakes: { name: string; lake: string; manifest: Manifest }[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ltap-test-'))
    cluster = await createCluster(major)
    const sql = await connect(cluster)
    await loadZoo(major, sql)
    await runWorkload(cluster)
    const encodings = await makeEncodings(cluster, ['LATIN1', 'EUC_JP', 'SQL_ASCII'])
    await closeSessions(cluster)
    await cluster.stop('fast')
    await addLake('postgres', { filter: { databases: ['postgres'], tables: [] } })
    await addLake('iceberg', { profile: 'iceberg', filter: { databases: ['postgres'], tables: ICEBERG.map((name) => `zoo.${name}`) } })
    await addLake('encodings', { filter: encodings })
    await cluster.start()
  })

  afterAll(async () => {
    await closeSessions(cluster)
    await cluster.remove()
    await rm(folder, { recursive: true, force: true })
  })

  async function addLake(name: string, options: Partial<TranscodeLakeOptions>): Promise<void> {
    const lake = join(folder, name)
    lakes.push({ name, lake, manifest: await transcode(cluster.dataDir, lake, options) })
    expect((await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })).differences).toEqual([])
  }

  test.each(['postgres', 'iceberg', 'encodings'])('every value is in one lane as the server prints it: %s', async (wanted) => {
    const { lake, manifest } = lakes.find(({ name }) => name === wanted)!
    const { values, differences } = await compareCluster(cluster, lake, manifest)
    expect(differences.slice(0, 20)).toEqual([])
    expect(values).toBeGreaterThan(1000)
  })
})
