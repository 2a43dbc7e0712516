/** Files of a Delta log: a reader of each version of the window finds what it needs, and no log grows for ever. */
import { describe, expect, test } from 'vitest'
import { deltaFormat } from '../../../src/lake/delta/format.ts'
import type { KeptDelta } from '../../../src/lake/delta/kept.ts'
import { ChangingTable, column, FOLDER, NumberedNames } from '../../support/publishedtables.ts'
import { Random, TEST_SEED } from '../../support/random.ts'

const COLUMNS = [column(1, 'id', { kind: 'long' })]
const PERSISTED = { code: 'lake.published', name: 'the record' }
const UUID = { uuid: '11111111-2222-3333-4444-555555555555', folder: FOLDER, publishedMs: 253_402_300_799_999 }

/** Versions of the log that are there, of each kind. */
function logOf(objects: ReadonlySet<string>): { json: number[]; checkpoints: number[] } {
  const versions = (pattern: RegExp): number[] => [...objects].flatMap((key) => pattern.exec(key)?.slice(1).map(Number) ?? []).sort((a, b) => a - b)
  return { json: versions(/_delta_log\/(\d{20})\.json$/), checkpoints: versions(/_delta_log\/(\d{20})\.checkpoint\.parquet$/) }
}

/** What a reader of the version lacks: the newest checkpoint at or before it, or version 0, and each version from there on. */
function missingOf(objects: ReadonlySet<string>, version: number, newest: number): string[] {
  const { json, checkpoints } = logOf(objects)
  const start = checkpoints.findLast((checkpoint) => checkpoint <= version) ?? 0
  return Array.from({ length: newest - start + 1 }, (_, i) => start + i).filter((needed) => !json.includes(needed)).map((needed) => `${version} needs ${needed}`)
}

describe.each([3, 7, 45])('a window of %i snapshots', (snapshots) => {
  test('has the files of its versions; earlier ones go', async () => {
    const window = { snapshots, ms: 1e15 }
    const format = deltaFormat({ window, ltapVersion: '0.1.0' })
    const random = new Random(TEST_SEED)
    const table = new ChangingTable(random, COLUMNS, 'file:///lake', undefined, 100)
    const names = new NumberedNames()
    const objects = new Set<string>()
    let record: KeptDelta | undefined
    for (let step = 0; step < 130; step++) {
      const staged = await format.next(record, table.next(), names)
      record = format.parse(JSON.parse(JSON.stringify(staged.record)), PERSISTED, 'delta', UUID) as KeptDelta
      expect(record).toEqual(staged.record)
      const { point, hints } = await format.commit(record, { root: 'file:///lake', folder: FOLDER })
      for (const { key } of [...staged.objects, point, ...hints]) objects.add(key)
      for (const key of staged.obsolete) objects.delete(key)
      const { newest, left } = record
      expect(left.length).toBe(Math.min(snapshots - 1, step))
      for (let version = newest.version - left.length; version <= newest.version; version++) expect(missingOf(objects, version, newest.version)).toEqual([])
      expect(logOf(objects).checkpoints).toEqual(record.checkpoints)
      expect(logOf(objects).json[0]).toBe(record.first)
    }
    expect(logOf(objects).json.length).toBeLessThanOrEqual(snapshots + 20)
    // A file less is found by this test (planted).
    const last = logOf(objects).json.at(-2)!
    objects.delete(`${FOLDER}/_delta_log/${String(last).padStart(20, '0')}.json`)
    expect(missingOf(objects, last, 129)).toEqual([`${last} needs ${last}`])
  })
})

test('where the newest version is alone, a checkpoint of it is the whole log', async () => {
  const format = deltaFormat({ window: { snapshots: 100, ms: 1000 }, ltapVersion: '0.1.0' })
  const table = new ChangingTable(new Random(TEST_SEED), COLUMNS, 'file:///lake', undefined, 100)
  const names = new NumberedNames()
  let record: unknown
  for (let step = 0; step < 3; step++) ({ record } = await format.next(record, table.next(), names))
  const { record: alone, obsolete, expiresMs } = format.expire(record, 1e15, { folder: FOLDER })
  expect(alone).toMatchObject({ first: 2, checkpoints: [2], left: [], newest: { version: 2, checkpoint: true } })
  expect(obsolete.filter((key) => key.endsWith('.json'))).toHaveLength(2)
  expect(expiresMs).toBeUndefined()
})

test('a record that says of its log what cannot be is refused', async () => {
  const format = deltaFormat({ window: { snapshots: 100, ms: 1e15 }, ltapVersion: '0.1.0' })
  const table = new ChangingTable(new Random(TEST_SEED), COLUMNS, 'file:///lake', undefined, 100)
  const names = new NumberedNames()
  let record: unknown
  for (let step = 0; step < 3; step++) ({ record } = await format.next(record, table.next(), names))
  const good = JSON.parse(JSON.stringify(record)) as KeptDelta
  const forged: [object, RegExp][] = [
    [{ first: 3 }, /delta\.first is 3, above the version/], [{ first: 1 }, /delta\.left has 2 versions/], [{ checkpoints: [1, 1] }, /delta\.checkpoints\[1\] is 1/],
    [{ checkpoints: [5] }, /delta\.checkpoints\[0\] is 5/], [{ left: 'x' }, /delta\.left is "x", not a list/],
  ]
  for (const [members, said] of forged) expect(() => format.parse({ ...good, ...members }, PERSISTED, 'delta', UUID)).toThrow(said)
})
