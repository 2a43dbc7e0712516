/**
 * Damaged data directories, damage by damage and verb by verb: the exit code, and a message that names the file, says what it means, and what
 * to do next. With `carry` each is read. One cluster, one damage at a time.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { LP_DEAD, makeLinePointer } from '../../src/page/linepointer.ts'
import { expectRefusal, heapFile, toastFile, whileFile } from '../support/badinput.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { ltap } from './streams.ts'

const MAJOR = Math.max(...majors())

let folder: string
let cluster: PostgresServer
let pgdata: string
let lake: string
let prepared: string
let lakes = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ltap-damage-'))
  cluster = await createCluster(MAJOR, { initdbArgs: ['-k'] })
  pgdata = cluster.dataDir
  const sql = await connect(cluster)
  await sql.exec('CREATE DATABASE shop')
  const shop = await connect(cluster, 'shop')
  await shop.script(`
    CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS v FROM generate_series(1, 500) i;
    CREATE TABLE big (id int, v text); ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
    INSERT INTO big SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 5) i;
    CREATE TABLE p (id int); INSERT INTO p VALUES (1)`)
  await shop.exec('BEGIN; INSERT INTO p VALUES (2); SAVEPOINT a; INSERT INTO p VALUES (3)')
  await shop.exec("PREPARE TRANSACTION 'gid'")
  const xid = Number(await shop.value('SELECT transaction::text FROM pg_prepared_xacts'))
  await closeSessions(cluster)
  await cluster.stop()
  prepared = `pg_twophase/${xid.toString(16).toUpperCase().padStart(MAJOR >= 17 ? 16 : 8, '0')}`
  lake = join(folder, 'lake')
  const made = await ltap(['transcode', pgdata, '--lake', lake, ...TABLES])
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' })
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

const TABLES = ['--database', 'shop', '--table', 'public.t', '--table', 'public.big', '--table', 'public.p']

const VERBS = {
  transcode: (...more: string[]) => ['transcode', pgdata, '--lake', join(folder, `lake${lakes++}`), ...TABLES, ...more],
  verify: () => ['verify', pgdata, '--lake', lake],
  table: (...more: string[]) => ['inspect', 'table', pgdata, 'public.big', '--format', 'csv', ...more],
  relations: (...more: string[]) => ['inspect', 'relations', pgdata, '--database', 'shop', ...more],
  rebuild: () => ['rebuild', '--lake', lake, '--pgdata', pgdata, '--force'],
}

/** The exit code, and, unless it is 0, patterns that stderr and the report on stdout match. */
type Expected = readonly [code: number, ...patterns: RegExp[]]

interface Damage {
  /** Below the data directory. */
  file: () => string
  /** Undefined: the file goes. */
  change?: (bytes: Uint8Array) => Uint8Array
  /** What every message of the damage says: which file, and what it means. */
  says: RegExp[]
  verify: Expected
  rebuild: Expected
  /** Without carry and with it. */
  transcode: readonly [Expected, Expected]
  table: readonly [Expected, Expected]
  relations: readonly [Expected, Expected]
}

const DONE: Expected = [0]
const CARRY: Expected = [3, /--on-corrupt carry/]
const AUDIT: Expected = [3, /or compare what is readable with --on-corrupt carry; without a data directory verify checks the lake alone/]
const NEW_COPY: Expected = [3, /rebuild needs a whole copy of the data directory: make it again, then rebuild into it/]
const WITHOUT: Expected = [3, /restore it from a backup, or go on without it: --on-corrupt carry/]
/** Without the catalogs' rows no table has a name. */
const BY_FILE: Expected = [3, /there is no table 'public\.\w+'.*'ltap inspect file' with --columns reads its file/]

