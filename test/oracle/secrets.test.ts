/** --exclude-secrets: no byte of a secret in the lake, and everything else as without it. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { expect, test } from 'vitest'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { destroyHeapFiles, transcode, withFolder } from '../support/lakes.ts'
import { closeSessions, majors, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'

/** In the order of {@link plant}. */
const WORDS = ['k3y-of-the-mapping', 'k3y-of-the-server', 'k3y-of-the-subscription', 'k3y-of-the-sample']

/** Secrets where a server keeps them, old versions and samples of them too. @returns all of them */
async function plant(sql: Session): Promise<string[]> {
  const hashes: string[] = []
  for (const role of ['first', 'second', 'third']) {
    await sql.exec(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    hashes.push((await sql.value(`SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`))!)
    await sql.exec(`ALTER ROLE ${role} PASSWORD 'two'`)
    hashes.push((await sql.value(`SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`))!)
  }
  await sql.script(`
    CREATE FOREIGN DATA WRAPPER w;
    CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (token '${WORDS[1]}');
    CREATE SERVER s2 FOREIGN DATA WRAPPER w OPTIONS (token '${WORDS[3]}');
    CREATE USER MAPPING FOR first SERVER s OPTIONS (password '${WORDS[0]}');
    CREATE SUBSCRIPTION sub CONNECTION 'host=none password=${WORDS[2]}' PUBLICATION p WITH (connect = false);
    DROP SERVER s2;
    ANALYZE pg_authid;
    CREATE TABLE t AS SELECT i AS id, 'visible to all' AS v FROM generate_series(1, 100) i;
  `)
  expect(Number(await sql.value(`SELECT count(*) FROM pg_statistic WHERE starelid = 'pg_authid'::regclass AND stavalues1::text LIKE '%SCRAM%' OR stavalues2::text LIKE '%SCRAM%'`)))
    .toBeGreaterThan(0)
  return [...WORDS, ...hashes]
}

/** All bytes of the lake's files, and all values that are in them. */
async function contentOf(lake: string): Promise<string> {
  const texts: string[] = []
  for (const name of readdirSync(lake, { recursive: true, encoding: 'utf8' })) {
    const path = join(lake, name)
    if (!statSync(path).isFile()) continue
    texts.push(readFileSync(path, 'latin1'))
    if (path.endsWith('.parquet')) collect(await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors }), texts)
  }
  return texts.join('\n')
}

function collect(value: unknown, texts: string[]): void {
  if (typeof value === 'string') texts.push(value)
  else if (value instanceof Uint8Array) texts.push(Buffer.from(value).toString('latin1'))
  else if (value !== null && typeof value === 'object') for (const part of Object.values(value)) collect(part, texts)
}

test.each(drawn(majors(), 1, 'majors of secrets'))('Postgres %i', (major) => withFolder(async (folder) => {
  await withCluster(major, {}, async (cluster, sql) => {
    const secrets = await plant(sql)
    await closeSessions(cluster)
    await cluster.stop()
    const [whole, without] = [join(folder, 'whole'), join(folder, 'without')]

    // The search finds what is there.
    await transcode(cluster.dataDir, whole)
    const all = await contentOf(whole)
    for (const secret of secrets) expect(all.includes(secret), secret).toBe(true)

    const manifest = await transcode(cluster.dataDir, without, { filter: { databases: [], tables: [], excludeSecrets: true } })
    const rest = await contentOf(without)
    for (const secret of secrets) expect(rest.includes(secret), secret).toBe(false)
    expect(rest.includes('visible to all')).toBe(true)

    const secretOnes = manifest.notRead.filter(({ why }) => why === 'secrets')
    expect([...new Set(secretOnes.map(({ name }) => name))].sort()).toEqual(['pg_authid', 'pg_foreign_server', 'pg_statistic', 'pg_subscription', 'pg_user_mapping'])
    expect(manifest.complete).toBe(true)
    const report = await verifyLake({ lake: without, pgdata: cluster.dataDir, workers: 0 })
    expect(report.differences).toEqual([])
    expect(report.equal).toBe(true)

    // A shared catalog is a table of every database, and one that is left out is said to be left out, not missing.
    const only = { databases: ['postgres'], tables: ['pg_catalog.pg_authid'] }
    expect((await transcode(cluster.dataDir, join(folder, 'only'), { filter: only })).relations.map(({ name }) => name)).toContain('pg_authid')
    await expect(transcode(cluster.dataDir, join(folder, 'none'), { filter: { ...only, excludeSecrets: true } }))
      .rejects.toThrow(/no relation that was asked for has pages that can be read: pg_catalog.pg_authid.*left out by --exclude-secrets: pg_authid holds password hashes/)

    // A rebuild leaves the copy's own: the server knows the same passwords.
    const copy = join(folder, 'copy')
    await cluster.copyDataDir(copy)
    expect(destroyHeapFiles(copy, manifest)).toBeGreaterThan(50)
    await rebuildLake({ lake: without, pgdata: copy, force: false, workers: 0 })
    await withAdopted(copy, async (_server, again) => {
      expect(secrets).toContain(await again.value(`SELECT rolpassword FROM pg_authid WHERE rolname = 'third'`))
      expect(await again.value('SELECT umoptions FROM pg_user_mapping')).toBe(`{password=${WORDS[0]}}`)
      expect(await again.value('SELECT count(*) FROM t')).toBe('100')
    })
  })
}))
