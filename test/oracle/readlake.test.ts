/**
 * A lake of format 2 that grew over three states of a cluster is read: rebuild gives the pages of a state, verify finds them equal and audits the store,
 * query shows what the server showed at each state.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ColumnBounds } from '../../src/columnar/columnbounds.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { summarizeLake } from '../../src/jobs/inspect/lakesummary.ts'
import { filesOf, readBlockIndex } from '../../src/jobs/lakes/layerfiles.ts'
import { verifyLayer } from '../../src/jobs/tasks/verifylayertask.ts'
import { type BlockIndex, encodeBlockIndex } from '../../src/lake/blockindex.ts'
import type { ParquetFile } from '../../src/lake/layer.ts'
import { parseStateRelation, type StateRelation } from '../../src/lake/staterelation.ts'
import { isDataFile } from '../../src/lake/tablefolder.ts'
import { ltap } from '../cli/streams.ts'
import { S3Server } from '../support/s3server.ts'
import { addReference } from '../../src/engine/references.ts'
import { Lake } from '../../src/engine/lake.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { queryLake, type QueryRequest } from '../../src/jobs/query/query.ts'
import { listHeapRelations } from '../../src/jobs/inspect/relationlist.ts'
import { formatLsn, parseLsn } from '../../src/common/ids.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { destroyHeapFiles, transcode } from '../support/lakes.ts'
import { closeSessions, connect, createCluster, fewerMajors, type Session } from '../support/oracle.ts'
import { SCOPE } from '../support/scope.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'

const SETUP = `
  CREATE SCHEMA "Odd [s]*";
  CREATE TABLE plain (id int, v numeric, t text, gone int);
  CREATE TABLE wide (id int, doc text);
  ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
  CREATE TABLE parent (id int, day int) PARTITION BY RANGE (day);
  CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
  CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (100) TO (200);
  CREATE TABLE "Odd [s]*"."Table" (file_row_number int, "A b" text);
  CREATE TABLE empty (id int, tags text[]);
  CREATE TABLE other (secret text);
  INSERT INTO plain SELECT i, CASE i % 50 WHEN 0 THEN 'NaN' ELSE i / 7.0 END, repeat('x', 100), i FROM generate_series(1, 5000) i;
  INSERT INTO wide SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 50) i;
  INSERT INTO parent SELECT i, i % 200 FROM generate_series(1, 1000) i;
  INSERT INTO "Odd [s]*"."Table" SELECT i, 'row ' || i FROM generate_series(1, 300) i;
  INSERT INTO other VALUES ('x');
  DELETE FROM plain WHERE id % 10 = 3`
const SECOND = `
  UPDATE plain SET v = -v WHERE id BETWEEN 100 AND 140;
  DELETE FROM "Odd [s]*"."Table" WHERE file_row_number % 7 = 0;
  ALTER TABLE plain ADD COLUMN added int;
  ALTER TABLE plain DROP COLUMN gone;
  ALTER TABLE plain RENAME COLUMN t TO label;
  INSERT INTO plain SELECT i, i, 'new', i FROM generate_series(5001, 5100) i;
  DELETE FROM parent_2 WHERE id > 500;
  CREATE TABLE fresh AS SELECT 1 AS one`
const THIRD = `
  DELETE FROM plain WHERE id > 4000;
  ALTER TABLE fresh RENAME TO renamed;
  UPDATE wide SET doc = doc || 'z' WHERE id < 5`

/** One database: the others do not change. */
const filter = { databases: ['postgres'], tables: [] }

interface State {
  lsn: string
  copy: string
  /** By table: rows as text, sorted. */
  rows: Map<string, string[]>
}

const TABLES: Record<string, string> = {
  plain: 'id, t', wide: 'id, length(doc)', parent: 'id, day', '"Odd [s]*"."Table"': 'file_row_number, "A b"', empty: 'id', fresh: 'one',
}

