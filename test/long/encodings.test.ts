/** Databases of many encodings in one cluster, and a server that compresses with lz4: round trip and every visible value. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { CreateOptions, PostgresServer } from '../../src/server/postgres.ts'
import { compareCluster } from '../support/comparelake.ts'
import { ENCODINGS, makeEncodings } from '../support/encodings.ts'
import { destroyHeapFiles, disagreements, interrogate, transcode, withFolder } from '../support/lakes.ts'
import { type Session, closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { amount, drawn } from '../support/scope.ts'
import { loadZoo } from '../support/zoo.ts'
import { systemPostgres } from '../support/systempostgres.ts'

/** A system package of Postgres 15; the npm builds have no lz4. */
const LZ4_BINARIES = systemPostgres()

const MAJORS = amount({ sample: majors().slice(-1), all: majors().filter((major) => major === 15 || major === 18) })

describe.each(MAJORS)('encodings on Postgres %i', (major) => {
  test.each(drawn(['UTF8', 'LATIN1', 'EUC_JP', 'SQL_ASCII'], 1, 'encodings'))('a cluster initialised as %s', async (encoding) => {
    const others = encoding === 'UTF8' ? ENCODINGS : [encoding]
    await proveCluster(major, { encoding }, async (cluster) => {
      await makeEncodings(cluster, others)
    })
  })
})

describe.skipIf(!majors().includes(15) || LZ4_BINARIES === undefined)('lz4 on Postgres 15', () => {
  test('values compressed inline and out of line', async () => {
    await proveCluster(15, { binDir: LZ4_BINARIES!, settings: { default_toast_compression: 'lz4' } }, async (_cluster, sql) => {
      await loadZoo(15, sql)
      expect(await sql.value("SELECT count(*) FROM zoo.text WHERE pg_column_compression(v) = 'lz4'")).not.toBe('0')
    })
  })
})

async function proveCluster(
  major: number, options: Omit<CreateOptions, 'major'>, fill: (cluster: PostgresServer, sql: Session) => Promise<void>,
): Promise<void> {
  await withFolder((folder) => withCluster(major, options, async (cluster, sql) => {
    await fill(cluster, sql)
    for (const [database] of await sql.rows('SELECT datname FROM pg_database WHERE datallowconn')) {
      await (await connect(cluster, database ?? '')).exec('CREATE EXTENSION amcheck')
    }
    await closeSessions(cluster)
    await cluster.stop('fast')
    const [lake, original, rebuilt] = ['lake', 'original', 'rebuilt'].map((name) => join(folder, name)) as [string, string, string]
    const manifest = await transcode(cluster.dataDir, lake)
    expect((await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })).differences).toEqual([])
    await cluster.copyDataDir(original)
    await cluster.copyDataDir(rebuilt)
    destroyHeapFiles(rebuilt, manifest)
    await rebuildLake({ lake, pgdata: rebuilt, force: true, workers: 0 })
    expect((await verifyLake({ lake, pgdata: rebuilt, workers: 0 })).differences).toEqual([])
    if (options.binDir === undefined) expect(disagreements(await interrogate(original), await interrogate(rebuilt))).toEqual([])
    await cluster.start()
    const { values, differences } = await compareCluster(cluster, lake, manifest)
    expect(differences.slice(0, 20)).toEqual([])
    expect(values).toBeGreaterThan(10_000)
  }))
}
