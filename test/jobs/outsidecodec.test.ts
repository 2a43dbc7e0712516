/** A codec from outside reaches files, threads, verify and rebuild; a file that needs one that is not given is an error that names the type. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import type { CodecFactory } from '../../src/datum/typedef.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { ltap } from '../cli/streams.ts'
import { BADGE_SQL, writeBadgeCodec } from '../support/badgecodec.ts'
import { visibleRows } from '../support/lakerows.ts'
import { destroyHeapFiles, transcode, withFolder } from '../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

type Jobs = typeof import('../../src/jobs/index.ts')
const BUILT = resolve(import.meta.dirname, '../../dist/jobs/index.js')
const [major] = majors().slice(-1)
/** One of them has no column that the codec reads. */
const TABLES = { databases: ['postgres'], tables: ['public.t', 'other.s', 'pg_catalog.pg_class'] }
const NEEDED = /datum\.codec: values of the type public\.badge were written by a codec from outside of ltap; name its module with --codecs/

const ROWS = `CREATE TABLE t (id int, b badge, l badge[]);
  INSERT INTO t VALUES (1, '7', '{1,2}'), (2, '-8', '{3000}'), (3, NULL, NULL), (4, '5000', '{}'), (5, '99', NULL);
  UPDATE t SET b = '70' WHERE id = 1; DELETE FROM t WHERE id = 5;
  CREATE SCHEMA other; CREATE DOMAIN other.small AS badge; CREATE TABLE other.s AS SELECT i, i::text::badge::other.small AS b FROM generate_series(1, 20000) i`

function tableOf(manifest: Manifest, name: string): Manifest['relations'][number] {
  return manifest.relations.find((relation) => relation.name === name && relation.database === 'postgres')!
}

/** Of the relation's segment 0. */
function heapBytes(pgdata: string, manifest: Manifest, name: string): Uint8Array {
  return readFileSync(join(pgdata, tableOf(manifest, name).path))
}

/** Runs what is in `dist` on two threads, if it is built. */
async function onThreads(body: (jobs: Jobs, workers: InstanceType<Jobs['Workers']>) => Promise<void>): Promise<void> {
  if (!existsSync(BUILT)) return console.warn('SKIPPED: worker threads, because nothing is built')
  const jobs = await import(BUILT) as Jobs
  const workers = new jobs.Workers(2)
  try {
    await body(jobs, workers)
  } finally {
    await workers.close()
  }
}

