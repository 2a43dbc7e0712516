/** A pageserver-like service that knows nothing of ltap but its public face, of the packed tarball, against a real server: rows by COPY, pages by the server's files. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { expect, test } from 'vitest'
import { bytesEqual } from '../../src/common/bytes.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { isZeroPage } from '../../src/page/header.ts'
import { maskHeapPage } from '../../src/redo/mask.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { compile, withInstalled } from '../support/installed.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { SCOPE } from '../support/scope.ts'

interface Report {
  relNumber: number
  schema: string
  name: string
  relkind: string
  blocks: number
  changed: number[]
  files: { path: string; first: number; blocks: number; hidden: number[] }[]
}

interface Result {
  mark: number
  half: number
  lsn: number
  end: string
  relations: Report[]
  badges: (number | null)[]
}

const BEFORE = `
  CREATE TABLE orders (id int, note text); ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;
  INSERT INTO orders SELECT i, repeat(md5(i::text), CASE WHEN i % 10 = 0 THEN 200 ELSE 3 END) FROM generate_series(1, 4000) i;
  CREATE TABLE dropped (id int); INSERT INTO dropped VALUES (1);
  CREATE TYPE badge;
  CREATE FUNCTION badge_in(cstring) RETURNS badge AS 'int4in' LANGUAGE internal IMMUTABLE STRICT;
  CREATE FUNCTION badge_out(badge) RETURNS cstring AS 'int4out' LANGUAGE internal IMMUTABLE STRICT;
  CREATE TYPE badge (INPUT = badge_in, OUTPUT = badge_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
  CREATE TABLE badges (id int, b badge); INSERT INTO badges VALUES (1, '7'), (2, '-8'), (3, NULL)`
const AFTER = `
  UPDATE orders SET note = note || 'x' WHERE id BETWEEN 100 AND 400; DELETE FROM orders WHERE id % 500 = 0;
  CREATE TABLE later (id int, note text); INSERT INTO later SELECT i, md5(i::text) FROM generate_series(1, 3000) i;
  BEGIN; INSERT INTO later VALUES (-1, 'never'); ROLLBACK;
  ALTER TABLE later ADD COLUMN more text; UPDATE later SET more = repeat('y', id % 50) WHERE id < 900; VACUUM later;
  DROP TABLE dropped; INSERT INTO badges VALUES (4, '2147483647'); DELETE FROM badges WHERE id = 2`
const TABLES = ['orders', 'later']

/** Blocks in which two files differ in more than what a server changes without WAL. */
function differing(ours: Uint8Array, theirs: Uint8Array): number[] {
  const found: number[] = []
  for (let block = 0; block * BLOCK_SIZE < Math.max(ours.length, theirs.length); block++) {
    const [a, b] = [ours, theirs].map((bytes) => bytes.slice(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)) as [Uint8Array, Uint8Array]
    for (const page of [a, b]) if (page.length === BLOCK_SIZE && !isZeroPage(page)) maskHeapPage(page, block)
    if (!bytesEqual(a, b)) found.push(block)
  }
  return found
}

/** Rows as COPY writes them, of the visible positions of all files, in the order of the blocks. */
async function copyText({ files }: Report): Promise<string> {
  const lines: string[] = []
  for (const { path, hidden } of [...files].sort((a, b) => a.first - b.first)) {
    const bytes = readFileSync(path)
    const rows = await parquetReadObjects({ file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer })
    const gone = new Set(hidden)
    for (const [position, row] of rows.entries()) {
      if (gone.has(position)) continue
      const values = Object.entries(row).filter(([name]) => name !== '_ltap' && name !== '_overflow').map(([, value]) => value as string | number | null)
      lines.push(values.map((value) => (value === null ? '\\N' : String(value))).join('\t'))
    }
  }
  return `${lines.join('\n')}\n`
}

/** What the server says before it stops. */
async function askServer(sql: Session): Promise<{ copies: Map<string, string>; badges: (number | null)[]; lsn: number; database: number }> {
  const copies = new Map<string, string>()
  for (const name of TABLES) copies.set(name, (await sql.copyOut(`(SELECT * FROM ${name} ORDER BY ctid)`)).toString())
  const badges = (await sql.rows('SELECT b::text FROM (SELECT b::text FROM badges ORDER BY ctid) s')).map(([b]) => (b === null ? null : Number(b)))
  const database = Number(await sql.value('SELECT oid FROM pg_database WHERE datname = current_database()'))
  return { copies, badges, lsn: Number(await sql.value("SELECT pg_current_wal_insert_lsn() - '0/0'")), database }
}

async function prepare(server: PostgresServer, sql: Session, base: string): Promise<Awaited<ReturnType<typeof askServer>>> {
  await sql.script(BEFORE)
  await closeSessions(server)
  await server.stop('fast')
  // The service seeds from this, and there is no WAL in it.
  cpSync(server.dataDir, base, { recursive: true, filter: (path) => !path.includes('/pg_wal/') })
  await server.start()
  const again = await connect(server)
  await again.script(AFTER)
  const said = await askServer(again)
  await closeSessions(server)
  await server.stop('fast')
  return said
}

/** @param database oid of the server's database `postgres`: 5 since Postgres 15, before that what initdb counted */
function pathOf(dataDir: string, { relNumber }: Report, database: number): string {
  return join(dataDir, 'base', String(database), String(relNumber))
}

function fileOf(dataDir: string, report: Report, database: number): Buffer {
  return readFileSync(pathOf(dataDir, report, database))
}

