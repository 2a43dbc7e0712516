/** A Delta log of a table that changes at random, replayed by a reader of the test's own: the rows that it sees are those of the snapshot. */
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../../src/common/blockset.ts'
import { deltaCommit, nextDelta } from '../../../src/lake/delta/log.ts'
import { type DeltaRecord, parseDeltaRecord } from '../../../src/lake/delta/record.ts'
import type { TableSnapshot } from '../../../src/lake/publishedtable.ts'
import type { StagedObject } from '../../../src/lake/state/stage.ts'
import { type Action, type LiveFile, ReplayedDelta } from '../../support/deltalog.ts'
import { ChangingTable, column, FOLDER, NumberedNames, visibleRows } from '../../support/publishedtables.ts'
import { Random } from '../../support/random.ts'

const COLUMNS = [column(1, 'id', { kind: 'long' }), column(2, 'Name', { kind: 'string' }), column(3, 'at', { kind: 'timestamp', utc: true })]
const OPTIONS = { ltapVersion: '0.1.0', checkpointEvery: 5 }
const PERSISTED = { code: 'lake.published', name: 'the record' }

interface Published {
  readonly table: TableSnapshot
  readonly record: DeltaRecord
}

/** Publishes `steps` snapshots into `objects`, each from the record of the one before as it is read back. */
async function publish(seed: number, steps: number, objects: Map<string, Uint8Array>): Promise<Published[]> {
  const changing = new ChangingTable(new Random(seed), COLUMNS)
  const names = new NumberedNames()
  const published: Published[] = []
  for (let step = 0; step < steps; step++) {
    const table = changing.next()
    const { record, objects: staged } = nextDelta(published.at(-1)?.record, table, names, OPTIONS)
    const readBack = parseDeltaRecord(JSON.parse(JSON.stringify(record)), PERSISTED)
    expect(readBack).toEqual(record)
    for (const { key, bytes } of [...staged, deltaCommit(readBack, table)]) {
      expect(objects.has(key), key).toBe(false)
      objects.set(key, bytes)
    }
    published.push({ table, record: readBack })
  }
  return published
}

/** Numbers of the rows that the log's files show. */
function shownRows(files: ReadonlyMap<string, LiveFile>, { files: all, folder }: TableSnapshot): number[] {
  const shown = all.filter(({ key }) => files.has(key.slice(folder.length + 1))).map((file) => ({ ...file, hidden: files.get(file.key.slice(folder.length + 1))!.hidden }))
  expect(shown.length).toBe(files.size)
  return visibleRows(shown)
}

describe('a Delta log', () => {
  test('shows the rows of every snapshot, whatever happens to the table', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(), async (seed) => {
      const objects = new Map<string, Uint8Array>()
      const replayed = new ReplayedDelta(objects, FOLDER)
      for (const { table, record } of await publish(seed, 14, objects)) {
        replayed.next()
        expect(shownRows(replayed.files, table)).toEqual(visibleRows(table.files))
        for (const { path, size, numRecords } of replayed.files.values()) {
          expect({ size, numRecords }).toEqual(table.files.filter(({ key }) => key.endsWith(path)).map(({ bytes, rows }) => ({ size: bytes, numRecords: rows }))[0])
        }
        const { fields } = JSON.parse(replayed.metaData!.schemaString) as { fields: { name: string }[] }
        expect(fields.map(({ name }) => name)).toEqual(table.columns.map(({ name }) => name))
        expect(replayed.txns.get(`ltap/${table.timeline}`)).toBe(Number.parseInt(table.lsn.split('/').map((half, i) => i === 1 ? half.padStart(8, '0') : half).join(''), 16))
        expect(record.objects.filter((key) => !objects.has(key))).toEqual([])
      }
    }), { numRuns: 8 })
  })
})

const LOG = `${FOLDER}/_delta_log/`
const fileOf = (version: number): string => `${LOG}${String(version).padStart(20, '0')}.json`