describe.runIf(major !== undefined)('a type that a module outside of ltap reads', () => {
  test('lake, verify, rebuild; here and on threads', () => withFolder((folder) => withCluster(major!, {}, async (cluster, sql) => {
    await sql.exec(BADGE_SQL)
    await sql.exec(ROWS)
    await closeSessions(cluster)
    await cluster.stop()
    const pgdata = cluster.dataDir
    const [lake, plain, copy] = ['lake', 'plain', 'copy'].map((name) => join(folder, name)) as [string, string, string]
    const codecs = [writeBadgeCodec(folder)]
    const manifest = await transcode(pgdata, lake, { codecs, filter: TABLES })

    const { columns, rows, descriptor } = visibleRows(lake, tableOf(manifest, 't'))
    expect(columns.map(({ type }) => type.kind)).toEqual(['int', 'int', 'list'])
    expect(rows.map(({ values: [id, b, l], overflow }) => [id, b, l, overflow[1]])).toEqual([
      [2, -8, null, null], [3, null, null, null], [4, null, [], expect.stringContaining('No. 5000')], [1, 70, [1, 2], null],
    ])
    expect(descriptor.relation.desc.types.filter(({ outside }) => outside).map(({ name }) => name)).toEqual(['badge'])
    expect(tableOf(manifest, 's').lanes.raw).toBe(0)

    // Alone, and against the pages.
    expect(await verifyLake({ lake, workers: 0, codecs })).toMatchObject({ equal: true, differing: 0 })
    expect(await verifyLake({ lake, pgdata, workers: 0, codecs })).toMatchObject({ equal: true, differing: 0 })
    await expect(verifyLake({ lake, workers: 0 })).rejects.toThrow(NEEDED)

    cpSync(pgdata, copy, { recursive: true })
    destroyHeapFiles(copy, manifest)
    writeFileSync(join(copy, tableOf(manifest, 't').path), 'as it was')
    await expect(rebuildLake({ lake, pgdata: copy, workers: 0 })).rejects.toThrow(NEEDED)
    expect(Buffer.from(heapBytes(copy, manifest, 't')).toString()).toBe('as it was')
    await rebuildLake({ lake, pgdata: copy, workers: 0, codecs })
    expect(await verifyLake({ lake, pgdata: copy, workers: 0, codecs })).toMatchObject({ equal: true })

    // Planted: a codec whose bytes are others is found by the CRC of the page; one that was so from the start costs the raw lane.
    const wrong = [writeBadgeCodec(folder, 'wrong.mjs', '(column.words[row] + 1)')]
    expect(await verifyLake({ lake, workers: 0, codecs: wrong })).toMatchObject({ equal: false })
    await expect(rebuildLake({ lake, pgdata: copy, workers: 0, codecs: wrong, table: 'other.s' })).rejects.toThrow(/lake\.page-crc/)
    const lossless = await transcode(pgdata, join(folder, 'wronglake'), { codecs: wrong, filter: { databases: [], tables: ['other.s'] } })
    expect(tableOf(lossless, 's').lanes.raw).toBeGreaterThan(0)
    expect(await verifyLake({ lake: join(folder, 'wronglake'), pgdata, workers: 0, codecs: wrong })).toMatchObject({ equal: true })

    // A lake without it does not change because a codec is given, and none is used for it.
    const without = await transcode(pgdata, plain, { filter: TABLES })
    expect(visibleRows(plain, tableOf(without, 't')).columns.map(({ type }) => type.kind)).toEqual(['int', 'binary', 'list'])
    expect(await verifyLake({ lake: plain, pgdata, workers: 0, codecs })).toMatchObject({ equal: true })
    const crcs = (of: Manifest): number[] => of.relations.filter(({ name }) => !['t', 's'].includes(name)).flatMap(({ files }) => files.map(({ crc32 }) => crc32))
    expect(crcs(manifest)).toEqual(crcs(without))

    await onThreads(async (jobs, workers) => {
      const other = join(folder, 'threads')
      const { transcodeLake } = await import(join(BUILT, '../transcodelake.js')) as typeof import('../../src/jobs/transcodelake.ts')
      const made = await transcodeLake({ pgdata, lake: other, workers, filter: TABLES, codecs: [pathToFileURL(codecs[0]!).href] })
      expect(made.relations.map(({ files }) => files)).toEqual(manifest.relations.map(({ files }) => files))
      expect(await jobs.verifyLake({ lake: other, pgdata, workers, codecs })).toMatchObject({ equal: true })
      destroyHeapFiles(copy, manifest)
      await jobs.rebuildLake({ lake: other, pgdata: copy, workers, codecs })
      expect(await jobs.verifyLake({ lake: other, pgdata: copy, workers, codecs })).toMatchObject({ equal: true })
      await expect(jobs.verifyLake({ lake: other, workers })).rejects.toThrow(NEEDED)
    })

    // By the command line.
    const run = await ltap(['verify', '--lake', lake, '--workers', '1', '--codecs', codecs[0]!])
    expect([run.code, run.stderr]).toEqual([0, ''])
    const refused = await ltap(['verify', '--lake', lake, '--workers', '1'])
    expect([refused.code, refused.stdout]).toEqual([3, ''])
    expect(refused.stderr).toMatch(NEEDED)

    // In memory.
    const { codecs: extensions } = await import(codecs[0]!) as { codecs: Record<string, CodecFactory> }
    const opened = openCluster(pgdata)
    const { locator, desc, schema, name, oid, relkind, database } = opened.relations(descriptor.relation.dbOid).find((relation) => relation.name === 's')!
    const pages = new Uint8Array(heapBytes(pgdata, manifest, 's'))
    const relation = { ...locator, database: 'postgres', schema, name, oid, relkind, blocks: pages.length / 8192, encoding: database.encoding, desc: desc! }
    const { parquet } = transcodePages(relation, pages, {
      cluster: { systemIdentifier: '1', major: opened.major, checksums: opened.checksums, lsn: '0/1', profile: 'portable' }, compression: 'snappy',
      visibility: opened.snapshot, checksums: opened.checksums, onCorrupt: 'fail', extensions: new Map(Object.entries(extensions)),
    })
    expect(() => rebuildPages(parquet)).toThrow(NEEDED)
    expect(rebuildPages(parquet, { extensions: new Map(Object.entries(extensions)) })).toHaveLength(pages.length)
  })))

  test('a module that is not one', () => withFolder(async (folder) => {
    const made = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const codecs = (...modules: string[]): Promise<unknown> => verifyLake({ lake: resolve(import.meta.dirname, '../../fixtures/lakes/v1/2026-11-30-ca98f2e-pg17/lake'), workers: 0, codecs: modules })
    await expect(codecs(join(folder, 'none.mjs'))).rejects.toThrow(/codecs\.module: the module of codecs does not load/)
    await expect(codecs(made('empty.mjs', 'export const other = 1'))).rejects.toThrow(/codecs\.module: the module does not export an object `codecs`/)
    await expect(codecs(made('number.mjs', 'export const codecs = { badge: 1 }'))).rejects.toThrow(/codecs\.module: its codec of 'badge' is no function/)
    await expect(codecs(writeBadgeCodec(folder), writeBadgeCodec(folder, 'twice.mjs'))).rejects.toThrow(/codecs\.twice: the type 'badge'/)
  }))
})
