/** Tables of other access methods, foreign tables: whatever is a heap is read, the rest is listed with its reason. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCluster } from '../../src/io/cluster.ts'
import { ltap } from '../cli/streams.ts'
import { expectRefusal } from '../support/badinput.ts'
import { withFolder } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'

const HEAPS = `
  create access method heap2 type table handler heap_tableam_handler;
  create function my_handler(internal) returns table_am_handler language internal as 'heap_tableam_handler';
  create access method heap3 type table handler my_handler;
  create table plain (a int, b text);
  insert into plain select i, repeat('x', i) from generate_series(1, 300) i;
  create table second (a int, b text) using heap2;
  insert into second select * from plain;
  insert into second values (0, (select string_agg(md5(i::text), '') from generate_series(1, 500) i));
  create table third using heap3 as select * from plain;
  create materialized view "Fourth" using heap2 as select count(*) from plain;
`
// While the server runs the handlers are heap's; only then pg_proc says otherwise, as it does where an extension made the table.
const OTHERS = `
  create function columnar_handler(internal) returns table_am_handler language internal as 'heap_tableam_handler';
  create function false_friend(internal) returns table_am_handler language internal as 'heap_tableam_handler';
  create access method columnar type table handler columnar_handler;
  create access method friend type table handler false_friend;
  create table parent (a int) partition by range (a);
  create table parent_1 partition of parent for values from (0) to (10);
  create table parent_2 partition of parent for values from (10) to (20) using columnar;
  insert into parent values (1), (11);
  create table odd using columnar as select a from plain;
  create table even using friend as select a from plain;
  create foreign data wrapper nothing;
  create server nowhere foreign data wrapper nothing;
  create foreign table remote (a int) server nowhere;
  set allow_system_table_mods = on;
  update pg_proc set prosrc = 'columnar_handler', probin = '$libdir/citus_columnar', prolang = 13 where proname = 'columnar_handler';
  update pg_proc set probin = '$libdir/friend', prolang = 13 where proname = 'false_friend';
`

/** The server's own tables take most of the time, and are not what this is about. */
const NO_CATALOGS = ['--exclude', 'pg_catalog.*', '--exclude', 'information_schema.*', '--workers', '1']

