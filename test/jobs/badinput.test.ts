/** Damaged pages of a stopped server without checksums, as a user of the library meets them. */
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readI32, readU32 } from '../../src/common/bytes.ts'
import { CorruptionError, isPositioned } from '../../src/common/errors.ts'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import { findTable } from '../../src/jobs/inspect/findtable.ts'
import type { ValueError } from '../../src/columnar/tuplevalues.ts'
import { TableReader, type TableReaderOptions, type TableRow } from '../../src/jobs/inspect/tablereader.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { linePointer, linePointerCount, LP_DEAD, LP_NORMAL, lpFlags, makeLinePointer } from '../../src/page/linepointer.ts'
import { heapFile, toastFile, tupleData, whileChanged, whileFile, whilePage } from '../support/badinput.ts'
import { closeSessions, createCluster, connect, majors } from '../support/oracle.ts'
import { visibleRows } from '../support/lakerows.ts'
import { transcode } from '../support/lakes.ts'

const MAJOR = Math.max(...majors())
const TABLE = 'public.big'
/** Line pointers of the heap page: values of 10,000 bytes in six chunks each, the second one deleted. */
const LIVE = 1
const DEAD = 2

let folder: string
let cluster: PostgresServer
let heap: string
let toast: string
let lakes = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ltap-badpages-'))
  cluster = await createCluster(MAJOR, { initdbArgs: MAJOR >= 18 ? ['--no-data-checksums'] : [] })
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE big (id int, v text); ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
    INSERT INTO big SELECT i, repeat(chr(96 + i), 10000) FROM generate_series(1, 5) i;
    DELETE FROM big WHERE id = ${DEAD};
    CREATE TABLE plain AS SELECT i AS id, i::numeric / 7 AS n, ARRAY[i, NULL] AS a, ('{"k": ' || i || '}')::jsonb AS j, repeat('y', i) AS v
      FROM generate_series(1, 200) i`)
  await closeSessions(cluster)
  await cluster.stop()
  heap = heapFile(cluster.dataDir, 'postgres', TABLE)
  toast = toastFile(cluster.dataDir, 'postgres', TABLE)
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

interface Chunk {
  block: number
  offset: number
  valueId: number
  seq: number
}

/** In physical order. */
function chunks(): Chunk[] {
  const bytes = new Uint8Array(readFileSync(toast))
  return Array.from({ length: bytes.length / 8192 }, (_, block) => {
    const page = bytes.subarray(block * 8192, (block + 1) * 8192)
    return Array.from({ length: linePointerCount(page) }, (__, i) => i + 1).filter((offset) => lpFlags(linePointer(page, offset)) === LP_NORMAL)
      .map((offset): Chunk => {
        const at = tupleData(page, offset)
        return { block, offset, valueId: readU32(page, at), seq: readI32(page, at + 4) }
      })
  }).flat()
}

/** Chunk `seq` of the value in line pointer `item` of the heap page. */
function chunkOf(item: number, seq: number): Chunk {
  const all = chunks()
  const ids = [...new Set(all.map(({ valueId }) => valueId))].sort((a, b) => a - b)
  return all.find((chunk) => chunk.valueId === ids[item - 1] && chunk.seq === seq)!
}

type Change = (page: Uint8Array, at: number, view: DataView, offset: number) => void

/** Damage in a chunk's tuple: `at` is where chunk_id begins. */
function whileChunk(item: number, seq: number, change: Change, body: () => unknown): Promise<void> {
  const { block, offset } = chunkOf(item, seq)
  return whilePage(toast, block, (page) => change(page, tupleData(page, offset), new DataView(page.buffer, page.byteOffset), offset), body)
}

/** Damage in the TOAST pointer: `at` is where its 18 bytes begin, behind the int4. */
function whilePointer(item: number, change: Change, body: () => unknown): Promise<void> {
  return whilePage(heap, 0, (page) => change(page, tupleData(page, item) + 4, new DataView(page.buffer, page.byteOffset), item), body)
}

function transcodeBig(onCorrupt: 'fail' | 'carry' = 'fail'): Promise<{ lake: string; manifest: Manifest; big: LakeRelation }> {
  const lake = join(folder, `lake${lakes++}`)
  return transcode(cluster.dataDir, lake, { onCorrupt, filter: { databases: ['postgres'], tables: [TABLE] } })
    .then((manifest) => ({ lake, manifest, big: manifest.relations.find(({ name }) => name === 'big')! }))
}

function rowsOf(opened: DirectoryCluster, table: string, options: TableReaderOptions): TableRow[] {
  const reader = new TableReader(opened, findTable(opened, table, 'postgres'))
  try {
    return [...reader.rows(options)]
  } finally {
    reader.close()
  }
}

const CHUNK_DAMAGE: Record<string, Change> = {
  'a missing chunk': (_page, _at, view, offset) => view.setUint32(24 + (offset - 1) * 4, makeLinePointer(0, LP_DEAD, 0), true),
  'a chunk twice, another missing': (_page, at, view) => view.setInt32(at + 4, 1, true),
  'a chunk that points back to the first': (_page, at, view) => view.setInt32(at + 4, 0, true),
  'a chunk number below zero': (_page, at, view) => view.setInt32(at + 4, -1, true),
  'an absurd chunk number': (_page, at, view) => view.setInt32(at + 4, 0x7fffffff, true),
  "another value's chunk": (_page, at, view) => view.setUint32(at, 7, true),
  'a chunk that is too short': (_page, at, view) => view.setUint32(at + 8, (1000 + 4) << 2, true),
}

const POINTER_DAMAGE: Record<string, Change> = {
  'a value id that is not there': (_page, at, view) => view.setUint32(at + 10, 99999, true),
  'another TOAST relation': (_page, at, view) => view.setUint32(at + 14, 1259, true),
  'a gigabyte': (_page, at, view) => [2, 6].forEach((field) => view.setUint32(at + field, 0x3ffffff0, true)),
  'a compressed size': (_page, at, view) => view.setUint32(at + 6, 5000, true),
  'a stored size above the raw one': (_page, at, view) => view.setUint32(at + 2, 8000, true),
  'a raw size below zero': (_page, at, view) => view.setInt32(at + 2, -5, true),
}

describe.each([
  ...Object.entries(CHUNK_DAMAGE).map(([what, change]) => ({ what, damage: (item: number, body: () => unknown) => whileChunk(item, 2, change, body) })),
  ...Object.entries(POINTER_DAMAGE).map(([what, change]) => ({
    what: `pointer: ${what}`, damage: (item: number, body: () => unknown) => whilePointer(item, change, body),
  })),
])('$what', ({ damage }) => {
  test('of a live row is corruption', async () => {
    await damage(LIVE, async () => {
      const error = await transcodeBig().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(CorruptionError)
      const { code, position } = error as CorruptionError
      expect(code).toMatch(/^(?:toast|compression)\./)
      expect(position).toMatchObject({ relation: 'postgres.public.big', block: 0, offset: LIVE, attribute: 'v', file: heap })
      const found: ValueError[] = []
      const rows = rowsOf(openCluster(cluster.dataDir), TABLE, { onDamage: (problem) => found.push(problem) })
      expect(rows.map(({ offset }) => offset)).toEqual([3, 4, 5])
      expect(found.map(({ code: same, position: place }) => ({ same, place }))).toEqual([
        { same: code, place: { relation: 'postgres.public.big', block: 0, offset: LIVE, attribute: 'v' } },
      ])
      expect(() => rowsOf(openCluster(cluster.dataDir), TABLE, {})).toThrow(CorruptionError)

      if (code === 'toast.value') expect((error as CorruptionError).reason).toMatch(/ chunks of value \d+ in TOAST relation \d+; --on-corrupt carry keeps /)

      const { lake, big } = await transcodeBig('carry')
      const report = await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })
      expect(report).toMatchObject({ equal: true, differences: [], forensic: { damagedPages: 0 } })
      expect(big).toMatchObject({ overflow: true, lanes: { missingToast: 1, unreadable: 0, dangling: 0, pageImages: 0, tupleLane: 0 } })
      expect(visibleRows(lake, big).rows).toEqual([LIVE, 3, 4, 5].map((item) => ({
        ctid: `(0,${item})`, values: [item, item === LIVE ? null : `s${String.fromCharCode(96 + item).repeat(10000)}`],
        overflow: [null, item === LIVE ? expect.stringMatching(/^\\x0112[0-9a-f]{32}$/) as string : null],
      })))
    })
  })

  test('of a dead row is normal', async () => {
    await damage(DEAD, async () => {
      const { lake, big } = await transcodeBig()
      expect(big.files[0]!.damaged).toEqual([])
      // The pointer is in the raw lane, or its tuple in the tuple lane.
      expect(big.lanes.dangling + big.lanes.tupleLane).toBe(1)
      expect(await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
      const rows = rowsOf(openCluster(cluster.dataDir), TABLE, { dead: true })
      expect(rows.map(({ offset, state }) => [offset, state])).toEqual([[1, 'live'], [2, 'deleted'], [3, 'live'], [4, 'live'], [5, 'live']])
      const dead = rows[DEAD - 1]!
      expect(dead.problem !== null || dead.dangling.includes('v')).toBe(true)
      const copy = join(folder, `copy${lakes}`)
      await cluster.copyDataDir(copy)
      await rebuildLake({ lake, pgdata: copy, force: false, workers: 0 })
      expect((await verifyLake({ lake, pgdata: copy, workers: 0 })).differences).toEqual([])
      rmSync(copy, { recursive: true })
    })
  })
})

test("a chunk that says it is compressed is one value's damage in both relations", async () => {
  await whileChunk(LIVE, 2, (_page, at, view) => view.setUint32(at + 8, view.getUint32(at + 8, true) | 2, true), async () => {
    await expect(transcodeBig()).rejects.toMatchObject({ name: 'CorruptionError', position: { relation: 'postgres.public.big', attribute: 'v' } })
    const { lake, manifest, big } = await transcodeBig('carry')
    expect(big.lanes).toMatchObject({ missingToast: 1, unreadable: 0 })
    const chunkLanes = manifest.relations.find(({ relkind }) => relkind === 't')!
    expect(chunkLanes).toMatchObject({ overflow: true, lanes: { missingToast: 0, unreadable: 1, pageImages: 0 } })
    expect(await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
  })
})

test('the TOAST relation is missing or empty', async () => {
  for (const content of [undefined, '']) {
    await whileFile(toast, content, async () => {
      const error = await transcodeBig().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(CorruptionError)
      expect((error as CorruptionError).message).toMatch(content === undefined ? /relation.missing-file/ : /toast.value: missing chunks/)
    })
  }
})

test('row versions by what became of them', async () => {
  await cluster.start({ max_prepared_transactions: '4' })
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE fates (id int); INSERT INTO fates VALUES (1), (2), (3), (4), (5);
    UPDATE fates SET id = 20 WHERE id = 2; DELETE FROM fates WHERE id = 3;
    BEGIN; INSERT INTO fates VALUES (6); ROLLBACK;
    BEGIN; DELETE FROM fates WHERE id = 4; INSERT INTO fates VALUES (7); PREPARE TRANSACTION 'p';
    BEGIN; DELETE FROM fates WHERE id = 5; ROLLBACK;
    CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE part2 PARTITION OF parts FOR VALUES IN (2); INSERT INTO parts VALUES (1); UPDATE parts SET id = 2; CREATE VIEW seen AS SELECT 1`)
  await closeSessions(cluster)
  await cluster.stop()
  const opened = openCluster(cluster.dataDir)
  const fates = rowsOf(opened, 'public.fates', { dead: true }).map(({ values, state, next }) => `${values[0]} ${state} ${next}`)
  expect(fates).toEqual([
    '1 live (0,1)', '2 updated (0,6)', '3 deleted (0,3)', '4 deleting (0,4)', '5 live (0,5)', '20 live (0,6)', '6 aborted (0,7)', '7 inserting (0,8)',
  ])
  expect(rowsOf(opened, 'public.fates', {}).map(({ values }) => values[0])).toEqual(['1', '4', '5', '20'])
  expect(rowsOf(opened, 'public.part1', { dead: true }).map(({ state }) => state)).toEqual(['moved'])
  expect(() => findTable(opened, 'public.parts')).toThrow(/'public.parts' has no pages: it is a partitioned table: its rows are in its partitions, public.part1, public.part2/)
  expect(() => findTable(opened, 'public.seen')).toThrow(/it is a view/)
  expect(() => findTable(opened, 'public.t', 'none')).toThrow(/there is no database 'none'/)
})

test('flipped bits: rows, or corruption with its place; nothing else', async () => {
  const opened = openCluster(cluster.dataDir)
  const plain = heapFile(cluster.dataDir, 'postgres', 'public.plain')
  const flips = fc.array(fc.record({ at: fc.nat(), bit: fc.integer({ min: 0, max: 7 }) }), { minLength: 1, maxLength: 4 })
  await fc.assert(fc.asyncProperty(fc.constantFrom(plain, heap, toast), flips, async (file, changes) => {
    const flip = (bytes: Uint8Array): void => changes.forEach(({ at, bit }) => void (bytes[at % bytes.length]! ^= 1 << bit))
    await whileChanged(file, flip, () => {
      for (const table of ['public.plain', TABLE]) {
        const problems: ValueError[] = []
        const rows = rowsOf(opened, table, { dead: true, onDamage: (problem) => problems.push(problem) })
        expect(rows.length).toBeLessThan(1000)
        for (const { position } of problems) expect(position.block).toBeGreaterThanOrEqual(0)
      }
    }).catch((error: unknown) => {
      if (!isPositioned(error)) throw error
    })
  }), { numRuns: 300 })
})
