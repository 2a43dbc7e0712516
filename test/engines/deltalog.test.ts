/** A Delta table that changes at random: every engine sees the rows of every version, with and without a checkpoint, and none is passed over for its bounds. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deltaCheckpoint } from '../../src/lake/delta/checkpoint.ts'
import { deltaCommit, nextDelta } from '../../src/lake/delta/log.ts'
import type { DeltaRecord } from '../../src/lake/delta/record.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { parquetMaker, put, READABLE_COLUMNS, rowValues } from '../support/publishedparquet.ts'
import { ChangingTable, FOLDER, NumberedNames, visibleRows } from '../support/publishedtables.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { drawn } from '../support/scope.ts'
import { Engine, type EngineName, installed, SLOW_ENGINES } from './engine.ts'

const VERSIONS = 12
const LARGE_ROWS = 4000
const engines = installed(['duckdb', 'deltalake', ...drawn(SLOW_ENGINES, 1, 'slow engines for a Delta log')])
/** It reads no table with column mapping. */
const refusing = installed(['polars'])
const running = new Map<EngineName, Engine>()
let lake: string
/** Numbers of the rows of each version. */
const versions: number[][] = []
/** What the column of the numbers is called in each version. */
const ids: string[] = []

beforeAll(async () => {
  lake = mkdtempSync(join(tmpdir(), 'ltap-deltalog-'))
  const changing = new ChangingTable(new Random(TEST_SEED), READABLE_COLUMNS, `file://${lake}`, parquetMaker(lake), LARGE_ROWS)
  const names = new NumberedNames()
  let record: DeltaRecord | undefined
  for (let version = 0; version < VERSIONS; version++) {
    const table = changing.next()
    const next = nextDelta(record, table, names, { ltapVersion: '0.1.0', checkpointEvery: 5 })
    record = next.record
    for (const object of [...next.objects, deltaCommit(record, table), ...await deltaCheckpoint(record, table)]) put(lake, object)
    versions.push(visibleRows(table.files))
    ids.push(table.columns[0]!.name)
  }
  for (const name of [...engines, ...refusing]) running.set(name, new Engine(name))
})

afterAll(async () => {
  for (const engine of running.values()) await engine.stop()
  rmSync(lake, { recursive: true, force: true })
})

/** Rows of a version as an engine sees them, by id. */
async function rowsOf(name: EngineName, at: number, where?: string, root = lake): Promise<readonly (readonly Value[])[]> {
  const { rows } = await running.get(name)!.ask({ format: 'delta', place: `file://${join(root, FOLDER)}`, at: String(at), ...(where !== undefined && { where }) })
  return rows.toSorted(([a], [b]) => Number((a as bigint) - (b as bigint)))
}

/** A copy of the lake in which a version's file says something else. */
function changedLake(version: number, change: (text: string) => string): string {
  const copy = mkdtempSync(join(tmpdir(), 'ltap-deltalog-'))
  cpSync(lake, copy, { recursive: true })
  const log = join(copy, FOLDER, '_delta_log')
  for (const name of readdirSync(log)) if (name.includes('checkpoint')) rmSync(join(log, name))
  const path = join(log, `${String(version).padStart(20, '0')}.json`)
  writeFileSync(path, change(readFileSync(path, 'utf8')))
  return copy
}

describe.skipIf(engines.length === 0).each(engines)('%s', (name) => {
  test('sees the rows of each version', async () => {
    for (const [at, numbers] of versions.entries()) expect(await rowsOf(name, at), `version ${at}`).toEqual(numbers.map(rowValues))
  })

  test('passes over no file that has a row', async () => {
    const random = new Random(TEST_SEED)
    for (const [at, numbers] of versions.entries()) {
      const number = random.pick(numbers.length > 0 ? numbers : [0])
      const [low, high] = [number - random.int(30), number + random.int(30)]
      const wanted = numbers.filter((other) => other >= low && other <= high).map(rowValues)
      expect(await rowsOf(name, at, `${ids[at]} >= ${low} AND ${ids[at]} <= ${high}`), `version ${at}`).toEqual(wanted)
      expect(await rowsOf(name, at, `${ids[at]} = ${number}`), `version ${at}`).toEqual(numbers.filter((other) => other === number).map(rowValues))
    }
  })

  test('shows a planted fault: a deletion vector that is not there, bounds that are too narrow', async () => {
    // Version 1 adds a file of which every third row is hidden.
    const unhidden = changedLake(1, (text) => text.replace(/,"deletionVector":\{"storageType":"u"[^}]+\}/, ''))
    const narrow = changedLake(1, (text) => text.replace(/(maxValues\\":\{\\"id\\":)\d+/, '$11'))
    expect((await rowsOf(name, 1, undefined, unhidden)).length).toBeGreaterThan(versions[1]!.length)
    const last = versions[1]!.at(-1)!
    expect(await rowsOf(name, 1, `id = ${last}`)).toEqual([rowValues(last)])
    expect(await rowsOf(name, 1, `id = ${last}`, narrow)).toEqual([])
    for (const copy of [unhidden, narrow]) rmSync(copy, { recursive: true, force: true })
  })
})

test.skipIf(refusing.length === 0)('Polars refuses the table, and shows no wrong rows', async () => {
  await expect(rowsOf('polars', 0)).rejects.toThrow(/columnMapping|column mapping/i)
})
