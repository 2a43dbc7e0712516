/** Metadata of published tables that is deleted: verify names it, publish makes it again; gc removes what publications and branches leave behind. */
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLakeBranch, deleteLakeBranch } from '../../src/jobs/lakes/branches.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { publishLake } from '../../src/jobs/publish/publishlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { CopiedStates } from '../support/copiedstates.ts'
import { newestActions } from '../support/deltatable.ts'
import { failing } from '../support/failingstore.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { fewerMajors } from '../support/oracle.ts'
import { amount, drawn } from '../support/scope.ts'

const [major] = fewerMajors('majors of lost metadata') as [number]

let states: CopiedStates

beforeAll(async () => {
  // Every second row is hidden, so that Delta's deletion vector is no part of the log.
  states = await CopiedStates.make(major, [
    "CREATE TABLE a (id int, t text); INSERT INTO a SELECT i, 'one' FROM generate_series(1, 40000) i; DELETE FROM a WHERE id % 2 = 0 OR id % 7 = 1",
    "UPDATE a SET t = 'two' WHERE id < 100", "UPDATE a SET t = 'three' WHERE id < 200",
  ])
  for (const copy of [0, 1, 2]) await states.transcode('lake', copy, { merge: false, publish: { icebergVersion: 2 } })
})

afterAll(() => states.remove())

function tableOf(lake: string): string {
  return publishedFolders(states.lake(lake)).get('public.a')!
}

function below(table: string, pattern: RegExp): string[] {
  return readdirSync(table, { recursive: true, encoding: 'utf8' }).filter((name) => pattern.test(name)).sort()
}

async function problems(lake: string): Promise<string[]> {
  return (await verifyLake({ lake: states.lake(lake), workers: 0 })).differences.map(({ file, reason }) => `${file ?? ''}: ${reason}`)
}

test.each(drawn<[string, RegExp, 'whole' | 'some' | 'none']>([
  ['the newest metadata file', /^metadata\/v5\.metadata\.json$/, 'whole'], ['an earlier metadata file', /^metadata\/v4\.metadata\.json$/, 'whole'],
  ['the hint', /^metadata\/version-hint\.text$/, 'whole'], ['all metadata files', /metadata\.json$|version-hint/, 'whole'],
  ['the newest version of the log', /_delta_log\/0*4\.json$/, 'whole'], ['an earlier version of the log', /_delta_log\/0*3\.json$/, 'some'],
  ['manifests', /\.manifest\.avro$/, 'none'], ['manifest lists', /\.list\.avro$/, 'none'], ['delete files', /\.deletes$|\.puffin$/, 'none'],
  ['deletion vectors', /deletion_vector_.*\.bin$/, 'some'], ['all of it', /\.avro$|\.deletes$|\.puffin$|\.bin$|_delta_log\/.*|metadata\.json$|version-hint/, 'none'],
], amount({ quick: 4, sample: 11, all: 11 }), 'lost objects', ([name]) => name))('%s', async (what, pattern, history) => {
  const name = `lost ${what}`
  const lake = states.lake(name)
  cpSync(states.lake('lake'), lake, { recursive: true })
  await publishLake({ lake })
  await publishLake({ lake, icebergVersion: 3 })
  expect(await problems(name)).toEqual([])
  const table = tableOf(name)
  const before = icebergMetadata(table)
  const rows = await icebergRows(before)
  const gone = below(table, pattern)
  expect(gone.length).toBeGreaterThan(0)
  for (const file of gone) rmSync(join(table, file))
  const named = (await problems(name)).join('\n')
  expect(named).toContain(relative(lake, table))
  const report = await publishLake({ lake })
  expect(report).toMatchObject({ left: [] })
  expect(report.remade + report.restarted.length).toBeGreaterThan(0)
  // Earlier states of the lake name what they were published with: it goes with them.
  await collectLake({ lake, keep: '0s' })
  expect(await problems(name), 'behind publish and gc').toEqual([])
  expect(await icebergRows(icebergMetadata(table))).toEqual(rows)
  expect(newestActions(table)[0]).toHaveProperty('commitInfo')
  if (history === 'whole') expect(icebergMetadata(table)).toEqual(before)
  expect(await publishLake({ lake })).toMatchObject({ tables: 0, unchanged: 1, remade: 0, restarted: [] })
})

