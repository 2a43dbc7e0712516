/** What is read back as a record is checked; faults planted in what was published are found by the reader of the tests. */
import { describe, expect, test } from 'vitest'
import type { ColumnBounds } from '../../../src/columnar/columnbounds.ts'
import { BlockSet } from '../../../src/common/blockset.ts'
import { type IcebergOptions, nextIceberg } from '../../../src/lake/iceberg/iceberg.ts'
import { icebergCommit } from '../../../src/lake/iceberg/metadata.ts'
import { encodePositionDeletes } from '../../../src/lake/iceberg/positiondeletes.ts'
import { currentSnapshot, type IcebergRecord, parseIcebergRecord } from '../../../src/lake/iceberg/record.ts'
import type { PublishedFile, TableSnapshot } from '../../../src/lake/publishedtable.ts'
import { type MetadataJson, readSnapshot } from './reader.ts'
import { Names } from './synthetictable.ts'

const ROOT = 's3://bucket/lake'
const OPTIONS: IcebergOptions = { formatVersion: 2, keepSnapshots: 10, keepMs: 1e9, ltapVersion: '1.2.3' }
const LONG = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0)
const BOUNDS: ColumnBounds[] = [
  { id: 1, nulls: 1, lower: LONG(3), upper: LONG(9) }, { id: 2, nulls: 0, nans: 2 }, { id: 3, nulls: 0, lower: new Uint8Array(16), upper: new Uint8Array(16).fill(255) },
  { id: 99, nulls: 0, lower: LONG(0), upper: LONG(0) },
]

function file(name: string, hidden: number[]): PublishedFile {
  return { key: `t/data/${name}.parquet`, bytes: 500, rows: 10, columns: BOUNDS, hidden: BlockSet.of(hidden) }
}

function snapshotOf(files: PublishedFile[], round: number, changes: Partial<TableSnapshot> = {}): TableSnapshot {
  return {
    uuid: '0f8fad5b-d9cb-469f-a165-70867728950e', namespace: 'public', name: 't', root: ROOT, folder: 't', kind: 'change', timeline: 1, lsn: `0/${round}000`, publishedMs: round * 1000,
    columns: [
      { id: 1, name: 'a', physicalName: 'a', type: { kind: 'long' } }, { id: 2, name: 'b', physicalName: 'b', type: { kind: 'double' } },
      { id: 3, name: 'c', physicalName: 'c', type: { kind: 'uuid' } },
    ],
    files, ...changes,
  }
}

interface State {
  record: IcebergRecord
  objects: Map<string, Uint8Array>
  metadata: MetadataJson
}

function publish(tables: readonly TableSnapshot[], options = OPTIONS): State {
  const names = new Names()
  const objects = new Map<string, Uint8Array>()
  let record: IcebergRecord | undefined
  for (const table of tables) {
    const next = nextIceberg(record, table, names, options)
    for (const { key, bytes } of next.objects) objects.set(`${ROOT}/${key}`, bytes)
    record = next.record
  }
  return { record: record!, objects, metadata: JSON.parse(new TextDecoder().decode(icebergCommit(record!).bytes)) as MetadataJson }
}

const TWO = [snapshotOf([file('a', [1]), file('b', [])], 1), snapshotOf([file('a', [1, 2]), file('b', [7])], 2)]
const visible = async ({ objects, metadata }: State): Promise<number[][]> => [...(await readSnapshot(objects, metadata)).files.values()].map((each) => each.visible)

test('two snapshots', async () => {
  const state = publish(TWO)
  expect(await visible(state)).toEqual([[0, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 8, 9]])
  expect(currentSnapshot(state.record)).toMatchObject({ operation: 'delete', summary: { 'added-delete-files': '2', 'removed-delete-files': '1', 'total-position-deletes': '3' } })
})

test('metrics: counts of each column of the table, bounds where all readers order alike, nothing of other columns', async () => {
  const { files } = await readSnapshot(publish(TWO).objects, publish(TWO).metadata)
  const found = [...files.values()][0]!.entry.data_file
  const counts = (...values: number[]): object[] => values.map((value, i) => ({ key: i + 1, value }))
  expect(found).toMatchObject({
    value_counts: counts(10, 10, 10), null_value_counts: counts(1, 0, 0), nan_value_counts: [{ key: 2, value: 2 }],
    lower_bounds: [{ key: 1, value: Buffer.from(LONG(3)) }], upper_bounds: [{ key: 1, value: Buffer.from(LONG(9)) }],
  })
})

