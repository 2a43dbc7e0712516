/**
 * Small relations lie in packs: a lake whose relations cross the threshold in both directions shows what the server shows, has the pages that a new lake
 * has, and each damage of a pack is found.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { Lake } from '../../src/engine/lake.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { filesOf, readBlockIndex } from '../../src/jobs/lakes/layerfiles.ts'
import { PackDirectories } from '../../src/jobs/lakes/packdirectories.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { isPacked, type PackedFile } from '../../src/lake/layer.ts'
import { encodeBlockIndex } from '../../src/lake/blockindex.ts'
import { CurrentRelation } from '../../src/lake/layerorder.ts'
import { PACK_TAIL_LENGTH } from '../../src/lake/pack.ts'
import { parseStateRelation, type StateRelation } from '../../src/lake/staterelation.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { destroyHeapFiles, transcode } from '../support/lakes.ts'
import { layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'

const filter = { databases: ['postgres'], tables: [] }

/** What the server shows, by a query that both understand; catalogs with values out of line, too. */
const QUERIES: Record<string, string> = {
  docs: 'SELECT id, length(doc) FROM docs', small: 'SELECT id, t FROM small', pg_class: "SELECT relname, relkind FROM pg_class WHERE relname !~ '^pg_toast'",
  pg_rewrite: 'SELECT oid, length(ev_action) FROM pg_rewrite', pg_attrdef: 'SELECT adnum FROM pg_attrdef', pg_am: 'SELECT amname FROM pg_am',
}

/** SQL of each state, how it packs, and whether docs, its TOAST relation and the sequence are packed then. */
const STATES: { sql: string; packing?: { threshold?: number; below?: number; tables?: { table: string; below: number }[] }; packed: [docs: boolean, toast: boolean, counter: boolean] }[] = [
  {
    sql: `CREATE TABLE docs (id int, doc text DEFAULT 'none'); ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL; CREATE TABLE small (id int, t text); CREATE SEQUENCE counter;
      INSERT INTO docs SELECT i, repeat(md5(i::text), 66) FROM generate_series(1, 20) i; INSERT INTO small SELECT i, 'x' || i FROM generate_series(1, 500) i`,
    packed: [false, true, true],
  },
  { sql: "UPDATE small SET t = 'new' WHERE id < 5; SELECT nextval('counter'); INSERT INTO docs SELECT 99, repeat('q', 5000)", packing: { below: 4 }, packed: [true, true, true] },
  // The settings of the state before go on. Both relations grow beyond them.
  { sql: "INSERT INTO docs SELECT i, repeat(md5(i::text), 66) FROM generate_series(100, 900) i; UPDATE docs SET doc = doc || 'z' WHERE id < 3", packed: [false, false, true] },
  { sql: "DELETE FROM docs WHERE id > 10; DELETE FROM small WHERE id % 3 = 0", packed: [false, false, true] },
  { sql: "DELETE FROM docs; VACUUM docs; INSERT INTO docs SELECT i, repeat(md5(i::text), 66) FROM generate_series(1, 3) i; SELECT nextval('counter'); ALTER TABLE small ADD COLUMN more int DEFAULT 7", packed: [true, true, true] },
  { sql: "INSERT INTO small VALUES (-1, 'last')", packing: { threshold: 0, below: 0 }, packed: [false, false, false] },
  // One table by itself, which the lake keeps; "small" has its own Parquet files as before.
  { sql: "SELECT nextval('counter')", packing: { tables: [{ table: 'public.docs', below: 16 }, { table: 'public.nosuch', below: 16 }] }, packed: [true, false, false] },
  { sql: "INSERT INTO docs VALUES (-5, 'more'); INSERT INTO small VALUES (-2, 'more')", packing: { tables: [{ table: 'public.nosuch', below: 0 }] }, packed: [true, false, false] },
]