/** Actions of a version. */
function actionsOf(objects: ReadonlyMap<string, Uint8Array>, version: number): Action[] {
  return Buffer.from(objects.get(fileOf(version))!).toString('utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Action)
}

/** A table of one column with files of 100,000 rows; each file hides what `hidden` says of it. */
function tableOf(hidden: Readonly<Record<string, BlockSet>>, more: Partial<TableSnapshot> = {}): TableSnapshot {
  const files = Object.entries(hidden).map(([name, rows]) => ({ key: name.includes('/') ? name : `${FOLDER}/data/${name}.parquet`, bytes: 5, rows: 100_000, columns: [], hidden: rows }))
  return {
    uuid: '11111111-2222-3333-4444-555555555555', namespace: 'public', name: 'orders', root: 's3://bucket/lake', folder: FOLDER, columns: [column(1, 'id', { kind: 'long' })],
    files, kind: 'change', timeline: 1, lsn: '0/1000', publishedMs: 1000, ...more,
  }
}

/** What each of these snapshots changes, published one after the other. */
async function changes(...tables: readonly TableSnapshot[]): Promise<{ actions: Action[][]; records: DeltaRecord[]; staged: StagedObject[][]; objects: Map<string, Uint8Array> }> {
  const [names, objects] = [new NumberedNames(), new Map<string, Uint8Array>()]
  const [records, staged]: [DeltaRecord[], StagedObject[][]] = [[], []]
  for (const [i, table] of tables.entries()) {
    const next = nextDelta(records.at(-1), { ...table, publishedMs: 1000 + i }, names, OPTIONS)
    for (const { key, bytes } of [...next.objects, deltaCommit(next.record, table)]) objects.set(key, bytes)
    records.push(next.record)
    staged.push(next.objects)
  }
  return { actions: records.map((_, version) => actionsOf(objects, version)), records, staged, objects }
}

const changed = (actions: readonly Action[]): string[] => actions.flatMap(({ add, remove }) => {
  const file = add ?? remove
  return file === undefined ? [] : [`${add ? 'add' : 'remove'} ${file.path} ${file.deletionVector?.storageType ?? '-'}${file.deletionVector?.cardinality ?? ''} ${file.dataChange}`]
})
const scattered = (step: number): BlockSet => BlockSet.of(Array.from({ length: Math.floor(100_000 / step) }, (_, i) => i * step))

describe('a version', () => {
  test('golden bytes', async () => {
    const { objects } = await changes(tableOf({ a: BlockSet.of([3, 4, 5, 6, 9]) }))
    expect(Buffer.from(objects.get(fileOf(0))!).toString('utf8')).toBe(readFileSync(join(import.meta.dirname, 'golden.json'), 'utf8'))
  })

  test('says only what changed, and an equal hidden set is no change', async () => {
    const { actions } = await changes(
      tableOf({ a: BlockSet.EMPTY, b: BlockSet.of([1]), c: scattered(7) }),
      tableOf({ a: BlockSet.of([5]), b: BlockSet.of([1]), c: scattered(7) }),
      tableOf({ b: BlockSet.EMPTY, c: scattered(7), d: BlockSet.EMPTY }, { kind: 'merge' }),
      tableOf({ b: BlockSet.range(0, 100_000), c: scattered(7), d: BlockSet.EMPTY }),
      tableOf({ b: BlockSet.of([1]), c: scattered(8), d: BlockSet.EMPTY }))
    const name = (file: string): string => `data/${file}.parquet`
    expect(actions.map(changed)).toEqual([
      [`add ${name('a')} - true`, `add ${name('b')} i1 true`, `add ${name('c')} u14285 true`],
      [`remove ${name('a')} - true`, `add ${name('a')} i1 true`],
      [`remove ${name('a')} i1 false`, `remove ${name('b')} i1 false`, `add ${name('b')} - false`, `add ${name('d')} - false`],
      [`remove ${name('b')} - true`],
      [`remove ${name('c')} u14285 true`, `add ${name('b')} i1 true`, `add ${name('c')} u12500 true`],
    ])
    expect(actions.map((all) => all.flatMap((action) => Object.keys(action)).filter((kind) => kind !== 'add' && kind !== 'remove'))).toEqual([
      ['commitInfo', 'protocol', 'metaData', 'txn'], ...Array.from({ length: 4 }, () => ['commitInfo', 'txn']),
    ])
    expect(actions.map(([first]) => first!.commitInfo!['operation'])).toEqual(['WRITE', 'WRITE', 'OPTIMIZE', 'WRITE', 'WRITE'])
  })

  test('long deletion vectors share a file, which stays as long as one of them is the current one', async () => {
    const { records, staged, objects } = await changes(
      tableOf({ a: scattered(7), b: scattered(8) }), tableOf({ a: scattered(7), b: scattered(9) }), tableOf({ a: scattered(10), b: scattered(9) }))
    const keys = staged.map((all) => all.map(({ key }) => key))
    expect(keys.map((all) => all.length)).toEqual([1, 1, 1])
    expect(records.map((record) => record.objects)).toEqual([keys[0], [...keys[0]!, ...keys[1]!], [...keys[2]!, ...keys[1]!]])
    const replayed = new ReplayedDelta(objects, FOLDER).next().next().next()
    expect(['a', 'b'].map((name) => replayed.files.get(`data/${name}.parquet`)!.hidden.size)).toEqual([10_000, 11_111])
  })

  test('a rename is metaData, a first timestamp without time zone is a feature that stays', async () => {
    const local = column(2, 'local', { kind: 'timestamp', utc: false })
    const id = column(1, 'id', { kind: 'long' })
    const { actions } = await changes(
      tableOf({}), tableOf({}, { columns: [{ ...id, name: 'key' }, local] }), tableOf({}, { columns: [id] }), tableOf({}, { columns: [id], name: 'sales', timeline: 2 }))
    expect(actions.map((all) => all.flatMap((action) => Object.keys(action)).join(' '))).toEqual(
      ['commitInfo protocol metaData txn', 'commitInfo protocol metaData txn', 'commitInfo metaData txn', 'commitInfo metaData txn'])
    expect(actions[1]![1]!.protocol).toEqual({
      minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['columnMapping', 'deletionVectors', 'timestampNtz'],
      writerFeatures: ['columnMapping', 'deletionVectors', 'timestampNtz', 'inCommitTimestamp', 'ltapManaged'],
    })
    expect(actions.map((all) => all.find(({ metaData }) => metaData)!.metaData!.configuration['delta.columnMapping.maxColumnId'])).toEqual(['1', '2', '2', '2'])
    expect(actions.map((all) => all.find(({ txn }) => txn)!.txn!.appId)).toEqual(['ltap/1', 'ltap/1', 'ltap/1', 'ltap/2'])
  })

  test('a file elsewhere has its URI, and a path is encoded', async () => {
    const { actions } = await changes(tableOf({ 'a b%': BlockSet.EMPTY, 'shop/public.part-1/data/x.parquet': BlockSet.EMPTY }))
    expect(changed(actions[0]!)).toEqual(['add data/a%20b%25.parquet - true', 'add s3://bucket/lake/shop/public.part-1/data/x.parquet - true'])
  })

  test('is refused if rows are hidden that a file does not have', async () => {
    await expect(changes(tableOf({ a: BlockSet.of([100_000]) }))).rejects.toThrow('hides rows behind its 100000')
  })
})

describe('the reader of the test finds', () => {
  /** Versions whose second one is written otherwise. */
  async function planted(change: (line: string) => string): Promise<() => ReplayedDelta> {
    const { objects } = await changes(tableOf({ a: BlockSet.of([1]), b: scattered(7) }), tableOf({ a: BlockSet.of([1, 5]), b: scattered(8) }))
    objects.set(fileOf(1), Buffer.from(Buffer.from(objects.get(fileOf(1))!).toString('utf8').split('\n').map(change).filter((line, i, all) => line !== '' || i === all.length - 1).join('\n')))
    return () => new ReplayedDelta(objects, FOLDER).next().next()
  }

  test('no fault in what is written', async () => {
    expect([...(await planted((line) => line))().files.values()].map(({ hidden }) => hidden.size)).toEqual([2, 12_500])
  })

  test.each<[string, (line: string) => string, string]>([
    ['an old deletion vector that is not removed', (line) => line.startsWith('{"remove"') ? '' : line, 'is added and there'],
    ['a removed file whose deletion vector was another one', (line) => line.startsWith('{"remove"') ? line.replace(/,"deletionVector":\{[^}]+\}/, '') : line, 'is removed and not there'],
    ['a wrong number of hidden rows', (line) => line.replace('"cardinality":2', '"cardinality":1'), 'the deletion vector of'],
    ['another place in a file of deletion vectors', (line) => line.startsWith('{"add"') ? line.replace('"offset":1', '"offset":5') : line, 'no deletion vector of'],
    ['a time that does not grow', (line) => line.replace('"inCommitTimestamp":1001', '"inCommitTimestamp":1000'), 'commitInfo of version 1'],
    ['a line that is not ended', (line) => line === '' ? 'x' : line, 'the last line has no end'],
  ])('%s', async (_, change, message) => {
    expect(await planted(change)).toThrow(message)
  })
})

describe('a record', () => {
  test.each<[string, (record: DeltaRecord) => unknown, string]>([
    ['a version that is no number', (record) => ({ ...record, version: '1' }), 'delta.version is "1"'],
    ['a file without size', ({ files, ...record }) => ({ ...record, files: files.map((file) => ({ ...file, size: undefined })) }), 'delta.files[0].size is missing'],
    ['a deletion vector of another kind', ({ files, ...record }) => ({ ...record, files: [{ ...files[0]!, deletionVector: { storageType: 'p' } }] }), 'delta.files[0].deletionVector'],
    ['an object outside the lake', (record) => ({ ...record, objects: ['../x'] }), 'delta.objects[0] is "../x", not a key of an object'],
  ])('%s', async (_, change, message) => {
    const { records } = await changes(tableOf({ a: BlockSet.of([1]) }))
    expect(() => parseDeltaRecord(change(records[0]!), PERSISTED, 'delta')).toThrow(message)
  })
})
