/**
 * `<schema>__changes.<table>` and `<schema>__history.<table>` of `ltap query` against a table that triggers fill on the server, and against what the server
 * shows at each state: over aborts, subtransactions, prepared transactions, multixacts, vacuum, freeze, rewrites, merges and a gc of objects.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'

const [major] = fewerMajors('majors of changes') as [number]
const filter = { databases: ['postgres'], tables: [] }

const AUDIT = `CREATE TABLE audit (seq bigserial, of text, id int);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP <> 'INSERT' THEN INSERT INTO audit (of, id) VALUES (TG_ARGV[0], OLD.id); END IF;
    IF TG_OP <> 'DELETE' THEN INSERT INTO audit (of, id) VALUES (TG_ARGV[0], NEW.id); END IF; RETURN NULL; END $$;
  CREATE TABLE t (id int, v int, s text); CREATE INDEX ON t (v);
  CREATE TABLE p (id int, v int, s text) PARTITION BY RANGE (v);
  CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (100) TO (100000);
  CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note('t');
  CREATE TRIGGER p AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION note('p');
  INSERT INTO t SELECT i, i, repeat('x', 40) FROM generate_series(1, 300) i; INSERT INTO p SELECT i, i, 'p' FROM generate_series(1, 200) i`

/** What happens before each state; the tables that are rewritten behind them. */
const ROUNDS: readonly { readonly scripts: readonly string[]; readonly rewritten?: true; readonly merge?: true }[] = [
  { scripts: [AUDIT] },
  { scripts: ["UPDATE t SET s = 'hot' WHERE id = 295", "UPDATE t SET s = 'hot again' WHERE id = 295", 'UPDATE t SET v = -1 WHERE id = 296', 'UPDATE t SET v = v WHERE id = 297',
    'DELETE FROM t WHERE id = 4', "INSERT INTO t VALUES (1001, 1, 'new')", "INSERT INTO t VALUES (1002, 1, 'short lived')", 'DELETE FROM t WHERE id = 1002',
    "BEGIN; UPDATE t SET s = 'aborted' WHERE id = 5; DELETE FROM t WHERE id = 6; ROLLBACK", 'UPDATE p SET v = v + 100 WHERE id IN (7, 8)', 'DELETE FROM p WHERE id = 150',
    "BEGIN; INSERT INTO t VALUES (1003, 1, 'a'); SAVEPOINT s; UPDATE t SET s = 'sub' WHERE id = 1003; DELETE FROM t WHERE id = 7; ROLLBACK TO s; DELETE FROM t WHERE id = 8; COMMIT"] },
  { scripts: ["BEGIN; UPDATE t SET s = 'prepared' WHERE id = 298; DELETE FROM t WHERE id = 11; INSERT INTO t VALUES (1010, 1, 'prepared'); PREPARE TRANSACTION 'commits'",
    "BEGIN; UPDATE t SET s = 'prepared' WHERE id = 12; INSERT INTO t VALUES (1011, 1, 'prepared'); PREPARE TRANSACTION 'rolls back'",
    "UPDATE t SET s = 'beside' WHERE id = 13"] },
  { scripts: ["COMMIT PREPARED 'commits'", "ROLLBACK PREPARED 'rolls back'"], merge: true },
  { scripts: ['VACUUM t', 'VACUUM (FREEZE) p', "BEGIN; SELECT * FROM t WHERE id = 20 FOR KEY SHARE; SAVEPOINT s; UPDATE t SET s = 'multi' WHERE id = 20; COMMIT",
    "UPDATE t SET v = v + 1000 WHERE id BETWEEN 30 AND 60; VACUUM t"] },
  { scripts: ["ALTER TABLE t ADD COLUMN more int DEFAULT 7; UPDATE t SET more = 8 WHERE id = 70; INSERT INTO t VALUES (4, 4, 'again', 9)", 'DELETE FROM p WHERE id < 50'], merge: true },
  { scripts: ['DELETE FROM t WHERE id % 3 = 0', "UPDATE t SET s = 'x' WHERE id = 100", 'VACUUM FULL t'], rewritten: true },
  { scripts: ['VACUUM (FREEZE) t', "UPDATE t SET s = 'behind' WHERE id IN (101, 103)", 'ALTER TABLE t DROP COLUMN more'] },
  { scripts: ["BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 1, 'truncated'); COMMIT"], rewritten: true },
]

interface State {
  readonly lsn: string
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly audit: ReadonlyMap<string, string>
}

/** By id, rows of both tables; and what the triggers wrote down. */
async function stateOf(sql: Session): Promise<Omit<State, 'lsn'>> {
  const tables = new Map<string, Map<string, string>>()
  for (const table of ['t', 'p']) {
    const rows = await sql.rows(`SELECT id, v, s FROM ${table}`)
    tables.set(table, new Map(rows.map((row) => [row[0]!, JSON.stringify(row)])))
  }
  return { tables, audit: new Map((await sql.rows('SELECT seq, of || id FROM audit')).map(([seq, what]) => [seq!, what!])) }
}

