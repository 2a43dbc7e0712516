/**
 * Single values damaged in real heap pages, and TOAST chunks deleted: all other values are in the lake as the undamaged server prints
 * them, the damaged ones are counted, and every page comes back.
 */
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import { readU32 } from '../../src/common/bytes.ts'
import { openCluster } from '../../src/io/cluster.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { linePointer, linePointerCount, LP_DEAD, LP_NORMAL, lpFlags, lpLen, lpOff, makeLinePointer } from '../../src/page/linepointer.ts'
import { deformTuple, newDeformedTuple } from '../../src/tuple/deform.ts'
import { readTupleHeader } from '../../src/tuple/header.ts'
import { HEAP_HASNULL } from '../../src/tuple/infomask.ts'
import { isExternal, payloadStart } from '../../src/tuple/varlena.ts'
import { ltap } from '../cli/streams.ts'
import { tupleData } from '../support/badinput.ts'
import { compareCluster } from '../support/comparelake.ts'
import { transcode } from '../support/lakes.ts'
import { visibleRows } from '../support/lakerows.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { writeChecked } from '../support/pagedamage.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount, drawn } from '../support/scope.ts'
import { loadZoo, zooTables } from '../support/zoo.ts'

/** Columns whose types need no `_overflow` child, every value out of line, and others beside them. */
const DOCS = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TYPE pair AS (a int, b bool);
  CREATE TABLE docs (id int, t text, b bytea, flag bool, m mood, p pair, u uuid, j jsonb, n numeric(10,2));
  ALTER TABLE docs ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
  INSERT INTO docs SELECT i, repeat(md5(i::text), 200), decode(repeat(md5((-i)::text), 150), 'hex'), i % 3 = 0,
    (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, ROW(i, i % 2 = 0)::pair, md5(i::text)::uuid,
    (SELECT jsonb_agg(md5((i * k)::text)) FROM generate_series(1, 300) k), i / 7.0
  FROM generate_series(1, 60) i`

describe.each(fewerMajors('majors of bad values'))('bad values on Postgres %i', (major) => {
  let cluster: PostgresServer
  let folder: string
  let lakes = 0
  let zoo: string[]
  /** Rows of the undamaged server: ctid and the columns of public.docs. */
  let docsRows: (string | null)[][]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ltap-test-'))
    cluster = await createCluster(major)
    const sql = await connect(cluster)
    await loadZoo(major, sql)
    zoo = (await zooTables(sql)).map(({ name }) => `zoo.${name}`)
    await sql.script(DOCS)
    docsRows = await sql.rows('SELECT ctid, * FROM docs ORDER BY ctid')
    await closeSessions(cluster)
    await cluster.stop('fast')
  })

  afterAll(async () => {
    await closeSessions(cluster)
    await cluster.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function inCopy(body: (copy: string) => Promise<void>): Promise<void> {
    const copy = join(folder, 'copy')
    await cluster.copyDataDir(copy)
    try {
      await body(copy)
    } finally {
      rmSync(copy, { recursive: true })
    }
  }

  const read = async (copy: string, onCorrupt: 'fail' | 'carry', tables: string[]): Promise<{ lake: string; manifest: Manifest }> => {
    const lake = join(folder, `lake${lakes++}`)
    return { lake, manifest: await transcode(copy, lake, { onCorrupt, filter: { databases: ['postgres'], tables } }) }
  }

  /** `ltap inspect table` of public.docs, damaged in `copy`, against the server: what it marks, and what else differs. */
  async function inspectDocs(copy: string, ...args: string[]): Promise<{ code: number; stderr: string; rows: number; marked: string[]; differing: string[] }> {
    const { code, stdout, stderr } = await ltap(['inspect', 'table', copy, 'public.docs', '--database', 'postgres', '--json', ...args])
    const rows = JSON.parse(stdout) as { ctid: string; columns: Record<string, string | null>; dangling: string[]; unreadable: string[] }[]
    const marked: string[] = []
    const differing: string[] = []
    for (const { ctid, columns, dangling, unreadable } of rows) {
      const lost = [...dangling, ...unreadable]
      const expected = docsRows.find(([place]) => place === ctid)!.slice(1)
      Object.entries(columns).forEach(([name, value], i) => {
        if (lost.includes(name)) marked.push(`${name} ${ctid} ${value}`)
        else if (value !== expected[i]) differing.push(`${name} ${ctid} ${value}`)
      })
    }
    return { code, stderr, rows: rows.length, marked, differing }
  }

  /** Proves the lake against the copy, and a rebuilt copy against the lake. */
  async function provePages(lake: string, manifest: Manifest, copy: string): Promise<void> {
    expect(await verifyLake({ lake, pgdata: copy, workers: 0 })).toMatchObject({ equal: true, differences: [] })
    const before = manifest.relations.filter(({ path }) => path !== '').map(({ path }) => readFileSync(join(copy, path)))
    await rebuildLake({ lake, pgdata: copy, force: true, workers: 0 })
    expect(await verifyLake({ lake, pgdata: copy, workers: 0 })).toMatchObject({ equal: true, differences: [] })
    expect(before.length).toBeGreaterThan(0)
  }

  /** Differences to the server on the undamaged directory, without what the message says. */
  async function differing(lake: string, manifest: Manifest): Promise<string[]> {
    await cluster.start()
    try {
      const { differences, values } = await compareCluster(cluster, lake, manifest)
      expect(values).toBeGreaterThan(100)
      return differences.map((text) => /^(.* \(\d+,\d+\)): /.exec(text)?.[1] ?? text)
    } finally {
      await closeSessions(cluster)
      await cluster.stop('fast')
    }
  }

  test.each(drawn(['fail', 'carry'] as const, amount({ quick: 1, sample: 2, all: 2 }), 'ways with damaged values'))('damaged inside their bounds, --on-corrupt %s', async (onCorrupt) => {
    await inCopy(async (copy) => {
      const damaged = damageValues(copy, new Random(TEST_SEED))
      const { lake, manifest } = await read(copy, onCorrupt, zoo)
      const sum = (lane: 'unreadable' | 'pageImages' | 'tupleLane'): number => manifest.relations.reduce((total, { lanes: l }) => total + l[lane], 0)
      const found = await differing(lake, manifest)
      expect(found.filter((place) => !damaged.has(place))).toEqual([])
      // The oracle sees the damage: most of it changes the value or makes it unreadable.
      expect(found.length).toBeGreaterThan(damaged.size / 2)
      expect(sum('unreadable')).toBeGreaterThan(20)
      expect(sum('pageImages')).toBe(0)
      expect(sum('tupleLane')).toBe(0)
      expect(manifest.relations.flatMap(({ files }) => files.flatMap((file) => file.damaged))).toEqual([])
      await provePages(lake, manifest, copy)
    })
  })

  test('of each kind in one table: NULL in the column, the bytes in _overflow', async () => {
    await inCopy(async (copy) => {
      const { file, desc } = heapOf(copy, 'docs')
      const bytes = new Uint8Array(readFileSync(file))
      const place = (name: string, item: number): number => valueStart(bytes.subarray(0, 8192), item, desc, name)
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      bytes[place('flag', 1)] = 7
      view.setUint32(place('m', 2), 99999, true)
      // A record's type oid, at byte 8 of its header behind a short varlena header.
      view.setUint32(place('p', 3) + 1 + 8 - 4, 0, true)
      bytes[place('n', 4) + 1] = 0xff
      bytes[place('n', 4) + 2] = 0xff
      writeChecked(file, bytes)
      const inspected = await inspectDocs(copy)
      expect({ code: inspected.code, rows: inspected.rows }).toEqual({ code: 3, rows: docsRows.length })
      expect(inspected.marked.map((text) => text.slice(0, 30))).toEqual(expect.arrayContaining(['flag (0,1) \\x07']))
      // As the server, which has no label of that oid either.
      expect(inspected.marked).toContain('m (0,2) \\x9f860100')
      expect(inspected.differing).toEqual([])
      expect(inspected.stderr).toMatch(new RegExp(`^ltap: ${inspected.marked.length} values that no server prints: shown as the stored bytes`, 'm'))
      for (const place of ['offset 1, attribute flag', 'offset 3, attribute p']) {
        expect(inspected.stderr).toMatch(new RegExp(`^ltap: \\w+\\.[^\\n]* \\(relation postgres.public.docs, block 0, ${place}\\)$`, 'm'))
      }
      const { lake, manifest } = await read(copy, 'fail', ['public.docs'])
      const docs = manifest.relations.find(({ name }) => name === 'docs')!
      expect(docs).toMatchObject({ overflow: true, lanes: { missingToast: 0, tupleLane: 0, pageImages: 0 } })
      const { rows, columns, descriptor } = visibleRows(lake, docs)
      const at = (name: string): number => columns.findIndex((column) => column.name === name)
      expect(descriptor.relation.overflow).toEqual(expect.arrayContaining(['flag', 'p'].map((name) => at(name) + 1)))
      expect([rows[0]!.values[at('flag')], rows[0]!.overflow[at('flag')]]).toEqual([null, '\\x07'])
      expect([rows[1]!.values[at('m')], rows[1]!.overflow[at('m')]]).toEqual([null, '\\x9f860100'])
      expect(await differing(lake, manifest)).toEqual(expect.arrayContaining(['postgres.public.docs.flag (0,1)', 'postgres.public.docs.m (0,2)']))
      await provePages(lake, manifest, copy)
    })
  })

  test('deleted TOAST chunks cost their own value', async () => {
    await inCopy(async (copy) => {
      const { gone, owners } = deleteChunks(copy, new Random(TEST_SEED))
      await expect(read(copy, 'fail', ['public.docs'])).rejects.toMatchObject({
        name: 'CorruptionError', code: 'toast.value',
        position: { relation: 'postgres.public.docs', block: expect.any(Number) as number, offset: expect.any(Number) as number, attribute: expect.any(String) as string },
      })
      // Without carry a row that lacks a value is damaged, and costs no other; with carry it lacks that value only.
      const places = (all: readonly string[]): string[] => all.map((text) => text.replace(/^postgres\.public\.docs\.| \\x\w+$/g, '')).sort()
      const fail = await inspectDocs(copy)
      const lostRows = new Set(places([...owners]).map((place) => place.split(' ')[1]))
      expect(fail).toMatchObject({ code: 3, rows: docsRows.length - lostRows.size, marked: [], differing: [] })
      expect(fail.stderr).toMatch(/^ltap: toast\.value: missing chunks of value \d+ in TOAST relation \d+; --on-corrupt carry shows its TOAST pointer and the rest of the row \(/m)
      const carried = await inspectDocs(copy, '--on-corrupt', 'carry')
      expect(carried).toMatchObject({ code: 3, rows: docsRows.length, differing: [] })
      expect(places(carried.marked)).toEqual(places([...owners]))
      expect(carried.marked.every((text) => / \\x0112\w{32}$/.test(text))).toBe(true)
      expect(carried.stderr).toMatch(new RegExp(`^ltap: ${owners.size} values whose TOAST chunks are missing: shown as TOAST pointers`, 'm'))
      const { lake, manifest } = await read(copy, 'carry', ['public.docs'])
      const docs = manifest.relations.find(({ name }) => name === 'docs')!
      expect(docs.lanes).toMatchObject({ missingToast: gone.size, unreadable: 0, pageImages: 0, tupleLane: 0 })
      const found = (await differing(lake, manifest)).filter((place) => place.startsWith('postgres.public.docs.'))
      expect(found.sort()).toEqual([...owners].sort())
      await provePages(lake, manifest, copy)
    })
  })
})

function heapOf(pgdata: string, name: string): { file: string; desc: TupleDesc } {
  const opened = openCluster(pgdata)
  const database = opened.databases.find((candidate) => candidate.name === 'postgres')!
  const relation = opened.relations(database.oid).find((candidate) => candidate.visible && candidate.schema === 'public' && candidate.name === name)!
  return { file: join(pgdata, opened.relativePath(relation)), desc: relation.desc! }
}

/** Byte ranges of the attributes of a tuple. */
function attributesOf(page: Uint8Array, item: number, desc: TupleDesc): ReturnType<typeof newDeformedTuple> {
  const pointer = linePointer(page, item)
  const off = lpOff(pointer)
  const { natts, hoff, infomask } = readTupleHeader(page, off)
  const deformed = newDeformedTuple(desc.attributes.length)
  deformTuple(page, off, off + lpLen(pointer), off + hoff, natts, infomask & HEAP_HASNULL ? off + 23 : -1, desc.attributes, deformed)
  return deformed
}

function valueStart(page: Uint8Array, item: number, desc: TupleDesc, name: string): number {
  return attributesOf(page, item, desc).starts[desc.attributes.findIndex((attribute) => attribute.name === name)]!
}

/** Overwrites the payload of one value in every third tuple of schema zoo, or a part of it; returns where. */
function damageValues(pgdata: string, dice: Random): Set<string> {
  const opened = openCluster(pgdata)
  const database = opened.databases.find(({ name }) => name === 'postgres')!
  const damaged = new Set<string>()
  for (const relation of opened.relations(database.oid)) {
    if (relation.schema !== 'zoo' || relation.relkind !== 'r' || !relation.visible) continue
    const file = join(pgdata, opened.relativePath(relation))
    const bytes = new Uint8Array(readFileSync(file))
    for (let block = 0; block < bytes.length / 8192; block++) {
      const page = bytes.subarray(block * 8192, (block + 1) * 8192)
      for (let item = 1; item <= linePointerCount(page); item++) {
        if (lpFlags(linePointer(page, item)) !== LP_NORMAL || !dice.chance(33)) continue
        const name = damageTuple(page, item, relation.desc!, dice)
        if (name !== undefined) damaged.add(`postgres.zoo.${relation.name}.${name} (${block},${item})`)
      }
    }
    writeChecked(file, bytes)
  }
  return damaged
}

/** The name of the attribute that was damaged; its header, and so the tuple's shape, is as it was. */
function damageTuple(page: Uint8Array, item: number, desc: TupleDesc, dice: Random): string | undefined {
  const { starts, ends } = attributesOf(page, item, desc)
  const choices = desc.attributes.flatMap(({ len, dropped }, i) => {
    const start = starts[i]!
    if (dropped || start < 0 || len === -2 || (len === -1 && isExternal(page[start]!))) return []
    return [{ i, from: len === -1 ? payloadStart(page, start) : start, to: ends[i]! }]
  }).filter(({ from, to }) => from < to)
  if (choices.length === 0) return undefined
  const { i, from, to } = dice.pick(choices)
  const first = dice.pick([from, from + dice.int(to - from)])
  const last = Math.min(to, first + dice.pick([1, 4, to - from]))
  const before = page.slice(from, to)
  const fill = dice.pick([0, 0xff, undefined, undefined])
  for (let at = first; at < last; at++) page[at] = fill ?? dice.next()
  return page.subarray(from, to).some((byte, k) => byte !== before[k]) ? desc.attributes[i]!.name : undefined
}

/** Kills one chunk of every fourth value of public.docs; returns the value ids, and their values' places. */
function deleteChunks(pgdata: string, dice: Random): { gone: Set<number>; owners: Set<string> } {
  const { file, desc } = heapOf(pgdata, 'docs')
  const opened = openCluster(pgdata)
  const database = opened.databases.find(({ name }) => name === 'postgres')!
  const docs = opened.relations(database.oid).find(({ schema, name, visible }) => visible && schema === 'public' && name === 'docs')!
  const toast = join(pgdata, opened.relativePath(opened.relations(database.oid).find(({ oid, visible }) => visible && oid === docs.toastRelId)!))
  const chunks = new Uint8Array(readFileSync(toast))
  const chosen = new Map<number, boolean>()
  const gone = new Set<number>()
  for (let block = 0; block < chunks.length / 8192; block++) {
    const page = chunks.subarray(block * 8192, (block + 1) * 8192)
    for (let item = 1; item <= linePointerCount(page); item++) {
      if (lpFlags(linePointer(page, item)) !== LP_NORMAL) continue
      const id = readU32(page, tupleData(page, item))
      if (!chosen.has(id)) chosen.set(id, dice.chance(25))
      if (!chosen.get(id) || (gone.has(id) && !dice.chance(20))) continue
      new DataView(page.buffer, page.byteOffset).setUint32(24 + (item - 1) * 4, makeLinePointer(0, LP_DEAD, 0), true)
      gone.add(id)
    }
  }
  writeChecked(toast, chunks)
  return { gone, owners: ownersOf(new Uint8Array(readFileSync(file)), desc, gone) }
}

function ownersOf(heap: Uint8Array, desc: TupleDesc, ids: ReadonlySet<number>): Set<string> {
  const owners = new Set<string>()
  for (let block = 0; block < heap.length / 8192; block++) {
    const page = heap.subarray(block * 8192, (block + 1) * 8192)
    for (let item = 1; item <= linePointerCount(page); item++) {
      if (lpFlags(linePointer(page, item)) !== LP_NORMAL) continue
      const { starts } = attributesOf(page, item, desc)
      desc.attributes.forEach(({ len, name }, i) => {
        const start = starts[i]!
        if (len === -1 && start >= 0 && isExternal(page[start]!) && ids.has(readU32(page, start + 10))) {
          owners.add(`postgres.public.docs.${name} (${block},${item})`)
        }
      })
    }
  }
  return owners
}
