/** Checkpoints, read by DuckDB: they say what the versions before them say. */
import { DuckDBInstance } from '@duckdb/node-api'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deltaCheckpoint } from '../../../src/lake/delta/checkpoint.ts'
import { deltaCommit, nextDelta } from '../../../src/lake/delta/log.ts'
import type { DeltaRecord } from '../../../src/lake/delta/record.ts'
import { type Action, ReplayedDelta } from '../../support/deltalog.ts'
import { ChangingTable, column, FOLDER, NumberedNames } from '../../support/publishedtables.ts'
import { Random, TEST_SEED } from '../../support/random.ts'

const OPTIONS = { ltapVersion: '0.1.0', checkpointEvery: 4 }
const CHECKPOINT = /(\d{20})\.checkpoint\.parquet$/
let folder: string
let instance: DuckDBInstance

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-checkpoint-'))
  instance = await DuckDBInstance.create(':memory:')
})

afterAll(() => {
  instance.closeSync()
  rmSync(folder, { recursive: true, force: true })
})

/** Rows of a Parquet file as JSON without NULLs. */
async function rowsOf(bytes: Uint8Array): Promise<Action[]> {
  const path = join(folder, 'x.parquet')
  writeFileSync(path, bytes)
  const connection = await instance.connect()
  const reader = await connection.runAndReadAll(`SELECT to_json(t) FROM read_parquet('${path}') t`)
  connection.closeSync()
  return reader.getRows().map(([json]) => JSON.parse(String(json), (_, value: unknown) => value === null ? undefined : value) as Action)
}

/** Versions of a table that changes at random, with their checkpoints. */
async function publish(seed: number, versions: number): Promise<{ objects: Map<string, Uint8Array>; records: DeltaRecord[] }> {
  const changing = new ChangingTable(new Random(seed), [column(1, 'id', { kind: 'long' }), column(2, 'at', { kind: 'timestamp', utc: false })])
  const [names, objects] = [new NumberedNames(), new Map<string, Uint8Array>()]
  const records: DeltaRecord[] = []
  for (let version = 0; version < versions; version++) {
    const table = changing.next()
    const { record, objects: staged } = nextDelta(records.at(-1), table, names, OPTIONS)
    for (const { key, bytes } of [...staged, deltaCommit(record, table), ...await deltaCheckpoint(record, table)]) objects.set(key, bytes)
    records.push(record)
  }
  return { objects, records }
}

test('a reader that begins at a checkpoint has the table that all versions give', async () => {
  const { objects } = await publish(TEST_SEED, 13)
  const checkpoints = [...objects.keys()].filter((key) => CHECKPOINT.test(key))
  expect(checkpoints.map((key) => Number(CHECKPOINT.exec(key)![1]))).toEqual([4, 8, 12])
  for (const key of checkpoints) {
    const replayed = new ReplayedDelta(objects, FOLDER)
    while (replayed.version < Number(CHECKPOINT.exec(key)![1])) replayed.next()
    const begun = new ReplayedDelta(objects, FOLDER)
    const actions = await rowsOf(objects.get(key)!)
    begun.apply(actions)
    // A checkpoint's files change nothing.
    const still = new Map([...replayed.files].map(([path, file]) => [path, { ...file, dataChange: false }]))
    expect(begun.files).toEqual(still)
    expect({ protocol: begun.protocol, metaData: begun.metaData, txns: begun.txns }).toEqual({ protocol: replayed.protocol, metaData: replayed.metaData, txns: replayed.txns })
  }
  const last = JSON.parse(Buffer.from(objects.get(`${FOLDER}/_delta_log/_last_checkpoint`)!).toString('utf8')) as Record<string, number>
  const [key, rows] = [checkpoints.at(-1)!, await rowsOf(objects.get(checkpoints.at(-1)!)!)]
  expect(last).toEqual({ version: 12, size: rows.length, sizeInBytes: objects.get(key)!.length, numOfAddFiles: rows.filter(({ add }) => add).length })
})

test('the same record, the same bytes; a version in between has none', async () => {
  const { records } = await publish(3, 6)
  const checkpoints = await Promise.all(records.map((record) => deltaCheckpoint(JSON.parse(JSON.stringify(record)) as DeltaRecord, { folder: FOLDER })))
  expect(checkpoints.map((objects) => objects.length)).toEqual([0, 0, 0, 0, 2, 0])
  expect(await deltaCheckpoint(records[4]!, { folder: FOLDER })).toEqual(checkpoints[4])
})

test('a file that is missing in a checkpoint is found', async () => {
  const { objects, records } = await publish(3, 5)
  const lost = { ...records[4]!, files: records[4]!.files.slice(1) }
  const begun = new ReplayedDelta(objects, FOLDER)
  begun.apply(await rowsOf((await deltaCheckpoint(lost, { folder: FOLDER }))[0]!.bytes))
  expect(begun.files.size).toBe(records[4]!.files.length - 1)
  expect(records[4]!.files.length).toBeGreaterThan(0)
})