describe('planted faults are found by the reader', () => {
  const keyOf = (state: State, at: number): string => `${ROOT}/${state.record.files[at]!.deletes!.key}`
  const faults: [string, (state: State) => void][] = [
    ['a delete file of another data file', (state) => state.objects.set(keyOf(state, 0), state.objects.get(keyOf(state, 1))!)],
    ['a row more that is hidden', (state) => state.objects.set(keyOf(state, 0), encodePositionDeletes(`${ROOT}/t/data/a.parquet`, BlockSet.range(1, 3)))],
    ['another path', (state) => state.objects.set(keyOf(state, 1), encodePositionDeletes(`${ROOT}/t/data/c.parquet`, BlockSet.range(7, 1)))],
    ['an object that was not put', (state) => state.objects.delete(keyOf(state, 1))],
    ['a manifest of another length', (state) => state.objects.set(`${ROOT}/${state.record.manifests[0]!.key}`, state.objects.get(`${ROOT}/${state.record.manifests[1]!.key}`)!)],
  ]
  test.each(faults)('%s', async (_name, plant) => {
    const state = publish(TWO)
    plant(state)
    await expect(visible(state)).rejects.toThrow()
  })
  test('the manifest list of the snapshot before', async () => {
    const state = publish(TWO)
    const [before, now] = state.record.snapshots
    state.objects.set(`${ROOT}/${now!.list}`, state.objects.get(`${ROOT}/${before!.list}`)!)
    expect(await visible(state)).not.toEqual(await visible(publish(TWO)))
  })
})

describe('what a snapshot says that it did', () => {
  const A = file('a', [])
  test.each<[string, PublishedFile[], PublishedFile[], TableSnapshot['kind'], string]>([
    ['a file without hidden rows is added', [A], [A, file('b', [])], 'change', 'append'],
    ['a file with hidden rows is added', [A], [A, file('b', [1])], 'change', 'overwrite'],
    ['rows are hidden', [A], [file('a', [4])], 'change', 'delete'],
    ['rows are shown again', [file('a', [3, 4])], [file('a', [3])], 'change', 'overwrite'],
    ['other rows are hidden', [file('a', [3])], [file('a', [4])], 'change', 'overwrite'],
    ['a file leaves', [A, file('b', [])], [A], 'change', 'delete'],
    ['a file is replaced', [A], [file('b', [])], 'change', 'overwrite'],
    ['files are merged', [file('a', [0]), file('b', [0, 1, 2, 3, 4, 5, 6, 7, 8])], [file('c', [])], 'merge', 'replace'],
    ['a merge that has other rows', [A, file('b', [1])], [file('c', [])], 'merge', 'overwrite'],
  ])('%s', (_name, before, after, kind, operation) => {
    expect(currentSnapshot(publish([snapshotOf(before, 1), snapshotOf(after, 2, { kind })]).record).operation).toBe(operation)
    // In version 3 a row that is replaced keeps its id: rows in new files have other ones.
    const third = publish([snapshotOf(before, 1), snapshotOf(after, 2, { kind })], { ...OPTIONS, formatVersion: 3 }).record
    expect(currentSnapshot(third).operation).toBe(operation === 'replace' ? 'overwrite' : operation)
  })
})

test('nothing changed: the record is the same; another name, another column: a snapshot without new files', () => {
  const first = publish([TWO[0]!]).record
  const next = (changes: Partial<TableSnapshot>): ReturnType<typeof nextIceberg> => nextIceberg(first, snapshotOf([...TWO[0]!.files], 3, changes), new Names(), OPTIONS)
  expect(next({})).toEqual({ record: first, objects: [] })
  expect(next({}).record).toBe(first)
  for (const changes of [{ name: 'u' }, { columns: TWO[0]!.columns.slice(0, 2) }]) expect(next(changes).objects.map(({ key }) => key)).toEqual([expect.stringMatching(/\.list\.avro$/)])
})

