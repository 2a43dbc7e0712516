/** Whatever happens to a table, a reader of its Iceberg metadata sees the rows that it has: now, and in each snapshot of the window. */
import { describe, expect, test } from 'vitest'
import { expireIceberg } from '../../../src/lake/iceberg/expire.ts'
import { icebergCommit, versionHint } from '../../../src/lake/iceberg/metadata.ts'
import { icebergObjects, type IcebergRecord, parseIcebergRecord } from '../../../src/lake/iceberg/record.ts'
import { nextIceberg } from '../../../src/lake/iceberg/iceberg.ts'
import { Random, TEST_SEED } from '../../support/random.ts'
import { amount } from '../../support/scope.ts'
import { type MetadataJson, readSnapshot } from './reader.ts'
import { Names, SyntheticTable } from './synthetictable.ts'

const ROOT = 'file:///lake'
const ROUNDS = 30
const PERSISTED = { code: 'lake.published', name: 'the record' }

/** What the lake does: puts objects, never twice, and keeps the record as JSON. */
class Lake {
  readonly objects = new Map<string, Uint8Array>()
  record: IcebergRecord | undefined
  private readonly names = new Names()

  publish(table: SyntheticTable, version: 2 | 3): boolean {
    const before = this.record
    const { record, objects } = nextIceberg(before, table.step(), this.names, { formatVersion: version, keepSnapshots: 8, keepMs: 20_000, ltapVersion: '1.2.3' })
    for (const { key, bytes } of objects) this.put(key, bytes)
    if (record === before) return false
    this.commit(record)
    return true
  }

  commit(record: IcebergRecord): void {
    this.record = parseIcebergRecord(JSON.parse(JSON.stringify(record)), PERSISTED)
    expect(this.record).toEqual(record)
    const { key, bytes } = icebergCommit(this.record)
    this.put(key, bytes)
    expect(new TextDecoder().decode(versionHint(record).bytes)).toBe(String(record.version))
  }

  put(key: string, bytes: Uint8Array): void {
    expect(this.objects.has(`${ROOT}/${key}`), `${key} is put twice`).toBe(false)
    this.objects.set(`${ROOT}/${key}`, bytes)
  }

  metadata(): MetadataJson {
    return JSON.parse(new TextDecoder().decode(icebergCommit(this.record!).bytes)) as MetadataJson
  }

  /** What a collector would leave. */
  collect(): Map<string, Uint8Array> {
    const spared = icebergObjects(this.record!)
    return new Map([...this.objects].filter(([uri]) => spared.has(uri.slice(ROOT.length + 1))))
  }
}

async function visible(lake: Lake, id?: number): Promise<{ rows: string[]; totals: Record<string, string> }> {
  const metadata = lake.metadata()
  const { files, used, manifests } = await readSnapshot(lake.collect(), metadata, id)
  const spared = icebergObjects(lake.record!)
  for (const uri of used) expect(spared.has(uri.slice(ROOT.length + 1)), uri).toBe(true)
  const all = [...files.values()]
  const sum = (list: number[]): string => String(list.reduce((total, each) => total + each, 0))
  const entries = (content: number): number => manifests.filter((each) => each.content === content).reduce((total, each) => total + each.added_files_count + each.existing_files_count, 0)
  return {
    rows: [...files].flatMap(([uri, file]) => file.visible.map((row) => `${uri}#${row}`)).sort(),
    totals: {
      'total-data-files': String(files.size), 'total-records': sum(all.map(({ rows }) => rows)), 'total-position-deletes': sum(all.map((file) => file.rows - file.visible.length)),
      'total-equality-deletes': '0', 'total-delete-files': String(entries(1)),
    },
  }
}

/** What a snapshot says that it did, against the rows before and after. */
function checkOperation(operation: string, before: readonly string[], after: readonly string[], isMerge: boolean): void {
  const [old, next] = [new Set(before), new Set(after)]
  if (operation === 'append') expect(before.filter((row) => !next.has(row))).toEqual([])
  if (operation === 'delete') expect(after.filter((row) => !old.has(row))).toEqual([])
  if (operation === 'replace') expect([isMerge, after.length]).toEqual([true, before.length])
}