const DAMAGES: Readonly<Record<string, Damage>> = {
  'a lost segment of pg_xact': {
    file: () => 'pg_xact/0000', says: [/page 0 of pg_xact\/0000 is missing: whether transactions 3 to 32767 committed is lost/],
    transcode: [CARRY, DONE], verify: AUDIT, table: [CARRY, DONE], relations: [CARRY, DONE], rebuild: DONE,
  },
  'a missing TOAST chunk': {
    file: () => below(toastFile(pgdata, 'shop', 'public.big')), change: dropChunk,
    says: [/missing chunks of value \d+ in TOAST relation \d+|pg_toast_\d+ block 0: the rebuilt page differs/],
    transcode: [CARRY, DONE], verify: [1], rebuild: DONE, relations: [DONE, DONE],
    table: [CARRY, [3, /1 value whose TOAST chunks are missing: shown as TOAST pointers/]],
  },
  'a missing file of a TOAST relation': {
    file: () => below(toastFile(pgdata, 'shop', 'public.big')), says: [/its rows are lost, or the copy of the data directory is incomplete.*pg_toast_\d+/, /base\/\d+\/\d+/],
    transcode: [CARRY, DONE], verify: [1], rebuild: DONE,
    table: [[3, /attribute v\)\n/, /relation shop\.public\.big, block 0, offset 5, attribute v/, /--on-corrupt carry/], [3, /5 values whose TOAST chunks are missing: shown as TOAST pointers/]],
    relations: [[3, /transcode the others with --on-corrupt carry or --exclude/], [3, /transcode the others/]],
  },
  'a missing relation file': {
    file: () => below(heapFile(pgdata, 'shop', 'public.big')), says: [/its rows are lost, or the copy of the data directory is incomplete \(relation shop\.public\.big/, /base\/\d+\/\d+/],
    transcode: [[3, /--on-corrupt carry, or leave the table out with --exclude/], DONE], verify: [1], rebuild: DONE,
    table: [CARRY, [3, /restore it from a backup: nothing can be read without it/]],
    relations: [[3, /transcode the others with --on-corrupt carry or --exclude/], [3, /transcode the others/]],
  },
  'a bad page of pg_class': {
    file: () => below(heapFile(pgdata, 'shop', 'pg_catalog.pg_class')), change: (bytes) => bytes.fill(0xab, 0, 8192),
    says: [/file [^,]*\/base\/\d+\/\d+, relation shop\.pg_catalog\.pg_class, block 0|there is no table/],
    transcode: [CARRY, BY_FILE], verify: AUDIT, table: [CARRY, BY_FILE], relations: [CARRY, DONE], rebuild: DONE,
  },
  'a bad page of pg_attribute': {
    file: () => below(heapFile(pgdata, 'shop', 'pg_catalog.pg_attribute')), change: (bytes) => bytes.fill(0xab, 0, 8192),
    says: [/file [^,]*\/base\/\d+\/\d+, relation shop\.pg_catalog\.pg_attribute, block 0/],
    transcode: [CARRY, DONE], verify: AUDIT, table: [CARRY, DONE], relations: [CARRY, DONE], rebuild: DONE,
  },
  'no map of relations': {
    file: () => join(below(heapFile(pgdata, 'shop', 'public.big')), '../pg_filenode.map'), says: [/the file is missing.*base\/\d+\/pg_filenode\.map/],
    transcode: [CARRY, DONE], verify: AUDIT, table: [CARRY, DONE], relations: [CARRY, DONE], rebuild: DONE,
  },
  'no pg_control': {
    file: () => 'global/pg_control', says: [/the file is missing: the data directory is damaged, or an incomplete copy \(file [^ ]*global\/pg_control\)/],
    transcode: [CARRY, DONE], verify: WITHOUT, table: [CARRY, DONE], relations: [CARRY, DONE], rebuild: WITHOUT,
  },
  'no PG_VERSION': {
    file: () => 'PG_VERSION', says: [/not a Postgres data directory: it has no file PG_VERSION; write the major version into one|PG_VERSION is missing/],
    transcode: [[3, /--on-corrupt carry --major <number>/], DONE], verify: [3], table: [[3, /--major <number>/], DONE], relations: [[3, /--major <number>/], DONE],
    rebuild: [3],
  },
  'a damaged file of pg_twophase': {
    file: () => prepared, change: (bytes) => flipped(bytes, 40),
    says: [/a prepared transaction's file is damaged \(wrong CRC\): no server starts with it.*file [^ ]*pg_twophase\/[0-9A-F]+\)/],
    transcode: [CARRY, DONE], verify: AUDIT, table: [CARRY, DONE], relations: [CARRY, DONE], rebuild: NEW_COPY,
  },
}

describe.each(Object.entries(DAMAGES))(`%s, Postgres ${MAJOR}`, (_name, damage) => {
  const { says } = damage

  async function inDamage(body: () => Promise<void>): Promise<void> {
    const path = join(pgdata, damage.file())
    await whileFile(path, damage.change?.(new Uint8Array(readFileSync(path))), body)
  }

  async function runs(argv: string[], [code, ...patterns]: Expected): Promise<void> {
    const ran = await ltap(argv)
    expect({ argv, stderr: ran.stderr, code: ran.code }).toEqual({ argv, stderr: ran.stderr, code })
    // What verify finds is its answer; the rest is stderr's.
    const said = code === 1 ? ran.stdout : ran.stderr
    expect(ran.stderr).not.toMatch(/bug in ltap|undefined/)
    if (code === 0) return
    for (const pattern of [...says, ...patterns]) expect(said).toMatch(pattern)
    if (code === 3 && ran.stdout === '') expectRefusal(ran, says[0]!)
  }

  test.each(['transcode', 'table', 'relations'] as const)('%s', async (verb) => {
    await inDamage(async () => {
      await runs(VERBS[verb](), damage[verb][0])
      const argv = VERBS[verb]('--on-corrupt', 'carry', '--major', String(MAJOR))
      await runs(argv, damage[verb][1])
      // Whatever is transcoded is what is there.
      if (verb === 'transcode' && damage.transcode[1][0] === 0) expect((await ltap(['verify', pgdata, '--lake', argv[3]!])).stdout).toMatch(/^equal: /)
    })
  })

  test.each(['verify', 'rebuild'] as const)('%s', (verb) => inDamage(() => runs(VERBS[verb](), damage[verb])))
})

/** Rows of public.t and public.p of a lake, as the server had them when it stopped. */
async function expectRows(at: string): Promise<void> {
  for (const [sql, rows] of [['SELECT count(*), sum(id) FROM t', '500,125250'], ['SELECT id FROM p', '1']] as const) {
    const { code, stdout } = await ltap(['query', '--lake', at, '--format', 'csv', sql])
    expect({ code, rows: stdout.split('\n')[1] }).toEqual({ code: 0, rows })
  }
}

test('--major, end to end: a lake of a directory without PG_VERSION, and the copy that is rebuilt from it', async () => {
  const other = join(folder, 'versionless')
  const carry = ['--on-corrupt', 'carry']
  await whileFile(join(pgdata, 'PG_VERSION'), undefined, async () => {
    const made = await ltap(['transcode', pgdata, '--lake', other, ...TABLES, ...carry, '--major', String(MAJOR)])
    expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' })
    expect(made.stdout).toMatch(new RegExp(`damaged: .*PG_VERSION is missing or damaged; taken for Postgres ${MAJOR}, as it was given`))
    await expectRows(other)
    expect((await ltap(['verify', pgdata, '--lake', other])).stdout).toMatch(/^equal: /)
    // Another one than the server's: pg_control says so, and nothing is read by a wrong layout.
    const wrong = MAJOR === 18 ? 17 : MAJOR + 1
    const refusal = await ltap(['inspect', 'relations', pgdata, ...carry, '--major', String(wrong)])
    expect({ code: refusal.code, stdout: refusal.stdout }).toEqual({ code: 3, stdout: '' })
  })
  // Where PG_VERSION is there, it is believed.
  expect((await ltap(['inspect', 'table', pgdata, 'public.p', ...carry, '--major', '14', '--format', 'csv'])).code).toBe(0)
  const copy = join(folder, 'rebuilt')
  await cluster.copyDataDir(copy)
  writeFileSync(heapFile(copy, 'shop', 'public.t'), '')
  expect((await ltap(['rebuild', '--lake', other, '--pgdata', copy])).code).toBe(0)
  expect(readFileSync(heapFile(copy, 'shop', 'public.t')).equals(readFileSync(heapFile(pgdata, 'shop', 'public.t')))).toBe(true)
})

test("a damaged file of pg_twophase, with carry: its transaction's rows are not visible, and come back with a rebuild", async () => {
  const other = join(folder, 'twophase')
  await whileFile(join(pgdata, prepared), flipped(new Uint8Array(readFileSync(join(pgdata, prepared))), 40), async () => {
    const made = await ltap(['transcode', pgdata, '--lake', other, ...TABLES, '--on-corrupt', 'carry'])
    expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' })
    expect(made.stdout).toMatch(/damaged: xact\.twophase: .*; its transaction is taken as prepared/)
    await expectRows(other)
    expect((await ltap(['verify', pgdata, '--lake', other])).stdout).toMatch(/^equal: /)
    const dead = await ltap(['inspect', 'table', pgdata, 'public.p', '--dead', '--on-corrupt', 'carry', '--json'])
    const rows = JSON.parse(dead.stdout) as { state: string; columns: { id: string } }[]
    // The subtransaction's xid was in the file alone: its row is one whose transaction did not end.
    expect(rows.map(({ state, columns: { id } }) => `${id} ${state}`)).toEqual(['1 live', '2 inserting', '3 aborted'])
  })
  const copy = join(folder, 'again')
  await cluster.copyDataDir(copy)
  writeFileSync(heapFile(copy, 'shop', 'public.p'), '')
  expect((await ltap(['rebuild', '--lake', other, '--pgdata', copy])).code).toBe(0)
  expect(readFileSync(heapFile(copy, 'shop', 'public.p')).equals(readFileSync(heapFile(pgdata, 'shop', 'public.p')))).toBe(true)
})

function below(path: string): string {
  return relative(pgdata, path)
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at]! ^= 1
  return bytes
}

/** Kills a chunk of the first value. */
function dropChunk(bytes: Uint8Array): Uint8Array {
  const page = bytes.subarray(0, 8192)
  const view = new DataView(page.buffer, page.byteOffset)
  view.setUint32(24, makeLinePointer(0, LP_DEAD, 0), true)
  view.setUint16(8, pageChecksum(page, 0), true)
  return bytes
}