test('schemas: an equal one has its id, an id is not given twice', () => {
  const state = publish([3, 2, 3, 1].map((count, i) => snapshotOf([file('a', [])], i + 1, { columns: TWO[0]!.columns.slice(0, count) })), { ...OPTIONS, keepSnapshots: 2 })
  expect(state.record.snapshots.map(({ schema }) => schema)).toEqual([0, 2])
  expect(state.record.schemas.map(({ id }) => id)).toEqual([0, 2])
  expect([state.record.lastSchemaId, state.record.lastColumnId]).toEqual([2, 3])
})

test('a lake at another place: every object is named again', async () => {
  const before = publish(TWO).record
  const { record, objects } = nextIceberg(before, snapshotOf([file('a', [1, 2])], 5, { root: 's3://other' }), new Names(), OPTIONS)
  expect([record.snapshots.length, record.version, record.lastSequence]).toEqual([1, before.version + 1, before.lastSequence + 1])
  const metadata = JSON.parse(new TextDecoder().decode(icebergCommit(record).bytes)) as MetadataJson
  const { used } = await readSnapshot(new Map(objects.map(({ key, bytes }) => [`s3://other/${key}`, bytes])), metadata)
  expect([...used].every((uri) => uri.startsWith('s3://other/'))).toBe(true)
})

test('version 2 becomes 3, never the other way', async () => {
  const before = publish(TWO)
  const options = { ...OPTIONS, formatVersion: 3 as const }
  const table = snapshotOf([...TWO[1]!.files], 3)
  let count = 0
  const { record, objects } = nextIceberg(before.record, table, { name: () => `v3-${++count}` }, options)
  // A vector of each file, both manifests, the list.
  expect([record.formatVersion, objects.length]).toEqual([3, 5])
  for (const { key, bytes } of objects) before.objects.set(`${ROOT}/${key}`, bytes)
  const metadata = JSON.parse(new TextDecoder().decode(icebergCommit(record).bytes)) as MetadataJson
  expect(await visible({ record, objects: before.objects, metadata })).toEqual(await visible(publish(TWO)))
  expect([...(await readSnapshot(before.objects, metadata)).files.values()].map(({ firstRow }) => firstRow)).toEqual([0, 10])
  expect(metadata['next-row-id']).toBe(20)
  expect(() => nextIceberg(record, snapshotOf([], 4), new Names(), OPTIONS)).toThrow('iceberg.version')
})

describe('faults of a record', () => {
  const good = JSON.parse(JSON.stringify(publish(TWO).record)) as Record<string, never>
  const edited = (path: string, value: unknown): unknown => {
    const record = structuredClone(good) as Record<string, unknown>
    const names = path.split('.')
    const owner = names.slice(0, -1).reduce((at, name) => at[name] as Record<string, unknown>, record)
    owner[names.at(-1)!] = value
    return record
  }
  test('a good one is read', () => expect(parseIcebergRecord(good, { code: 'lake.published', name: 'x' })).toEqual(good))
  test.each<[string, unknown, RegExp]>([
    ['version', 0, /version is 0/], ['uuid', 'x', /uuid is/], ['folder', '../x', /folder/], ['currentSchema', 7, /currentSchema is 7, which schemas does not have/], ['snapshots', [], /snapshots is empty/],
    ['snapshots.1.sequence', 1, /snapshots\[1\] is out of order/], ['snapshots.1.lsn', 'x', /snapshots\[1\]\.lsn/], ['files.0.manifest', 1, /files\[0\]\.manifest is 1, which is no manifest of data files/],
    ['files.0.deletes.manifest', 0, /files\[0\]\.deletes\.manifest/], ['files.0.deletes.rows', 10, /files\[0\]\.deletes\.rows/], ['files.0.deletes.hidden', '?', /hidden/],
    ['files.0.deletes.sequence', 9, /files\[0\]\.deletes\.sequence/], ['files.1.key', 't/data/a.parquet', /as that of another file/], ['schemas.0.fields.0.type', 'int8', /type/], ['more', 1, /more/],
  ])('%s: %j', (path, value, said) => {
    expect(() => parseIcebergRecord(edited(path, value), { code: 'lake.published', name: 'the record' })).toThrow(said)
    expect(() => parseIcebergRecord(edited(path, value), { code: 'lake.published', name: 'the record' }, 'here')).toThrow(/here/)
  })
})
