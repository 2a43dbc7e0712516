/** What is published of tables over time: merges as such, whenever they come; snapshots that expire though nothing changes; tables that were left. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { publishLake } from '../../src/jobs/publish/publishlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { CopiedStates } from '../support/copiedstates.ts'
import { newestActions } from '../support/deltatable.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { fewerMajors } from '../support/oracle.ts'

const [major] = fewerMajors('majors of published lives') as [number]

let states: CopiedStates

beforeAll(async () => {
  states = await CopiedStates.make(major, [
    "CREATE TABLE a (id int, t text); INSERT INTO a SELECT i, 'one' FROM generate_series(1, 500) i; CREATE TABLE still AS SELECT i AS id, 'same' AS t FROM generate_series(1, 900) i",
    "UPDATE still SET t = 'later' WHERE id % 100 = 1; DELETE FROM still WHERE id = 2; UPDATE a SET t = 'two' WHERE id < 10",
    "UPDATE a SET t = 'three' WHERE id < 20; ALTER TABLE still RENAME TO renamed",
  ])
})

afterAll(() => states.remove())

function tableOf(lake: string, name: string): string {
  return publishedFolders(states.lake(lake)).get(`public.${name}`)!
}

test('a merge is no change of data, though the table did not change in the newest state; its files stay below the folder of a renamed table', async () => {
  for (const copy of [0, 1, 2]) await states.transcode('merged', copy, { merge: false })
  const table = tableOf('merged', 'renamed')
  const rows = await icebergRows(icebergMetadata(table))
  expect((await mergeLake({ lake: states.lake('merged'), all: true, workers: 0 })).published).toMatchObject({ tables: 2, left: [] })
  for (const name of ['a', 'renamed']) {
    const { snapshots } = icebergMetadata(tableOf('merged', name))
    expect([name, snapshots.at(-1)!.summary['operation'], snapshots.at(-2)!.summary['operation']]).toEqual([name, 'replace', name === 'a' ? 'overwrite' : expect.anything()])
    const actions = newestActions(tableOf('merged', name))
    expect(actions.flatMap(({ add, remove }) => add?.dataChange ?? remove?.dataChange ?? [])).not.toContain(true)
    expect(actions[0]!.commitInfo!['operation']).toBe('OPTIMIZE')
    // Readers of Delta find a file by its place below the table's folder.
    expect(actions.flatMap(({ add }) => add?.path ?? [])).toEqual([expect.stringMatching(/^data\//)])
  }
  expect(tableOf('merged', 'renamed')).toBe(table)
  expect(await icebergRows(icebergMetadata(table))).toEqual(rows)
  expect((await verifyLake({ lake: states.lake('merged'), workers: 0 })).differences).toEqual([])
})

test('of an idle lake snapshots expire, too; a table that was left is tried again', async () => {
  const clock = { now: () => time, sleep: () => Promise.resolve() }
  let time = Date.UTC(2030, 0, 1)
  await states.transcode('idle', 0, { clock })
  const a = tableOf('idle', 'a')
  writeFileSync(join(a, 'metadata/v2.metadata.json'), '{}')
  time += 1000
  const { published } = await states.transcode('idle', 1, { clock })
  expect(published.left).toHaveLength(1)
  rmSync(join(a, 'metadata/v2.metadata.json'))
  expect(await states.transcode('idle', 1, { clock })).toMatchObject({ committed: false, published: { left: [] } })
  expect(icebergMetadata(a).snapshots).toHaveLength(2)
  time += 1000
  expect(await states.transcode('idle', 1, { clock })).toMatchObject({ committed: false, published: { tables: 0, unchanged: 0 } })
  time += 24 * 3_600_000
  expect(await states.transcode('idle', 1, { clock })).toMatchObject({ committed: false, published: { tables: 0, unchanged: 2, left: [] } })
  for (const name of ['a', 'still']) {
    const table = tableOf('idle', name)
    expect(icebergMetadata(table).snapshots, name).toHaveLength(1)
    expect(readdirSync(join(table, '_delta_log')).sort(), name).toEqual(['00000000000000000001.checkpoint.parquet', '00000000000000000001.json', '_last_checkpoint'])
  }
  const hint = readFileSync(join(a, 'metadata/version-hint.text'), 'utf8')
  await states.transcode('idle', 1, { clock })
  await publishLake({ lake: states.lake('idle') })
  expect(readFileSync(join(a, 'metadata/version-hint.text'), 'utf8')).toBe(hint)
})