describe.each(fewerMajors('majors of packs'))('a lake with packs of Postgres %i', (major) => {
  let folder: string
  let url: string
  let cluster: PostgresServer
  const states: { lsn: string; rows: Map<string, string[]> }[] = []

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ltap-test-'))
    url = join(folder, 'lake')
    cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
  })

  afterAll(async () => {
    await cluster.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function relations(): Promise<StateRelation[]> {
    const lake = await Lake.open({ store: await openObjectStore(url), clock: systemClock, random: systemRandom })
    const found: StateRelation[] = []
    await (await Snapshot.open(lake, 'main')).scan('layers', (key, value) => found.push(parseStateRelation(key, value)))
    return found
  }

  /** Undefined for a relation without pages. */
  function isPackedNow({ layers }: StateRelation): boolean | undefined {
    const forms = new Set(new CurrentRelation(layers).files.filter(({ current }) => current.size > 0).map(({ file }) => isPacked(file)))
    expect(forms.size, 'a relation has one form').toBeLessThan(2)
    return [...forms][0]
  }

  test('relations cross the threshold in both directions, and the lake equals one that is new', async () => {
    for (const [i, { sql, packing, packed }] of STATES.entries()) {
      if (i > 0) await cluster.start()
      const session = await connect(cluster)
      for (const statement of sql.split(';')) await session.exec(statement)
      const rows = new Map<string, string[]>()
      for (const [name, text] of Object.entries(QUERIES)) rows.set(name, (await session.rows(text)).map((row) => row.join('|')).sort())
      await closeSessions(cluster)
      await cluster.stop()
      const more = packing ? { packing } : {}
      const notices: string[] = []
      const report = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(url), workers: 0, filter, ...more, onNotice: (text) => notices.push(text) })
      expect(notices, `state ${i}`).toEqual((packing?.tables ?? []).flatMap(({ table }) => (table === 'public.nosuch' ? [expect.stringContaining('names public.nosuch, and the cluster has no such table')] : [])))
      states.push({ lsn: report.lsn, rows })
      const fresh = new MemoryObjectStore(systemClock)
      await materializeLake({ pgdata: cluster.dataDir, store: fresh, workers: 0, filter })
      expect(layeredDifferences(await readLayeredLake(await openObjectStore(url)), await readLayeredLake(fresh)), `state ${i}`).toEqual([])
      const all = await relations()
      const byName = (name: string): StateRelation => all.find(({ info }) => info.name === name)!
      const docs = byName('docs')
      const toast = all.find(({ info }) => info.relkind === 't' && info.oid === docs.info.toastRelId)!
      expect([docs, toast, byName('counter')].map(isPackedNow), `state ${i}`).toEqual(packed)
      expect(isPackedNow(byName('pg_namespace'))).toBe(packed[2])
      if (i >= 5) expect(isPackedNow(byName('small'))).toBe(false)
    }
    // A layer with each block of the relation leaves no older one.
    const counter = (await relations()).find(({ info }) => info.name === 'counter')!
    expect(counter.layers.map(({ files }) => files.map(isPacked))).toEqual([[false], [false]])
  })

  async function rowsOf(sql: string, at: string): Promise<string[]> {
    let text = ''
    await queryLake({ lake: url, sql: sql.replace(' !~ ', ' NOT SIMILAR TO ').replace("'^pg_toast'", "'pg_toast.*'"), format: 'json', database: 'postgres', at }, async (piece) => void (text += piece))
    return (JSON.parse(text) as Record<string, unknown>[]).map((row) => Object.values(row).map((value) => value ?? '').join('|')).sort()
  }

  test('each state shows what the server showed then', async () => {
    for (const [i, { lsn, rows }] of states.entries()) {
      for (const [name, sql] of Object.entries(QUERIES)) expect(await rowsOf(sql, lsn), `${name} in state ${i}`).toEqual(rows.get(name))
    }
  })

  test('rebuild writes the pages of packs, and verify finds all equal', async () => {
    const copy = join(folder, 'copy')
    const at = join(folder, 'packed')
    cpSync(cluster.dataDir, copy, { recursive: true })
    await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(at), workers: 0, filter, packing: { below: 50 } })
    const proof = join(folder, 'proof')
    destroyHeapFiles(copy, await transcode(copy, proof, { filter }))
    await rebuildLake({ lake: at, pgdata: copy, workers: 0 })
    expect((await verifyLake({ lake: proof, pgdata: copy, workers: 0 })).differences).toEqual([])
    const compared = await verifyLake({ lake: at, pgdata: copy, workers: 0 })
    expect(compared).toMatchObject({ equal: true, differences: [] })
    const alone = await verifyLake({ lake: url, workers: 0 })
    expect(alone).toMatchObject({ equal: true, differences: [], store: { orphans: { objects: 0, bytes: 0 } } })
  })

  test.each<[string, (path: string) => void, RegExp]>([
    ['a page that was changed', (path) => change(path, (bytes) => void (bytes[1000]! ^= 1)), /lake.pack: a page of a pack/],
    ['a directory that was changed', (path) => change(path, (bytes) => void (bytes[bytes.length - PACK_TAIL_LENGTH - 5]! ^= 1)), /lake.pack: the directory of a pack is not what was written/],
    ['a pack that was cut off', (path) => writeFileSync(path, readFileSync(path).subarray(0, 5000)), /lake.pack: an object of 5000 bytes is no pack/],
    ['a pack that was deleted', (path) => rmSync(path), /lake.missing-object: .*ltap\/packs\/.*deleted by hand/],
  ])('verify, rebuild and query find %s', async (_, damage, problem) => {
    const bad = join(folder, 'bad')
    cpSync(join(folder, 'packed'), bad, { recursive: true })
    damage(join(bad, 'ltap/packs', readdirSync(join(bad, 'ltap/packs'))[0]!))
    const { differences, equal } = await verifyLake({ lake: bad, workers: 0 })
    expect(equal).toBe(false)
    expect(differences[0]!.reason).toMatch(problem)
    rmSync(bad, { recursive: true })
  })

  test('an entry that another pack, another relation or another index belongs to is found', async () => {
    const store = await openObjectStore(join(folder, 'packed'))
    const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
    const all: StateRelation[] = []
    await (await Snapshot.open(lake, 'main')).scan('layers', (key, value) => all.push(parseStateRelation(key, value)))
    const packed = all.flatMap((relation) => filesOf(relation, lake.format.systemIdentifier)).filter((one) => isPacked(one.file) && one.file.blocks.size > 1)
    const [{ file, expected }, other] = packed as [typeof packed[number] & { file: PackedFile }, typeof packed[number]]
    const packs = new PackDirectories(store)
    await packs.check(file, expected)
    await expect(packs.check(file, other.expected)).rejects.toThrow(/lake.pack: .* is not the one that the lake means: it has relation/)
    await expect(packs.check({ ...file, pack: { ...file.pack, start: file.pack.start + 1 } }, expected)).rejects.toThrow(/it has no relation at byte/)
    const { index } = await readBlockIndex(store, file)
    index.pages.crcs[0]! ^= 1
    await expect(packs.check({ ...file, index: encodeBlockIndex(index) }, expected)).rejects.toThrow(/what its directory says of relation/)
    const [first, second] = file.pack.sizes as [number, number]
    const swapped = { ...file, pack: { ...file.pack, sizes: [second + 1, first - 1, ...file.pack.sizes.slice(2)] } }
    await expect(packs.check(swapped, expected)).rejects.toThrow(/what its directory says of relation/)
  })
})

function change(path: string, how: (bytes: Uint8Array) => void): void {
  const bytes = readFileSync(path)
  how(bytes)
  writeFileSync(path, bytes)
}
