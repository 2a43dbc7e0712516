/** Which row versions a snapshot of the stopped cluster sees, against the ctids that the server returns. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCluster } from '../../src/io/cluster.ts'
import { FileSlru } from '../../src/io/datadir/slru.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpOff } from '../../src/page/linepointer.ts'
import { readTupleHeader } from '../../src/tuple/header.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { connect, closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'

const TABLES = ['t', 'hot', 'locked', 'frozen', 'subs']

describe.each(fewerMajors('majors of visibility'))('visibility on Postgres %i', (major) => {
  test('locks, multixacts, subtransactions, prepared and crashed transactions', async () => {
    await withCluster(major, {}, async (server, sql) => {
      await sql.script(`create table t (a int primary key, b text); insert into t select g, 'x' from generate_series(1, 500) g;
        create table hot (a int, b int) with (fillfactor = 50); insert into hot select g, 0 from generate_series(1, 500) g;
        create table locked (a int primary key, b int); insert into locked select g, 0 from generate_series(1, 50) g;
        create table frozen (a int); insert into frozen select generate_series(1, 300); delete from frozen where a % 7 = 0;
        create table subs (a int);`)
      await sql.exec('begin; delete from t where a % 5 = 0; update t set b = b || 1 where a % 3 = 0; rollback')
      await sql.script(`delete from t where a % 11 = 0; update hot set b = b + 1; update hot set b = b + 1 where a % 2 = 0;
        vacuum freeze frozen`)
      await sql.exec(`begin; insert into subs values (1); savepoint a; insert into subs values (2); savepoint b;
        insert into subs values (3);
        rollback to b; insert into subs values (4); release a; delete from subs where a = 1; savepoint c;
          delete from subs where a = 2; rollback to c;
        commit`)
      const [one, two] = [await connect(server), await connect(server)]
      await one.exec('begin; select * from locked where a <= 20 for key share')
      await two.exec('begin; select * from locked where a <= 10 for key share; update locked set b = 1 where a between 5 and 15')
      await one.exec('commit')
      await two.exec('commit')
      await one.exec('begin; select * from locked where a between 30 and 40 for share')
      await two.exec('begin; select * from locked where a between 30 and 35 for share; select * from locked where a = 50 for update')
      await two.exec('rollback')
      await one.exec(`savepoint x; update locked set b = 9 where a = 45; rollback to x; delete from locked where a = 46; commit`)
      await one.exec(`begin; select * from locked where a between 20 and 25 for key share`)
      await two.exec(`begin; update locked set b = 3 where a between 20 and 25; rollback`)
      await one.exec(`commit; begin; insert into t values (9001, 'p'); delete from t where a = 1; savepoint q; delete from t where a = 2;
        release q; savepoint r; delete from t where a = 4; rollback to r; prepare transaction 'p'`)
      await two.exec(`begin; insert into t values (9002, 'c'); delete from t where a = 7`)
      await sql.exec('checkpoint')
      await server.kill()
      await closeSessions(server)
      await server.start()
      await (await connect(server)).exec(`insert into t values (9003, 'after')`)
      await closeSessions(server)
      await server.stop()

      const cluster = openCluster(server.dataDir)
      const { snapshot } = cluster
      const seen = new Map<string, string[]>()
      const multis = new Set<number>()
      let tuples = 0
      for (const relation of cluster.allRelations()) {
        const fork = cluster.openMain(relation)
        const ctids: string[] = []
        for (let block = 0; block < fork.blocks; block++) {
          const page = fork.read(block)
          for (let offset = 1; offset <= linePointerCount(page); offset++) {
            const word = linePointer(page, offset)
            if (lpFlags(word) !== LP_NORMAL) continue
            const { xmin, xmax, infomask } = readTupleHeader(page, lpOff(word))
            tuples++
            expect(snapshot.hintContradiction(xmin, xmax, infomask)).toBeUndefined()
            if (snapshot.isVisible(xmin, xmax, infomask)) ctids.push(`(${block},${offset})`)
            if ((infomask & 0x1800) === 0x1000 && relation.name === 'locked') multis.add(xmax)
          }
        }
        fork.close()
        if (relation.schema === 'public') seen.set(relation.name, ctids)
      }
      expect(tuples).toBeGreaterThan(10_000)

      const { oldestMulti, nextMulti, nextMultiOffset } = cluster.control
      const multixacts = new MultiXacts({
        offsets: new FileSlru(join(server.dataDir, 'pg_multixact/offsets')), members: new FileSlru(join(server.dataDir,
          'pg_multixact/members')),
        oldestMulti, nextMulti, nextMultiOffset,
      })
      const mode: Record<string, string> = {
        'for key share': 'keysh', 'for share': 'sh', 'for no key update': 'fornokeyupd', 'for update': 'forupd',
          'no key update': 'nokeyupd',
        update: 'upd',
      }
      const members = [...multis].map((multi) => [multi, multixacts.members(multi).map(({ xid, status }) => `${xid} ${mode[status]}`)])

      await server.start()
      const again = await connect(server)
      for (const table of TABLES) {
        expect([table, seen.get(table)]).toEqual([table,
          (await again.rows(`select ctid from only ${table} order by ctid`)).map(([ctid]) => ctid)])
      }
      expect(multis.size).toBeGreaterThan(2)
      for (const [multi, expected] of members) {
        const rows = await again.rows(`select xid || ' ' || mode from pg_get_multixact_members('${multi}')`)
        expect(expected).toEqual(rows.map(([text]) => text))
      }
    })
  })
})