/** What the service says of a server's WAL is what the server says. @param folder has the package and the compiled service */
async function checkService(folder: string, server: PostgresServer, sql: Session): Promise<void> {
  const files = mkdtempSync(join(tmpdir(), 'ltap-service-'))
  try {
    const [base, out] = [join(files, 'base'), join(files, 'out')]
    mkdirSync(out)
    const said = await prepare(server, sql, base)
    const run = [join(folder, 'service/out/run.js'), base, join(server.dataDir, 'pg_wal'), out]
    const result = JSON.parse(execFileSync(process.execPath, run, { encoding: 'utf8', maxBuffer: 1 << 28 })) as Result
    // The WAL ends behind the shutdown checkpoint.
    expect(result.lsn).toBeGreaterThan(said.lsn)
    expect(result.half).toBeGreaterThan(result.mark)
    expect(result.half).toBeLessThan(said.lsn)
    const found = new Map(result.relations.map((report) => [report.name, report]))
    expect(found.has('dropped')).toBe(false)
    for (const [name, copy] of said.copies) expect(await copyText(found.get(name)!), name).toBe(copy)
    expect(result.badges).toEqual(said.badges)
    const places = { base, server: server.dataDir, out, database: said.database }
    checkPages(result, places)
    checkKept(folder, result, places, files)
  } finally {
    rmSync(files, { recursive: true, force: true })
  }
}

test('a service on the public face', () => withInstalled(async (folder) => {
  cpSync(join(import.meta.dirname, 'consumer'), join(folder, 'service'), { recursive: true })
  // Strict, and with skipLibCheck false: the declarations of the package are checked, too.
  expect(compile(join(folder, 'service'))).toBe('')
  for (const major of SCOPE === 'quick' ? majors().slice(-1) : majors()) {
    await withCluster(major, { settings: { wal_keep_size: '1GB' } }, (server, sql) => checkService(folder, server, sql))
  }
}))

interface Places {
  base: string
  server: string
  out: string
  database: number
}

interface Kept {
  from: number
  lsn: number
  changes: { relNumber: number; dbOid: number; blocks: number; changed: number[] }[]
}

/** A service in two processes, one after another, knows all that changed since the first one began. */
function checkKept(folder: string, result: Result, { base, server, database }: Places, files: string): void {
  const [store, out] = [join(files, 'store'), join(files, 'kept')]
  mkdirSync(out)
  const runs = ['500001', 'Infinity'].map((limit) => {
    const run = [join(folder, 'service/out/kept.js'), base, join(server, 'pg_wal'), store, out, limit]
    return JSON.parse(execFileSync(process.execPath, run, { encoding: 'utf8', maxBuffer: 1 << 28 })) as Kept
  })
  expect(runs.map(({ from }) => from)).toEqual([result.mark, runs[0]!.lsn])
  expect(runs[1]!.lsn).toBe(result.lsn)
  let [changed, same, moved] = [0, 0, 0]
  for (const report of result.relations.filter(({ relkind }) => relkind !== 'S')) {
    const change = runs[1]!.changes.find(({ relNumber, dbOid }) => relNumber === report.relNumber && dbOid === database)
    const theirs = fileOf(server, report, database)
    if (change === undefined) {
      expect(differing(fileOf(base, report, database), theirs), report.name).toEqual([])
      continue
    }
    expect(differing(readFileSync(join(out, `${report.relNumber}.pages`)), theirs), report.name).toEqual([])
    const said = new Set(change.changed)
    const before = existsSync(pathOf(base, report, database)) ? fileOf(base, report, database) : Buffer.alloc(0)
    const differ = differing(before, theirs)
    expect(differ.filter((block) => !said.has(block)), report.name).toEqual([])
    moved += differ.length
    changed += said.size
    same += change.blocks - said.size
  }
  expect(moved).toBeGreaterThan(50)
  expect(changed).toBeGreaterThanOrEqual(moved)
  expect(same).toBeGreaterThan(100)
}

/** Every page is the server's, and what is not called changed has not changed. */
function checkPages(result: Result, { base, server, out, database }: Places): void {
  let [pages, unchanged] = [0, 0]
  for (const report of result.relations.filter(({ relkind }) => relkind !== 'S')) {
    const ours = readFileSync(join(out, `${report.relNumber}.pages`))
    expect(differing(ours, fileOf(server, report, database)), report.name).toEqual([])
    pages += report.blocks
    const changed = new Set(report.changed)
    if (changed.size === report.blocks) continue
    const moved = differing(ours, fileOf(base, report, database)).filter((block) => !changed.has(block))
    expect(moved, report.name).toEqual([])
    unchanged += report.blocks - changed.size
  }
  expect(pages).toBeGreaterThan(500)
  expect(unchanged).toBeGreaterThan(100)
}

test('a planted fault in a page is found, a hint bit is not', () => {
  const page = new Uint8Array(2 * BLOCK_SIZE)
  // A heap page without tuples: pd_lower 24, pd_upper and pd_special 8192, layout version 4.
  page.set([24, 0, 0, 32, 0, 32, 4, 32], BLOCK_SIZE + 12)
  const other = page.slice()
  expect(differing(page, other)).toEqual([])
  // pd_flags PD_ALL_VISIBLE, then pd_upper.
  other[BLOCK_SIZE + 10] = 4
  expect(differing(page, other)).toEqual([])
  other[BLOCK_SIZE + 15] = 16
  expect(differing(page, other)).toEqual([1])
  expect(differing(page, page.subarray(0, BLOCK_SIZE))).toEqual([1])
})