describe.each(fewerMajors('majors of reading lakes'))('a lake of Postgres %i', (major) => {
  let folder: string
  let cluster: PostgresServer
  const states: State[] = []
  let url: string

  async function rowsOf(sql: Session, table: string, columns: string): Promise<string[]> {
    return (await sql.rows(`SELECT ${columns} FROM ${table}`)).map((row) => row.join('|')).sort()
  }

  async function takeState(tables: Record<string, string>): Promise<void> {
    const sql = await connect(cluster)
    const rows = new Map<string, string[]>()
    for (const [table, columns] of Object.entries(tables)) rows.set(table, await rowsOf(sql, table, columns))
    await closeSessions(cluster)
    await cluster.stop()
    const copy = join(folder, `copy${states.length}`)
    cpSync(cluster.dataDir, copy, { recursive: true })
    const report = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(url), workers: 0, filter })
    states.push({ lsn: report.lsn, copy, rows })
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ltap-test-'))
    url = join(folder, 'a lake [x]*')
    cluster = await createCluster(major, { settings: { max_prepared_transactions: '5', autovacuum: 'off' } })
    const { fresh: _, ...first } = TABLES
    await (await connect(cluster)).script(SETUP)
    await (await connect(cluster)).script("BEGIN; INSERT INTO plain (id, t) VALUES (-1, 'prepared'); DELETE FROM wide WHERE id = 7; PREPARE TRANSACTION 'p'")
    await takeState(first)
    await cluster.start()
    await (await connect(cluster)).exec("COMMIT PREPARED 'p'")
    await (await connect(cluster)).script(SECOND)
    await takeState({ ...TABLES, plain: 'id, label, added' })
    await cluster.start()
    await (await connect(cluster)).script(THIRD)
    const { fresh, ...third } = TABLES
    await takeState({ ...third, renamed: fresh!, plain: 'id, label, added' })
  })

  afterAll(async () => {
    await cluster.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function query(sql: string, at?: string, format: 'csv' | 'json' = 'csv'): Promise<string> {
    let text = ''
    await queryLake({ lake: url, sql, format, database: 'postgres', ...(at !== undefined && { at }) }, async (piece) => void (text += piece))
    return text
  }

  describe('query', () => {
    test('each state shows what the server showed then', async () => {
      for (const [i, { lsn, rows }] of states.entries()) {
        for (const [table, expected] of rows) {
          const columns = table === 'renamed' ? TABLES['fresh']! : table === 'plain' && i > 0 ? 'id, label, added' : TABLES[table]!
          const found = JSON.parse(await query(`SELECT ${columns} FROM ${table}`, lsn, 'json')) as Record<string, unknown>[]
          const text = found.map((row) => Object.values(row).map((value) => value ?? '').join('|')).sort()
          expect(text, `${table} in state ${i}`).toEqual(expected)
        }
      }
    })
  })

  test('a state by its tag or by a time; an LSN between two states is refused', async () => {
    const lake = await Lake.open({ store: await openObjectStore(url), clock: systemClock, random: systemRandom })
    await addReference(lake, 'main', 'tags', '2026-01-01', { lsn: states[1]!.lsn })
    expect(await query('SELECT * FROM fresh', '2026-01-01')).toBe('one\n1\n')
    expect(await query('SELECT * FROM renamed')).toBe('one\n1\n')
    await expect(query('SELECT 1', 'no-such-tag')).rejects.toThrow(/^lake.no-tag: branch main has no tag no-such-tag; it has 2026-01-01$/)
    const between = formatLsn(parseLsn(states[1]!.lsn)! - 1n)
    await expect(query('SELECT 1', between)).rejects.toThrow(new RegExp(`^lake.no-state: .*${states[0]!.lsn}.* before it and LSN ${states[1]!.lsn}`))
    await expect(query('SELECT 1', 'FFFFFF/0')).rejects.toThrow(new RegExp(`lake.no-state: .*newest one is at LSN ${states[2]!.lsn}`))
    await expect(query('SELECT 1', '1999-01-01')).rejects.toThrow(/lake.no-state: /)
    expect(await query('SELECT count(*) AS n FROM renamed', '2999-01-01')).toBe('n\n1\n')
  })

  test('values that no column holds, all tuples, lists, inherited rows', async () => {
    expect(await query('SELECT count(*) AS n FROM plain WHERE _overflow.v IS NOT NULL AND v IS NULL')).toBe('n\n80\n')
    const [live, all] = (await query('SELECT count(*) FILTER (_visible), count(*) FROM ltap_public.plain')).split('\n')[1]!.split(',').map(Number)
    expect(live).toBe(states[2]!.rows.get('plain')!.length)
    expect(all).toBeGreaterThan(live!)
    const listed = await query('SHOW TABLES')
    expect(listed).toBe(`schema,name\nOdd [s]*,Table\n${['empty', 'other', 'parent', 'parent_1', 'parent_2', 'plain', 'renamed', 'wide'].map((name) => `public,${name}\n`).join('')}`)
    expect(await query('DESCRIBE plain')).toContain('added,INTEGER')
    expect(await query('SELECT typeof(tags) AS t, count(*) OVER () AS n FROM empty UNION ALL SELECT typeof(tags), 0 FROM (SELECT tags FROM empty) RIGHT JOIN (SELECT 1) ON true'))
      .toBe('t,n\nVARCHAR[],0\n')
    await expect(query('SHOW TABLES; SELECT * FROM plain_')).rejects.toThrow(/does not exist/)
  })

  test('only the files of tables that the text names are read', async () => {
    const bad = join(folder, 'bad')
    cpSync(url, bad, { recursive: true })
    for (const file of dataFiles(bad, /public\.other-/)) writeFileSync(file, 'not what was written')
    let text = ''
    const ask = (sql: string): Promise<unknown> => queryLake({ lake: bad, database: 'postgres', format: 'csv', sql }, async (piece) => void (text += piece))
    await ask('SELECT count(*) AS n FROM wide')
    expect(text).toBe('n\n49\n')
    await expect(ask('SELECT * FROM other')).rejects.toThrow(/^lake.object: the object .*public.other-/)
    rmSync(bad, { recursive: true })
  })

  test('rebuild gives the pages of the state at the LSN of a copy', async () => {
    for (const { copy, lsn } of SCOPE === 'quick' ? [states[1]!] : states) {
      const proof = join(folder, `proof-${lsn.replace('/', '-')}`)
      const manifest = await transcode(copy, proof, { filter })
      destroyHeapFiles(copy, manifest)
      const report = await rebuildLake({ lake: url, pgdata: copy, workers: 0 })
      expect(report.relations).toBe(manifest.relations.filter(({ path }) => path !== '').length)
      const { equal, differences } = await verifyLake({ lake: proof, pgdata: copy, workers: 0 })
      expect(differences).toEqual([])
      expect(equal).toBe(true)
    }
  })

  test('verify finds it equal to a data directory at the LSN of a state, and different from one that was changed', async () => {
    const { copy, lsn } = states[0]!
    const equal = await verifyLake({ lake: url, pgdata: copy, workers: 0 })
    expect(equal.differences).toEqual([])
    expect(equal).toMatchObject({ equal: true, lsn, comparedWith: copy })
    expect(equal.store).toBeUndefined()
    const path = relationPath(copy, 'other')
    const bytes = readFileSync(path)
    bytes[8185]! ^= 1
    writeFileSync(path, bytes)
    const { differences } = await verifyLake({ lake: url, pgdata: copy, workers: 0 })
    expect(differences).toEqual([expect.objectContaining({ relation: 'postgres.public.other', block: 0 })])
    bytes[8185]! ^= 1
    writeFileSync(path, bytes)
  })

  test.each<[string, (index: BlockIndex) => void, RegExp]>([
    ['a page LSN', ({ pages }) => void pages.lsns[1]!++, /pd_lsn is .*, the block index says/],
    ['the CRC of a page', ({ pages }) => void (pages.crcs[0]! ^= 1), /the CRC of the page is/],
    ['rows of two pages', ({ pages }) => [pages.rows[0], pages.rows[1]] = [pages.rows[0]! - 1, pages.rows[1]! + 1], /rows, the block index says/],
    ['a damaged page', (index) => void (index.damaged = BlockSet.of([0])), /not damaged, the block index says otherwise/],
    ['a transaction', ({ unresolved }) => void unresolved[0]!.xid++, /xmin \d+, the block index says/],
    ['a row that waits for its transaction, and is not hidden', (index) => void (index.hidden = index.hidden.subtract(BlockSet.ofRuns(index.unresolved))), /but not hidden until it commits/],
  ])('a block index that is wrong about %s does not pass', async (_, change, problem) => {
    const store = await openObjectStore(url)
    const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
    const snapshot = await Snapshot.open(lake, 'main', { lsn: states[0]!.lsn })
    const relations: StateRelation[] = []
    await snapshot.scan('layers', (key, value) => relations.push(parseStateRelation(key, value)))
    const file = filesOf(relations.find(({ info }) => info.name === 'plain')!, lake.format.systemIdentifier).find(({ file: { unresolved = [] } }) => unresolved.length > 0)!
    const { index } = await readBlockIndex(store, file.file)
    const { columns } = file.file as ParquetFile
    const verified = (changed: BlockIndex, bounds = columns): string[] => verifyLayer({
      file: { path: join(url, file.file.key), bounds }, expected: file.expected, rows: file.file.rows, checksums: true, visible: true, index: encodeBlockIndex(changed), current: [], hidden: [],
      source: undefined,
    }).differences.map(({ reason }) => reason)
    expect(verified(index)).toEqual([])
    for (const [wrong, said] of wrongBounds(columns)) expect(verified(index, wrong).join()).toMatch(said)
    change(index)
    expect(verified(index)[0]).toMatch(problem)
  })

  test('over S3: the same rows, and one clear line for each thing that is wrong', async () => {
    const server = await S3Server.start()
    const before = { ...process.env }
    try {
      Object.assign(process.env, { AWS_ENDPOINT_URL: server.endpoint, AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret' })
      const [from, to] = [await openObjectStore(url), await openObjectStore('s3://lake/shop')]
      for await (const { key } of from.list('')) await to.put(key, (await from.get(key))!.bytes)
      let text = ''
      const ask = (sql: string, more: Partial<QueryRequest> = {}): Promise<unknown> =>
        queryLake({ lake: 's3://lake/shop', database: 'postgres', format: 'csv', sql, ...more }, async (piece) => void (text += piece))
      server.calls.length = 0
      await ask('SELECT count(*) AS n FROM wide', { at: states[0]!.lsn })
      expect(text).toBe('n\n50\n')
      expect(server.calls.filter(({ key }) => isDataFile(key) && !/public\.wide-/.test(key))).toEqual([])
      await expect(ask('SELECT * FROM plain', { cacheBytes: 1000 })).rejects.toThrow(/^query.cache: the tables of this query have \d+ bytes.*--cache-size/)
      const audit = await verifyLake({ lake: 's3://lake/shop', workers: 0, cacheBytes: 100_000, exclude: ['pg_catalog.*', 'pg_toast.*', 'information_schema.*'] })
      expect(audit.differences).toEqual([])
      const count = await ltap(['query', '--lake', 's3://lake/shop', '--database', 'postgres', '--at', states[0]!.lsn, '--format', 'csv', 'SELECT count(*) AS n FROM wide'])
      expect(count).toEqual({ code: 0, stdout: 'n\n50\n', stderr: '' })
      const inspected = await ltap(['inspect', 'lake', 's3://lake/shop'])
      expect(inspected.stdout).toMatch(/^Postgres \d+, system \d+, in s3:\/\/lake\/shop\n[^]*0 orphans[^]*tag: 2026-01-01: [^]*table: postgres.public.plain: \d+ pages, 3 layers/)
      const verified = await ltap(['verify', '--lake', 's3://lake/shop', '--exclude', 'pg_catalog.*', '--exclude', 'pg_toast.*', '--exclude', 'information_schema.*', '--workers', '1'])
      expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/^equal: audited alone[^]*store +[\d,]+ objects, [\d.]+ MB; 0 orphans/) as string })
      await expect(ask('SELECT 1', { lake: 's3://lake/elsewhere' })).rejects.toThrow(/^lake.missing: s3:\/\/lake\/elsewhere has no lake/)
      await expect(ask('SELECT 1', { lake: 's3://no-bucket/shop' })).rejects.toThrow(/^store.missing-bucket: /)
      process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong'
      await expect(ask('SELECT 1')).rejects.toThrow(/^store\.(?:access|credentials): /)
    } finally {
      for (const name of ['AWS_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
      await server.stop()
    }
  })

  test('what is no lake, a newer one, or damaged in its state is one clear line', async () => {
    const ask = (lake: string): Promise<unknown> => queryLake({ lake, database: 'postgres', format: 'csv', sql: 'SELECT 1' }, async () => {})
    const copy = join(folder, 'broken')
    const headPath = join(copy, 'ltap/branches/main/HEAD')
    const broken = async (damage: () => void, problem: RegExp): Promise<void> => {
      cpSync(url, copy, { recursive: true })
      damage()
      await expect(ask(copy)).rejects.toThrow(problem)
      await expect(verifyLake({ lake: copy, workers: 0 })).rejects.toThrow(problem)
      await expect(rebuildLake({ lake: copy, pgdata: states[0]!.copy, workers: 0 })).rejects.toThrow(problem)
      await expect(summarizeLake(copy)).rejects.toThrow(problem)
      rmSync(copy, { recursive: true })
    }
    await broken(() => rmSync(join(copy, 'ltap/format.json')), /^lake.missing: the folder is not a lake: it has neither ltap\/format.json nor ltap.json/)
    await broken(() => writeFileSync(join(copy, 'ltap/format.json'), '{"format":3}'), /^lake.format: ltap\/format.json has format version 3, this ltap reads 2: use a newer ltap/)
    await broken(() => writeFileSync(join(copy, 'ltap/format.json'), '{"for'), /^lake.format: /)
    await broken(() => readdirSync(headPath).filter((name) => /^\d+$/.test(name)).forEach((name) => writeFileSync(join(headPath, name), '{"x')), /^lake.head: HEAD of branch main/)
    await broken(() => {
      rmSync(headPath, { recursive: true })
      symlinkSync(join(url, 'ltap/branches/main/HEAD'), headPath)
    }, /^file.link: a symbolic link/)
    await broken(() => rmSync(join(copy, 'ltap/branches'), { recursive: true }), /^lake.no-branch: /)
  })

  test('inspect lake says what it holds', async () => {
    const { states: listed, tables, tags, store, run } = await summarizeLake(url)
    expect(listed.map(({ lsn }) => lsn)).toEqual(states.map(({ lsn }) => lsn))
    expect(tags).toMatchObject([{ name: '2026-01-01', lsn: states[1]!.lsn }])
    const plain = tables.find(({ name }) => name === 'plain')!
    expect(plain).toMatchObject({ database: 'postgres', schema: 'public', layers: 3 })
    expect(plain.rows - plain.rowsNotShown!).toBe(states[2]!.rows.get('plain')!.length)
    expect(store).toMatchObject({ orphans: { objects: 0, bytes: 0 }, missing: [], damaged: [] })
    expect(run.requests.put).toBe(0)
  })

  describe('verify alone', () => {
    test('proves each file of each state, and finds nothing wrong', async () => {
      const audit = await verifyLake({ lake: url, workers: 0 })
      expect(audit.differences).toEqual([])
      expect(audit).toMatchObject({ equal: true, lsn: states[2]!.lsn, comparedWith: null })
      expect(audit.store).toMatchObject({ orphans: { objects: 0, bytes: 0 } })
      // Pages of catalogs lie in packs.
      expect(audit.files).toBeGreaterThan(dataFiles(url, /\.layer$/).length)
    })

    test.each<[string, (lake: string) => void, RegExp]>([
      ['a data file that was changed', (lake) => flip(dataFiles(lake, /public\.plain-.*layer$/)[0]!), /lake.object: .*public.plain.*CRC-32C/],
      ['a data file of an older state alone', (lake) => flip(dataFiles(lake, /public\.fresh-.*layer$/)[0]!), /lake.object: .*public.fresh.*CRC-32C/],
      ['a data file that was deleted', (lake) => rmSync(dataFiles(lake, /public\.wide-.*layer$/)[0]!), /lake.missing-object: .*public.wide.*deleted by hand/],
      ['a block index that was changed', (lake) => flip(dataFiles(lake, /public\.plain-.*blocks$/)[0]!), /lake.object: .*public.plain.*blocks/],
      ['files of two tables that changed places', (lake) => swap(dataFiles(lake, /public\.parent_[12]-.*layer$/)), /lake.object: /],
    ])('finds %s', async (_, damage, problem) => {
      const copy = join(folder, 'damaged')
      cpSync(url, copy, { recursive: true })
      damage(copy)
      const { differences, equal } = await verifyLake({ lake: copy, workers: 0, exclude: ['pg_catalog.*', 'pg_toast.*', 'information_schema.*'] })
      expect(equal).toBe(false)
      expect(differences[0]!.reason).toMatch(problem)
      rmSync(copy, { recursive: true })
    })
  })
})

function dataFiles(lake: string, name: RegExp): string[] {
  return readdirSync(lake, { recursive: true, encoding: 'utf8' }).filter((path) => /\.(?:layer|blocks)$/.test(path) && name.test(path)).map((path) => join(lake, path))
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[Math.floor(bytes.length / 2)]! ^= 4
  writeFileSync(path, bytes)
}

function swap([a, b]: readonly string[]): void {
  const [first, second] = [readFileSync(a!), readFileSync(b!)]
  writeFileSync(a!, second)
  writeFileSync(b!, first)
}

function relationPath(pgdata: string, name: string): string {
  const found = listHeapRelations(openCluster(pgdata), ['postgres']).relations.find((relation) => relation.name === name)
  return join(pgdata, found!.file)
}

/** What the lake says of the first column, an int, and of its third, a text: wrong in each way, and what verify says. */
function wrongBounds(columns: readonly ColumnBounds[]): [ColumnBounds[], RegExp][] {
  const [id, text] = [columns[0]!, columns.at(-1)!]
  const changed = (to: ColumnBounds): ColumnBounds[] => columns.map((column) => column.id === to.id ? to : column)
  return [
    [changed({ ...id, nulls: id.nulls + 1 }), /column id has \d+ NULLs, the lake says \d+/],
    [changed({ ...id, lower: id.lower!.map((byte, i) => i === 0 ? byte ^ 1 : byte) }), /the lower bound of column id is 0x\w+, the lake says 0x\w+/],
    [changed({ ...text, upper: text.lower! }), /the upper bound of column \w+ is 0x\w+, the lake says/],
    [changed({ id: id.id, nulls: id.nulls, nans: 1 }), /column id has 0 NaNs, the lake says 1/],
    [[...columns, { ...id, id: 9999 }], /a column with field id 9999, which the file does not have/],
  ]
}
