/**
 * `ltap.transactions` has each transaction once, with what the server says of it, and `ltap.schemas` each shape of a table once: as published, and as
 * `ltap query` shows them; over crashes, prepared transactions, runs that are killed before readers see a snapshot, and runs that publish nothing.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { addedFiles, rowsOf } from '../support/deltatable.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../support/oracle.ts'

const [major] = fewerMajors('majors of logs') as [number]
const filter = { databases: ['postgres'], tables: [] }

/** What the sessions of a round do; some of it is still open when the next one begins. */
const ROUNDS: readonly (readonly string[])[] = [
  ['CREATE TABLE a (id int, t text)', 'CREATE TABLE b (id int)', 'CREATE SCHEMA ltap', 'CREATE TABLE ltap.transactions (mine int)', "BEGIN; INSERT INTO a VALUES (1, 'p'); PREPARE TRANSACTION 'p0'",
    "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'without rows'"],
  ["BEGIN; INSERT INTO a VALUES (2); SAVEPOINT s; INSERT INTO a VALUES (3); RELEASE s; SAVEPOINT t; INSERT INTO a VALUES (4); ROLLBACK TO t; COMMIT",
    'BEGIN; INSERT INTO a VALUES (5); ROLLBACK', "COMMIT PREPARED 'p0'", "ROLLBACK PREPARED 'without rows'", 'ALTER TABLE a ADD COLUMN more numeric(10, 2)[]',
    "BEGIN; INSERT INTO b VALUES (6); SAVEPOINT s; INSERT INTO b VALUES (7); PREPARE TRANSACTION 'p1'"],
  ['INSERT INTO a VALUES (8)', 'ALTER TABLE a RENAME TO renamed', 'CREATE TABLE gone (v varchar(7))'],
  ["COMMIT PREPARED 'p1'", 'DROP TABLE gone', 'VACUUM (FREEZE) renamed', 'INSERT INTO renamed VALUES (9)'],
]