describe.each(fewerMajors('majors of access methods'))('access methods, Postgres %i', (major) => {
  test('the handler decides what is a heap; another table costs nothing but itself', async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      await sql.script(HEAPS)
      const expected = [await sql.value('select sum(a) + sum(length(b)) from second'), await sql.value('select sum(a) + sum(length(b)) from third')]
      await sql.script(OTHERS)
      await closeSessions(server)
      await server.stop()
      const { dataDir } = server
      const lake = join(folder, 'lake')
      const query = async (text: string): Promise<string> => (await ltap(['query', '--lake', lake, '--format', 'csv', text])).stdout.trim().split('\n').at(-1)!

      const written = await ltap(['transcode', dataDir, '--lake', lake, ...NO_CATALOGS, '--json'])
      expect(written.code).toBe(0)
      expect(written.stderr).toMatch(/^ltap: warning: 4 relations of the cluster are not in the lake: postgres\.public\.\w+: .*\n$/m)
      const summary = JSON.parse(written.stdout) as { complete: boolean; notRead: { name: string; why: string; reason: string; schema: string }[] }
      expect(summary.complete).toBe(false)
      const reasons = Object.fromEntries(summary.notRead.filter(({ schema }) => schema === 'public').map(({ name, why, reason }) => [name, `${why}: ${reason}`]))
      expect(reasons).toEqual({
        parent_2: 'access-method: a table of access method columnar (handler columnar_handler of $libdir/citus_columnar), whose files are no heap',
        odd: 'access-method: a table of access method columnar (handler columnar_handler of $libdir/citus_columnar), whose files are no heap',
        even: 'access-method: a table of access method friend (handler heap_tableam_handler of $libdir/friend), whose files are no heap',
        remote: 'foreign-table: a foreign table: its rows are not in this cluster',
      })

      expect([await query('select sum(a) + sum(length(b)) from second'), await query('select sum(a) + sum(length(b)) from third')]).toEqual(expected)
      expect(await query('select * from "Fourth"')).toBe('300')
      const parent = await ltap(['query', '--lake', lake, '--format', 'csv', 'select a from parent'])
      expect(parent).toMatchObject({ code: 0, stdout: 'a\n1\n', stderr: expect.stringMatching(/public.parent lacks the rows of postgres.public.parent_2: a table of access/) })
      const asked = await ltap(['query', '--lake', lake, 'select * from odd'])
      expect(asked.stderr).toMatch(/not in the lake: postgres.public.odd: a table of access method columnar/)

      const verified = await ltap(['verify', dataDir, '--lake', lake, '--workers', '1'])
      expect({ code: verified.code, text: verified.stdout }).toMatchObject({ code: 0, text: expect.stringMatching(/^equal: [^]*relation not read: postgres.public.odd/) })
      expect((await ltap(['verify', dataDir, '--lake', lake, '--workers', '1', '--strict'])).code).toBe(1)

      const neighbour = await ltap(['transcode', dataDir, '--lake', join(folder, 'one'), '--database', 'postgres', '--workers', '1', '--table', 'public.plain', '--strict', '--json'])
      expect({ code: neighbour.code, stderr: neighbour.stderr }).toEqual({ code: 0, stderr: '' })
      expect(JSON.parse(neighbour.stdout)).toMatchObject({ notRead: [] })
      const itself = await ltap(['transcode', dataDir, '--lake', join(folder, 'itself'), '--database', 'postgres', '--workers', '1', '--table', 'public.odd', '--table', 'public.remote'])
      expectRefusal(itself, /^ltap: selection.nothing: no relation that was asked for has pages that can be read: [^;]*public.odd: a table of access method columnar [^;]*; postgres.public.remote: a foreign table/m)
      expect(existsSync(join(folder, 'itself'))).toBe(false)
      const parents = await ltap(['transcode', dataDir, '--lake', join(folder, 'itself'), '--database', 'postgres', '--workers', '1', '--table', 'public.parent'])
      expectRefusal(parents, /selection.nothing: .*postgres.public.parent: a partitioned table: its rows are in its partitions; name these/)
      const both = await ltap(['transcode', dataDir, '--lake', join(folder, 'both'), '--database', 'postgres', '--workers', '1',
        '--table', 'public.parent_1', '--table', 'public.remote', '--strict', '--json'])
      expect(both).toMatchObject({ code: 1, stderr: expect.stringMatching(/1 relation of the cluster is not in the lake: postgres.public.remote/) as string })

      // What is left out on purpose is no reason for --strict, and its TOAST relation goes along.
      const excluded = ['odd', 'public.ev?n', 'par*_2', 'PUBLIC.remote', '*.second'].flatMap((pattern) => ['--exclude', pattern])
      const rest = join(folder, 'rest')
      const without = await ltap(['transcode', dataDir, '--lake', rest, ...NO_CATALOGS, '--strict', '--json', ...excluded])
      expect({ code: without.code, stderr: without.stderr.replace(/^transcode: .*\n/gm, '') }).toEqual({ code: 0, stderr: '' })
      const names = (JSON.parse(without.stdout) as typeof summary).notRead.filter(({ schema }) => schema === 'public').map(({ name, why }) => `${name} ${why}`)
      expect(names.sort()).toEqual(['even excluded', 'odd excluded', 'parent_2 excluded', 'remote excluded', 'second excluded'])
      const { relations } = (await NewestState.read(rest)).manifest
      const second = (await NewestState.read(lake)).relation('second')
      expect(relations.map(({ oid }) => oid)).not.toContain(second.oid)
      expect(relations.map(({ oid }) => oid)).not.toContain(second.toastRelId)
      expect(relations.map(({ name }) => name)).toContain('third')
      expect(relations.map(({ name }) => name)).not.toContain('pg_class')
      const complete = await ltap(['verify', dataDir, '--lake', rest, '--workers', '1', '--strict'])
      expect({ code: complete.code, stdout: complete.stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^equal/) })
      const less = await ltap(['verify', dataDir, '--lake', lake, '--workers', '1', '--exclude', 'pl*', '--json'])
      expect({ code: less.code, report: JSON.parse(less.stdout) }).toMatchObject({ code: 0, report: { notRead: expect.arrayContaining([
        expect.objectContaining({ name: 'plain', why: 'excluded', reason: 'left out by --exclude pl*' }),
      ]) } })
      const misspelt = await ltap(['transcode', dataDir, '--lake', join(folder, 'no'), '--exclude', 'public.Plian'])
      expectRefusal(misspelt, /selection.exclude: --exclude 'public.Plian' matches no table/)

      const listed = await ltap(['inspect', 'relations', dataDir, '--database', 'postgres'])
      expect(listed.stdout).toMatch(/ third /)
      expect(listed.stderr).toMatch(/^ltap: not listed: postgres.public.odd: a table of access method/m)
      expect((await ltap(['inspect', 'table', dataDir, 'public.third', '--limit', '1'])).code).toBe(0)
      expect((await ltap(['inspect', 'table', dataDir, 'public.odd'])).stderr).toMatch(/'public.odd' cannot be read: it is a table of access method columnar/)
      expect(openCluster(dataDir).orphans()).toEqual([])
    }))
  })
})
