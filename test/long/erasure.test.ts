/**
 * Rows are erased: the report says which objects of a lake still hold bytes of deleted rows, and VACUUM, transcode, merge --all and gc leave none. The oracle
 * plants values, deletes their rows, and looks for the values in the decompressed bytes of every object of the store.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import type { ErasureReport } from '../../src/jobs/lakes/erasure.ts'
import { readPackDirectory } from '../../src/jobs/lakes/packdirectories.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { unpackPages } from '../../src/lake/packedpages.ts'
import { decodeStateText } from '../../src/lake/state/statetext.ts'
import { isDataFile } from '../../src/lake/tablefolder.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { ltap } from '../cli/streams.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { S3Server } from '../support/s3server.ts'

const [major] = fewerMajors('the erasure report') as [number]
const URL = 's3://lake/erasure'
/** The table notes lies in packs. */
const packing = { below: 4 }
const filter = { databases: ['postgres'], tables: [] }
/** In a column, out of line in the TOAST relation, and in a table without an index that lies in packs. */
const CANARIES = ['canary-in-line-7f3a', 'canary-in-toast-91cd', 'canary-in-pack-55e0']

let folder: string
let cluster: PostgresServer
let server: S3Server
let store: ObjectStore

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-erasure-'))
  chmodSync(folder, 0o755)
  server = await S3Server.start()
  for (const [name, value] of Object.entries({ AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret', AWS_ENDPOINT_URL_S3: server.endpoint })) vi.stubEnv(name, value)
  store = await openObjectStore(URL)
  cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
  await cluster.stop('fast')
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await cluster?.remove()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** @returns LSN of the state */
async function takeState(...statements: string[]): Promise<string> {
  await cluster.start()
  for (const statement of statements) await (await connect(cluster)).exec(statement)
  await closeSessions(cluster)
  await cluster.stop('fast')
  return (await materializeLake({ pgdata: cluster.dataDir, store, workers: 0, filter, packing })).lsn
}

async function report(before: string): Promise<ErasureReport> {
  const { code, stdout, stderr } = await ltap(['gc', URL, '--erasure', before, '--json'])
  expect([0, 1], stderr).toContain(code)
  const found = JSON.parse(stdout) as ErasureReport
  expect(code).toBe(found.erased ? 0 : 1)
  return found
}

async function done(...argv: string[]): Promise<void> {
  const { code, stderr } = await ltap(argv)
  expect(code, stderr).toBe(0)
}

/** Keys of the objects in whose bytes a planted value is. */
async function objectsWithCanaries(): Promise<string[]> {
  const found: string[] = []
  const instance = await DuckDBInstance.create(':memory:')
  const duck = await instance.connect()
  for await (const { key } of store.list('')) {
    const bytes = Buffer.from((await store.get(key))!.bytes)
    const texts = [bytes.toString('latin1')]
    if (isDataFile(key)) {
      const file = join(folder, 'searched.parquet')
      writeFileSync(file, bytes)
      for (const row of (await duck.runAndReadAll(`SELECT t::VARCHAR FROM read_parquet('${file}') t`)).getRows()) texts.push(String(row[0]))
    } else if (bytes.subarray(0, 4).toString('latin1') === 'ltpk') {
      const { compressor, relations } = await readPackDirectory(store, key)
      for (const { start, sizes, index } of relations) {
        const end = start + sizes.reduce((sum, size) => sum + size, 0)
        unpackPages({ sizes, compressor, index, bytes: bytes.subarray(start, end), checksums: false }, (_, page) => texts.push(Buffer.from(page).toString('latin1')))
      }
    }
    // HEADs and pages of states, each from one magic to the next.
    for (let at = bytes.indexOf('ltst'); at >= 0;) {
      const next = bytes.indexOf('ltst', at + 4)
      texts.push(Buffer.from(decodeStateText(bytes.subarray(at, next < 0 ? bytes.length : next), { code: 'x', name: key }, 1 << 24)).toString('latin1'))
      at = next
    }
    // The bounds of a column are cut and in base64.
    const base64 = CANARIES.map((canary) => Buffer.from(canary.slice(0, 9)).toString('base64'))
    if (texts.some((text) => [...CANARIES, ...base64].some((wanted) => text.includes(wanted)))) found.push(key)
  }
  instance.closeSync()
  return found.sort()
}

/** Everything in which the values are is in the report. */
async function checkComplete({ branches, stray }: ErasureReport): Promise<number> {
  const reported = new Set([...branches.flatMap(({ holding }) => holding.map(({ object }) => object)), ...stray.map(({ object }) => object)])
  const found = await objectsWithCanaries()
  expect(found.filter((key) => !reported.has(key))).toEqual([])
  return found.length
}

const SETUP = [
  'CREATE TABLE people (id int, secret text)', 'ALTER TABLE people ALTER secret SET STORAGE EXTERNAL', 'CREATE TABLE notes (id int, note text)',
  "INSERT INTO people SELECT i, 'name ' || i FROM generate_series(1, 2000) i",
  `INSERT INTO people VALUES (-1, '${CANARIES[0]}'), (-2, '${CANARIES[1]}' || repeat('x', 5000)), (-3, repeat('kept', 2000))`,
  `INSERT INTO notes VALUES (-1, '${CANARIES[2]}'), (1, 'a note')`, 'VACUUM',
]
const DELETE = ['DELETE FROM people WHERE id IN (-1, -2)', 'DELETE FROM notes WHERE id = -1']

test('deleted rows are found in each object that has them, until none has', async () => {
  const first = await takeState(...SETUP)
  expect(await objectsWithCanaries()).not.toEqual([])
  const of = (name: string, { branches }: ErasureReport): ErasureReport['branches'][number]['holding'] =>
    branches.flatMap(({ holding }) => holding.filter(({ relation }) => relation === `public.${name}`))
  // No row was deleted: the report is a proof.
  expect(await report(first)).toMatchObject({ erased: true, stray: [], branches: [{ branch: 'main', holding: [] }] })

  const second = await takeState(...DELETE)
  const deleted = await report(second)
  expect(of('people', deleted)).toMatchObject([{ rows: 2, keptBy: [`state ${first}`, `state ${second}`], erasedBy: 'merge' }, { rows: 2, keptBy: [`state ${second}`], erasedBy: 'vacuum' }])
  // Each block of it was written: no state but the first has the first layer.
  expect(of('notes', deleted)).toMatchObject([{ rows: 1, keptBy: [`state ${first}`, `state ${second}`] }, { rows: 1, keptBy: [`state ${second}`], erasedBy: 'vacuum' }])
  // Asked about the time before the deletion, they are rows that were there.
  expect(of('people', await report(first))).toEqual([])
  await checkComplete(deleted)

  await done('tag', 'create', URL, 'audit', '--at', first)
  await takeState('VACUUM')
  expect(of('people', await report(second)).map(({ erasedBy }) => erasedBy)).toEqual(['merge', 'merge'])
  // Readers may ask for earlier snapshots until they are no longer listed.
  await done('publish', URL, '--keep-snapshots', '1')
  await done('merge', URL, '--all')
  await done('gc', URL, '--keep', '0s')
  const tagged = await report(second)
  expect(of('people', tagged)).toMatchObject([{ rows: 2, keptBy: ['tag audit'], erasedBy: 'gc' }])
  expect(of('notes', tagged)).toMatchObject([{ rows: 1, keptBy: ['tag audit'], erasedBy: 'gc' }])
  expect(await checkComplete(tagged)).toBeGreaterThan(0)
  expect((await ltap(['gc', URL, '--erasure', second])).stdout).toMatch(/object: .* of public\.people: 2 row versions in \d pages?, kept by tag audit; gone once what keeps it is let go/)

  const [holder] = of('people', tagged)
  const kept = (await store.get(holder!.object))!.bytes
  await done('tag', 'delete', URL, 'audit')
  await done('gc', URL)
  expect(await report(second)).toMatchObject({ erased: true, stray: [], branches: [{ holding: [] }] })
  expect(await objectsWithCanaries()).toEqual([])

  // What a gc that was killed left (planted).
  await store.put(holder!.object, kept)
  expect(await report(second)).toMatchObject({ erased: false, stray: [{ object: holder!.object }] })
  expect(await objectsWithCanaries()).toEqual([holder!.object])
  await done('gc', URL)
  expect(await report(second)).toMatchObject({ erased: true, stray: [] })
})

describe('in a folder, whose HEAD keeps earlier values', () => {
  test('an ordinary lake of several runs comes to a proof, and goes on', async () => {
    const place = join(folder, 'lake')
    store = await openObjectStore(place)
    const states = [await takeState('DROP TABLE IF EXISTS people, notes', ...SETUP)]
    for (let i = 0; i < 3; i++) states.push(await takeState(`INSERT INTO people VALUES (${i}, 'more ${i}')`, `CREATE TABLE t${i} (a int)`))
    const deleted = await takeState(...DELETE)
    await takeState('VACUUM', "INSERT INTO notes VALUES (2, 'another')")
    expect((await objectsWithCanaries()).length).toBeGreaterThan(2)
    await done('merge', place, '--all')
    await done('gc', place, '--keep', '0s')
    // Snapshots that readers may ask for (planted: a proof would be false).
    expect((await ltap(['gc', place, '--erasure', deleted])).code).toBe(1)
    expect(await objectsWithCanaries()).not.toEqual([])
    await done('publish', place, '--keep-snapshots', '1')
    await done('gc', place, '--keep', '0s')
    const { code, stdout } = await ltap(['gc', place, '--erasure', deleted])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/: no retained object holds bytes of rows deleted before/) as unknown])
    expect(await objectsWithCanaries()).toEqual([])
    const verified = await ltap(['verify', '--lake', place])
    expect(verified.code, verified.stdout).toBe(0)

    // A branch that is deleted leaves its HEAD, and nothing of rows in it.
    await takeState("INSERT INTO people VALUES (-1, 'canary-in-line-7f3a')", "INSERT INTO notes VALUES (-1, 'canary-in-pack-55e0')")
    await done('branch', 'create', place, 'other')
    const again = await takeState('DELETE FROM people WHERE id = -1', 'DELETE FROM notes WHERE id = -1', 'VACUUM')
    await done('branch', 'delete', place, 'other')
    await done('merge', place, '--all')
    await done('gc', place, '--keep', '0s')
    expect((await ltap(['gc', place, '--erasure', again])).code).toBe(0)
    expect(await objectsWithCanaries()).toEqual([])
  })
})

test('what it refuses', async () => {
  expect(await ltap(['gc', URL, '--erasure', 'FF/0'])).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: lake\.no-state: .* transcode the cluster as it is now, then ask again\n$/) as unknown })
  expect(await ltap(['gc', URL, '--erasure', '0/8', '--keep', '1d'])).toMatchObject({ code: 2 })
})