test('ltap.transactions and ltap.schemas over rounds of changes', () => withCluster(major, { settings: { autovacuum: 'off', max_prepared_transactions: '5' } }, async (server, first) => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-logs-'))
  const lake = join(folder, 'lake')
  const states: { lsn: string; nextXid: number }[] = []
  try {
    for (const [round, scripts] of ROUNDS.entries()) {
      const sql = round === 0 ? first : (await server.start(), await connect(server))
      for (const script of scripts) await sql.script(script)
      if (round === 2) {
        // Dies with its server, without a record.
        await sql.script('BEGIN; INSERT INTO renamed VALUES (10); SAVEPOINT s; INSERT INTO renamed VALUES (11)')
        await (await connect(server)).script('CHECKPOINT')
        await server.kill()
        await closeSessions(server)
        await server.start()
      }
      const nextXid = Number(await (await connect(server)).value('SELECT pg_current_xact_id()')) + 1
      await closeSessions(server)
      await server.stop('fast')
      const transcode = async (change: (store: ObjectStore) => ObjectStore = (store) => store, publish = {}): ReturnType<typeof materializeLake> => (
        await materializeLake({ pgdata: server.dataDir, store: change(await openObjectStore(lake)), workers: 0, filter, publish }))
      if (round === 1) {
        await expect(transcode(killedAt(/ltap\.transactions\/metadata\/v\d+\.metadata\.json$/))).rejects.toThrow('killed')
        const { published, publishProblem } = await transcode()
        expect({ left: published.left, publishProblem }).toEqual({ left: [], publishProblem: null })
        states.push({ lsn: (await transcode()).lsn, nextXid })
      } else states.push({ lsn: (await transcode(undefined, round === 2 ? false : {})).lsn, nextXid })
    }
    await server.start()
    const sql = await connect(server)
    const from = states[0]!.nextXid
    const found = await sql.rows(`SELECT x, pg_xact_status(x::text::xid8) FROM generate_series(${from} - 3, ${states.at(-1)!.nextXid - 1}) AS x WHERE x <> ${from} - 1`)
    // The two that were prepared, and all that began behind the first state.
    const expected = found.map(([xid, status]) => [xid!, status!]).sort()
    const oids = await sql.rows("SELECT oid FROM pg_class WHERE relname = 'renamed'")
    await closeSessions(server)
    await server.stop('fast')

    const check = async (): Promise<void> => {
      const folders = publishedFolders(lake, true)
      expect([...folders.keys()].sort()).toEqual(['ltap.schemas', 'ltap.transactions'])
      const rows = (await icebergRows(icebergMetadata(folders.get('ltap.transactions')!))).map((row) => JSON.parse(row) as (string | null)[])
      expect(rows.map(([xid, , status]) => [xid, status]).sort()).toEqual(expected)
      for (const row of rows) {
        const [xid, top, , lsn, time, after, upto] = row
        expect([top, lsn, time]).toEqual([null, null, null])
        // p0, the one without rows, and p1 with its subtransaction end in a later state.
        const began = states.findIndex(({ nextXid }) => Number(xid) < nextXid)
        expect([after, upto].map((at) => states.findIndex((state) => lsnOf(state.lsn) === at)), xid!).toSatisfy(([a, b]: number[]) => b === a! + 1 && b >= began)
      }
      const queried = await query(lake, 'SELECT xid::text AS xid, status FROM ltap.transactions')
      expect(queried.map(({ xid, status }) => [xid, status]).sort()).toEqual(expected)
      // Snapshots add rows, or have the same ones in fewer files.
      for (const table of folders.values()) expect(icebergMetadata(table).snapshots.map(({ summary }) => summary['operation']).every((operation) => operation === 'append' || operation === 'replace')).toBe(true)
      // What removes files says that no row differs.
      const files = addedFiles(folders.get('ltap.transactions')!, ({ dataChange }, wasThere) => expect([wasThere, dataChange]).toEqual([true, false]))
      expect(rowsOf(files)).toBe(expected.length)
      const shapes = await icebergRows(icebergMetadata(folders.get('ltap.schemas')!))
      const states1 = shapes.map((row) => JSON.parse(row) as (string | null)[]).filter(([, , , , , , oid]) => oid === oids[0]![0])
        .map(([lsn, , , database, schema, table, , exists, , column, type]) => [states.findIndex((state) => lsnOf(state.lsn) === lsn), database, schema, table, exists, column, type])
      expect(states1.sort()).toEqual([
        [0, 'postgres', 'public', 'a', 'true', 'id', 'integer'], [0, 'postgres', 'public', 'a', 'true', 't', 'text'],
        [1, 'postgres', 'public', 'a', 'true', 'id', 'integer'], [1, 'postgres', 'public', 'a', 'true', 'more', 'numeric(10,2)[]'], [1, 'postgres', 'public', 'a', 'true', 't', 'text'],
        // The state between was not published.
        [3, 'postgres', 'public', 'renamed', 'true', 'id', 'integer'], [3, 'postgres', 'public', 'renamed', 'true', 'more', 'numeric(10,2)[]'],
        [3, 'postgres', 'public', 'renamed', 'true', 't', 'text'],
      ])
      expect(await query(lake, 'SELECT * FROM ltap.schemas')).toHaveLength(shapes.length)
    }
    await check()
    await mergeLake({ lake, all: true, workers: 0 })
    await collectLake({ lake, keep: '0s' })
    await check()
    expect((await verifyLake({ lake, workers: 0 })).differences).toEqual([])
    // A table of the server's that has the name of one of ltap's own.
    const user = [...readdirSync(join(lake, 'postgres'))].find((name) => name.startsWith('ltap.transactions-'))!
    expect(icebergMetadata(join(lake, 'postgres', user)).properties['ltap.table']).toMatch(/^transactions_\d+$/)
    // A transaction that is missing (planted).
    expected.pop()
    await expect(check()).rejects.toThrow()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}))

function lsnOf(text: string): string {
  const [high, low] = text.split('/').map((part) => BigInt(`0x${part}`)) as [bigint, bigint]
  return String((high << 32n) + low)
}

function killedAt(pattern: RegExp): (store: ObjectStore) => ObjectStore {
  return (store) => new Proxy(store, {
    get: (target, member): unknown => {
      if (member === 'put') {
        return async (...[key, ...rest]: Parameters<ObjectStore['put']>) => {
          if (pattern.test(key)) throw new Error('killed')
          return await target.put(key, ...rest)
        }
      }
      const value: unknown = Reflect.get(target, member, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function query(lake: string, sql: string): Promise<Record<string, unknown>[]> {
  let text = ''
  await queryLake({ lake, sql, format: 'json' }, (piece) => {
    text += piece
    return Promise.resolve()
  })
  return JSON.parse(text) as Record<string, unknown>[]
}