test('changes and versions agree with triggers', () => withCluster(major, { settings: { autovacuum: 'off', max_prepared_transactions: '5' } }, async (server, first) => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-changes-'))
  const lake = join(folder, 'lake')
  const states: State[] = []
  try {
    for (const [round, { scripts, merge }] of ROUNDS.entries()) {
      const sql = round === 0 ? first : (await server.start(), await connect(server))
      for (const script of scripts) await sql.script(script)
      const state = await stateOf(sql)
      await closeSessions(server)
      await server.stop('fast')
      const { lsn } = await materializeLake({ pgdata: server.dataDir, store: await openObjectStore(lake), workers: 0, filter, publish: false })
      states.push({ lsn: lsnOf(lsn), ...state })
      if (merge) await mergeLake({ lake, all: true, workers: 0 })
    }
    await check(lake, states)
    await mergeLake({ lake, all: true, workers: 0 })
    await collectLake({ lake })
    await check(lake, states)
    // An earlier state has the changes up to it.
    const some = await query(lake, 'SELECT DISTINCT lsn_upto::text AS upto FROM public__changes.t', lsnText(states[3]!.lsn))
    expect(some.map(({ upto }) => upto).sort()).toEqual(states.slice(1, 4).map(({ lsn }) => lsn).sort())
    // A change that the triggers missed, and a row of an earlier state (planted).
    const lost = states.map((state, i) => (i === 1 ? { ...state, audit: new Map([...state.audit].filter(([, what]) => what !== 't297')) } : state))
    await expect(check(lake, lost)).rejects.toThrow('step 1 of t')
    const other = states.map((state, i) => (i === 2 ? { ...state, tables: new Map([['t', new Map(state.tables.get('p'))], ['p', state.tables.get('p')!]]) } : state))
    await expect(check(lake, other)).rejects.toThrow('of t')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}))

async function check(lake: string, states: readonly State[]): Promise<void> {
  for (const table of ['t', 'p']) {
    const changes = await query(lake, `SELECT lsn_after::text AS after, lsn_upto::text AS upto, change_seq::text AS seq, op, xid::text AS xid, before.id::text AS "bId",
      before.v::text AS "bV", before.s AS "bS", after.id::text AS "aId", after.v::text AS "aV", after.s AS "aS" FROM public__changes.${table}`)
    expect(new Set(changes.map(({ upto, seq }) => `${upto} ${seq}`)).size).toBe(changes.length)
    for (let step = 1; step < states.length; step++) {
      const [was, is] = [states[step - 1]!, states[step]!]
      const own = changes.filter(({ upto }) => upto === is.lsn)
      expect(own.every(({ after }) => after === was.lsn)).toBe(true)
      const isRewritten = table === 't' && ROUNDS[step]!.rewritten === true
      expect(own.filter(({ op }) => op === 'rewrite')).toHaveLength(isRewritten ? 1 : 0)
      const touched = new Set([...is.audit].filter(([seq]) => !was.audit.has(seq)).map(([, what]) => what))
      const ids = new Set([...was.tables.get(table)!.keys(), ...is.tables.get(table)!.keys()])
      const expected = [...ids].filter((id) => isRewritten || touched.has(`${table}${id}`))
        .map((id) => [id, isRewritten ? undefined : was.tables.get(table)!.get(id), is.tables.get(table)!.get(id)]).filter(([, a, b]) => a !== undefined || b !== undefined)
      const before = own.filter(({ op }) => op === 'update' || op === 'delete').map(({ bId, bV, bS }): [string, string] => [bId!, JSON.stringify([bId, bV, bS])])
      const after = own.filter(({ op }) => op === 'update' || op === 'insert').map(({ aId, aV, aS }): [string, string] => [aId!, JSON.stringify([aId, aV, aS])])
      // No row is in the list twice.
      expect([new Map(before).size, new Map(after).size], `step ${step} of ${table}`).toEqual([before.length, after.length])
      const found = [...new Set([...before, ...after].map(([id]) => id))].map((id) => [id, new Map(before).get(id), new Map(after).get(id)])
      expect(found.sort(), `step ${step} of ${table}`).toEqual(expected.sort())
    }
    if (table === 't') {
      const ops = (step: number): string[] => changes.filter(({ upto, op, aId }) => upto === states[step]!.lsn && op === 'update' && aId !== null).map(({ aId }) => aId!).sort()
      // The chains of those that VACUUM did not take apart; what was prepared is known by its own file.
      expect(ops(1)).toEqual(['295', '296', '297'])
      expect(ops(3)).toEqual(['298'])
      expect(changes.filter(({ upto, xid, op }) => upto === states[1]!.lsn && xid === null && op !== 'delete')).toEqual([])
    }
    const versions = await query(lake, `SELECT id::text AS id, v::text AS v, s, from_upto::text AS from, to_upto::text AS to, to_rewrite::text AS rewritten FROM public__history.${table}`)
    for (const [i, { lsn, tables }] of states.entries()) {
      const there = versions.filter(({ from, to }) => BigInt(from!) <= BigInt(lsn) && (to === null || BigInt(to!) > BigInt(lsn)))
      expect(there.map(({ id, v, s }) => JSON.stringify([id, v, s])).sort(), `state ${i} of ${table}`).toEqual([...tables.get(table)!.values()].sort())
    }
    // As many as came by changes, and those of the first state.
    const came = changes.filter(({ op }) => op === 'update' || op === 'insert').length
    expect(versions).toHaveLength(came + states[0]!.tables.get(table)!.size)
  }
}

function lsnOf(text: string): string {
  const [high, low] = text.split('/').map((part) => BigInt(`0x${part}`)) as [bigint, bigint]
  return String((high << 32n) + low)
}

function lsnText(lsn: string): string {
  return `${(BigInt(lsn) >> 32n).toString(16)}/${(BigInt(lsn) & 0xffffffffn).toString(16)}`.toUpperCase()
}

async function query(lake: string, sql: string, at?: string): Promise<Record<string, string | null>[]> {
  let text = ''
  await queryLake({ lake, sql, format: 'json', ...(at !== undefined && { at }) }, (piece) => {
    text += piece
    return Promise.resolve()
  })
  return JSON.parse(text) as Record<string, string | null>[]
}