describe.each([2, 3] as const)('version %i', (version) => {
  const seeds = Array.from({ length: amount({ quick: 2, sample: 20, all: 200 }) }, (_, i) => TEST_SEED + i)
  test.each(seeds)('seed %i', async (seed) => {
    const table = new SyntheticTable(new Random(seed))
    const lake = new Lake()
    const expected = new Map<number, { rows: string[]; columns: string[] }>()
    let rowIds = new Set<number>()
    for (let round = 0; round < ROUNDS; round++) {
      const before = lake.record
      if (!lake.publish(table, version)) continue
      const metadata = lake.metadata()
      const current = metadata['current-snapshot-id']
      const rows = table.visible()
      const old = before ? expected.get(before.snapshots.at(-1)!.id)! : { rows: [] }
      expected.set(current, { rows, columns: table.columns.map(({ name }) => name) })
      const snapshot = metadata.snapshots.at(-1)!
      const shown = await visible(lake)
      expect(shown.rows).toEqual(rows)
      expect(snapshot.summary).toMatchObject(shown.totals)
      checkOperation(snapshot.summary['operation']!, old.rows, rows, table.kind === 'merge')
      checkMetadata(metadata, before)
      if (version === 3) rowIds = await checkLineage(lake, metadata, rowIds)
    }
    for (const { 'snapshot-id': id, 'schema-id': schema } of lake.metadata().snapshots) {
      expect((await visible(lake, id)).rows).toEqual(expected.get(id)!.rows)
      expect(lake.metadata().schemas.find((each) => each['schema-id'] === schema)!.fields.map(({ name }) => name)).toEqual(expected.get(id)!.columns)
    }
    await expireAll(lake)
  })
})

test('a snapshot stays until so long after it was replaced, however old it was then: its readers may not have finished', () => {
  const [table, names] = [new SyntheticTable(new Random(1)), new Names()]
  const options = { formatVersion: 2, keepSnapshots: 8, keepMs: 1000, ltapVersion: '1.2.3' } as const
  const first = nextIceberg(undefined, table.step(), names, options).record
  const later = table.step()
  const { record } = nextIceberg(first, { ...later, publishedMs: later.publishedMs + 1_000_000 }, names, options)
  expect(record.snapshots.map(({ id }) => id)).toEqual([first.snapshots[0]!.id, expect.any(Number)])
  const replaced = record.snapshots[1]!.ms
  expect(expireIceberg(record, options, replaced + 999)).toBeUndefined()
  expect(expireIceberg(record, options, replaced + 1000)!.snapshots).toEqual([record.snapshots[1]])
})

function checkMetadata(metadata: MetadataJson, before: IcebergRecord | undefined): void {
  expect(metadata.snapshots.length).toBeLessThanOrEqual(8)
  expect(metadata['snapshot-log'].map((each) => each['snapshot-id'])).toEqual(metadata.snapshots.map((each) => each['snapshot-id']))
  expect(metadata['last-sequence-number']).toBe((before?.lastSequence ?? 0) + 1)
  expect(metadata['last-column-id']).toBeGreaterThanOrEqual(Math.max(before?.lastColumnId ?? 0, ...metadata.schemas.flatMap(({ fields }) => fields.map(({ id }) => id))))
  for (const { 'snapshot-id': id } of metadata.snapshots) expect(Number.isSafeInteger(id) && id > 0).toBe(true)
  expect(metadata.refs).toEqual({ main: { 'snapshot-id': metadata['current-snapshot-id'], type: 'branch' } })
}

/** Row ids of live files do not overlap, and a file keeps its own. */
async function checkLineage(lake: Lake, metadata: MetadataJson, before: Set<number>): Promise<Set<number>> {
  const { files } = await readSnapshot(lake.collect(), metadata)
  const ranges = [...files.values()].map(({ firstRow, rows }) => ({ first: firstRow!, end: firstRow! + rows })).sort((a, b) => a.first - b.first)
  ranges.forEach(({ first }, i) => expect(first).toBeGreaterThanOrEqual(ranges[i - 1]?.end ?? 0))
  expect(ranges.at(-1)?.end ?? 0).toBeLessThanOrEqual(metadata['next-row-id']!)
  const snapshot = metadata.snapshots.at(-1)!
  expect(snapshot['first-row-id']! + snapshot['added-rows']!).toBe(metadata['next-row-id'])
  for (const { first } of ranges) expect(before.has(first) || first >= snapshot['first-row-id']!).toBe(true)
  return new Set(ranges.map(({ first }) => first))
}

async function expireAll(lake: Lake): Promise<void> {
  const { rows } = await visible(lake)
  const expired = expireIceberg(lake.record!, { keepSnapshots: 1, keepMs: 1 }, 1_800_000_000_000)
  if (lake.record!.snapshots.length === 1) return expect(expired).toBeUndefined()
  lake.commit(expired!)
  expect(lake.metadata().snapshots).toHaveLength(1)
  expect((await visible(lake)).rows).toEqual(rows)
  expect(expireIceberg(lake.record!, { keepSnapshots: 1, keepMs: 1 }, 1_900_000_000_000)).toBeUndefined()
}