test('of snapshots whose objects are gone, the later ones stay', async () => {
  cpSync(states.lake('lake'), states.lake('history'), { recursive: true })
  const lake = states.lake('history')
  await publishLake({ lake })
  await states.transcode('history', 2, { publish: { icebergVersion: 3 } })
  const table = tableOf('history')
  const { snapshots } = icebergMetadata(table)
  expect(snapshots.length).toBeGreaterThan(1)
  const list = new URL(snapshots[0]!['manifest-list']).pathname
  const rows = await icebergRows(icebergMetadata(table))
  rmSync(list)
  expect((await publishLake({ lake })).restarted).toHaveLength(1)
  const after = icebergMetadata(table)
  expect(after.snapshots.map((each) => each['snapshot-id'])).not.toContain(snapshots[0]!['snapshot-id'])
  expect(after.snapshots.map((each) => each['snapshot-id'])).toContain(snapshots.at(-1)!['snapshot-id'])
  expect(await icebergRows(after)).toEqual(rows)
  await collectLake({ lake, keep: '0s' })
  expect(await problems('history')).toEqual([])
})

test('a data file that is gone leaves its table as it was; what another program wrote over metadata is named', async () => {
  cpSync(states.lake('lake'), states.lake('data'), { recursive: true })
  const lake = states.lake('data')
  await publishLake({ lake })
  const table = tableOf('data')
  const hint = join(table, 'metadata/version-hint.text')
  writeFileSync(hint, '1')
  expect((await problems('data')).join()).toMatch(/version-hint\.text: it is not what ltap wrote/)
  const newest = below(table, /data\/.*\.layer$/).at(-1)!
  rmSync(join(table, newest))
  const { left } = await publishLake({ lake })
  expect(left).toEqual([{ table: expect.stringMatching(/public\.a/) as unknown, reason: expect.stringContaining(newest.slice(5, 40)) as unknown }])
})

test('gc removes files of a publication that was killed while it deleted them, and those of a branch that was deleted', async () => {
  cpSync(states.lake('lake'), states.lake('collected'), { recursive: true })
  const lake = states.lake('collected')
  await publishLake({ lake })
  await states.transcode('collected', 2, { publish: { icebergVersion: 3 } })
  const table = tableOf('collected')
  const files = below(table, /metadata\.json$|_delta_log/)
  await expect(states.transcode('collected', 2, { publish: { window: { snapshots: 1 } } }, failing(/^never$/, { deleted: /v\d+\.metadata\.json$|_delta_log/ }))).rejects.toThrow('killed')
  expect(below(table, /metadata\.json$|_delta_log/)).toEqual(expect.arrayContaining(files))
  await publishLake({ lake })
  await createLakeBranch({ lake, name: 'trial' })
  await publishLake({ lake, branch: 'trial' })
  const copy = states.lake('uncollected')
  cpSync(lake, copy, { recursive: true })
  await deleteLakeBranch(lake, 'trial')
  expect(below(lake, /^branches\/.*(?:json|text)$/)).toEqual([])
  const { metadata, dryRun } = await collectLake({ lake, dryRun: true })
  expect([metadata > 2, dryRun]).toEqual([true, true])
  expect((await collectLake({ lake })).metadata).toBe(metadata)
  expect(below(table, /v[123]\.metadata\.json$/)).toEqual([])
  expect(below(table, /_delta_log\/.*\.json$/)).toHaveLength(1)
  expect(await problems('collected')).toEqual([])
  expect((await collectLake({ lake })).metadata).toBe(0)
  expect(existsSync(join(table, 'metadata/version-hint.text'))).toBe(true)
})
