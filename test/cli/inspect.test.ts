/** What `ltap inspect` prints, against what the server says about itself. */
import { describe, expect, test } from 'vitest'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import { findTable } from '../../src/jobs/inspect/findtable.ts'
import type { ListedRelation } from '../../src/jobs/inspect/relationlist.ts'
import { TableReader } from '../../src/jobs/inspect/tablereader.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { loadZoo, readFixture } from '../support/zoo.ts'
import { ltap } from './streams.ts'

describe.each(fewerMajors('majors of inspect'))('Postgres %i', (major) => {
  test('inspect relations and table', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      await loadZoo(major, sql)
      await sql.script(readFixture('mvcc.sql'))
      await sql.exec(`create extension pageinspect; create schema "odd.name"; create table "odd.name"."a""b" (v text);
        insert into "odd.name"."a""b" values (null), (''), (E'x,"\\n')`)
      await sql.exec('CHECKPOINT')
      const control = await ltap(['inspect', 'control', cluster.dataDir, '--json'])
      expect({ code: control.code, stderr: control.stderr }).toEqual({ code: 0, stderr: '' })
      expect(pick(JSON.parse(control.stdout) as Record<string, string>)).toEqual(await controlItems(sql))
      const listed = await relations(sql)
      const tables = await tablesOf(sql)
      await closeSessions(cluster)
      await cluster.stop()
      expect(await listedRelations(cluster)).toEqual(listed)
      const opened = openCluster(cluster.dataDir)
      for (const table of tables) compare(opened, table)
      await formats(cluster)
    })
  })
})

const CONTROL = `select
    checkpoint_lsn::text "Latest checkpoint location", redo_lsn::text "Latest checkpoint's REDO location",
    timeline_id::text "Latest checkpoint's TimeLineID", prev_timeline_id::text "Latest checkpoint's PrevTimeLineID",
    case when full_page_writes then 'on' else 'off' end "Latest checkpoint's full_page_writes", next_xid "Latest checkpoint's NextXID",
    next_oid::text "Latest checkpoint's NextOID", oldest_xid_dbid::text "Latest checkpoint's oldestXID's DB",
    oldest_active_xid::text "Latest checkpoint's oldestActiveXID", oldest_multi_dbid::text "Latest checkpoint's oldestMulti's DB",
    oldest_commit_ts_xid::text "Latest checkpoint's oldestCommitTsXid", newest_commit_ts_xid::text "Latest checkpoint's newestCommitTsXid",
    to_char(checkpoint_time, 'YYYY-MM-DD HH24:MI:SS') || ' UTC' "Time of latest checkpoint",
    min_recovery_end_lsn::text "Minimum recovery ending location", min_recovery_end_timeline::text "Min recovery ending loc's timeline",
    backup_start_lsn::text "Backup start location", backup_end_lsn::text "Backup end location",
    case when end_of_backup_record_required then 'yes' else 'no' end "End-of-backup record required",
    to_char(pg_control_last_modified, 'YYYY-MM-DD HH24:MI:SS') || ' UTC' "pg_control last modified",
    max_data_alignment::text "Maximum data alignment", wal_block_size::text "WAL block size", large_object_chunk_size::text "Size of a large-object chunk",
    max_index_columns::text "Maximum columns in an index", max_toast_chunk_size::text "Maximum size of a TOAST chunk",
    current_setting('wal_level') "wal_level setting", current_setting('wal_log_hints') "wal_log_hints setting",
    current_setting('max_connections') "max_connections setting", current_setting('max_worker_processes') "max_worker_processes setting",
    current_setting('max_wal_senders') "max_wal_senders setting", current_setting('max_prepared_transactions') "max_prepared_xacts setting",
    current_setting('max_locks_per_transaction') "max_locks_per_xact setting",
    current_setting('track_commit_timestamp') "track_commit_timestamp setting", 'in production' "Database cluster state"
  from pg_control_checkpoint(), pg_control_recovery(), pg_control_init(), pg_control_system()`

async function controlItems(sql: Session): Promise<Record<string, unknown>> {
  return pick((await sql.query(CONTROL))[0]!)
}

function pick(items: Record<string, string | null>): Record<string, string | null> {
  const names = [...CONTROL.matchAll(/"([^"]+)"/g)].map((match) => match[1]!)
  return Object.fromEntries(names.map((name) => [name, items[name]!]))
}

async function relations(sql: Session): Promise<string[]> {
  const rows = await sql.rows(`
    select case when relisshared then 'shared' else 'postgres' end, nspname, relname, relkind, relpersistence, pg_relation_filepath(c.oid),
      pg_relation_size(c.oid)
    from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('r', 't', 'm', 'S') and relpersistence <> 't'`)
  return rows.map((row) => row.join('|')).sort()
}

async function listedRelations(cluster: PostgresServer): Promise<string[]> {
  const kinds = { table: 'r', toast: 't', matview: 'm', sequence: 'S' }
  const { code, stdout } = await ltap(['inspect', 'relations', cluster.dataDir, '--json'])
  expect(code).toBe(0)
  const all = JSON.parse(stdout) as ListedRelation[]
  const text = await ltap(['inspect', 'relations', cluster.dataDir, '--database', 'postgres'])
  expect(text.code).toBe(0)
  expect(text.stdout).toMatch(/^ database +\| schema +\| name +\| kind +\| file +\| blocks \| +bytes\n/)
  expect(text.stdout).toContain(`(${all.filter(({ database }) => database === 'postgres').length} rows)`)
  return all.filter(({ database, visible }) => visible && (database === 'postgres' || database === null))
    .map(({ database, schema, name, kind, unlogged, file, bytes }) =>
      [database ?? 'shared', schema, name, kinds[kind], unlogged ? 'u' : 'p', file, bytes].join('|')).sort()
}

interface Expected {
  name: string
  /** Columns that are not compared. */
  skipped: string[]
  visible: Record<string, string | null>[]
  /** Tuples per state-independent header: ctid, xmin. */
  items: string[]
}

async function tablesOf(sql: Session): Promise<Expected[]> {
  const tables = await sql.rows(`
    select nspname, relname, quote_ident(nspname) || '.' || quote_ident(relname), c.oid from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'm') and relpersistence <> 't' and (nspname in ('mvcc', 'odd.name') or nspname = 'zoo' and relname like 'mixed%') and relispopulated order by c.oid`)
  const expected: Expected[] = []
  for (const [schema, name, quoted, oid] of tables) {
    // Names of objects need a catalog, and the output function of xml drops the declaration: see ARCHITECTURE.md.
    const columns = await sql.rows(`select quote_ident(attname), attname, typname ~ '^_?(reg|xml)' from pg_attribute
      join pg_type t on t.oid = atttypid where attrelid = ${oid} and attnum > 0 and not attisdropped and attgenerated <> 'v' order by attnum`)
    const values = columns.map(([column, , other], i) => (other === 't' ? `null c${i}` : `${column} c${i}`)).join(', ')
    // Reading prunes; items are read afterwards.
    const rows = await sql.rows(`select ctid::text, xmin::text${values && `, ${values}`} from only ${quoted}`)
    const visible = rows.map((row) => Object.fromEntries([['ctid', row[0]!], ['xmin', row[1]!], ...columns.map(([, column], i) => [column!, row[i + 2]!])]))
    const items = await sql.rows(`
      select '(' || b || ',' || lp || ')', t_xmin from generate_series(0, pg_relation_size(${oid}) / 8192 - 1) b,
        heap_page_items(get_raw_page('${quoted!.replaceAll("'", "''")}', b::int)) where lp_flags = 1 order by b, lp`)
    const skipped = columns.filter(([, , other]) => other === 't').map(([, column]) => column!)
    expected.push({ skipped, name: `${schema}.${name}`, visible, items: items.map((item) => item.join(' ')) })
  }
  return expected
}

function compare(cluster: DirectoryCluster, { name, skipped, visible, items }: Expected): void {
  const reader = new TableReader(cluster, findTable(cluster, name, 'postgres'))
  const rows = [...reader.rows()]
  const nulls = Object.fromEntries(skipped.map((column) => [column, null]))
  // A type without a codec shows its stored bytes.
  const opaque = (text: string | null, server: string | null | undefined): boolean => text?.startsWith('\\x') === true && server !== null && !server?.startsWith('\\x')
  const shown = rows.map(({ block, offset, xmin, values }, row) => {
    const columns = reader.columns.map((column, i): [string, string | null] => {
      const text = values[i] ?? null
      return [column, opaque(text, visible[row]?.[column]) ? visible[row]![column]! : text]
    })
    return { ctid: `(${block},${offset})`, xmin: String(xmin), ...Object.fromEntries(columns), ...nulls }
  })
  expect({ name, rows: shown }).toEqual({ name, rows: visible })
  expect(rows.filter(({ problem, dangling, state }) => problem !== null || dangling.length > 0 || !['live', 'deleting'].includes(state))).toEqual([])
  const all = [...reader.rows({ dead: true })]
  expect({ name, items: all.map(({ block, offset, xmin }) => `(${block},${offset}) ${xmin}`) }).toEqual({ name, items })
  expect(all.filter(({ state }) => state === 'live' || state === 'deleting')).toEqual(rows)
  reader.close()
}

async function formats(cluster: PostgresServer): Promise<void> {
  const table = ['inspect', 'table', cluster.dataDir, 'odd.name.a"b']
  const csv = await ltap([...table, '--format', 'csv'])
  expect(csv.stdout).toMatch(/^ctid,xmin,xmax,next,state,v\n"\(0,1\)",\d+,0,"\(0,1\)",live,\n"\(0,2\)",\d+,0,"\(0,2\)",live,""\n/)
  const text = await ltap([...table, '--limit', '1'])
  expect(text.stdout).toMatch(/^ ctid +\| +xmin \| xmax \| next +\| state \| v\n-.*\n \(0,1\) .*\(1 row\)\n$/s)
  expect(JSON.parse((await ltap([...table, '--json'])).stdout)).toMatchObject([
    { ctid: '(0,1)', xmin: expect.stringMatching(/^\d+$/) as string, xmax: '0', next: '(0,1)', state: 'live', columns: { v: null }, dangling: [], unreadable: [], problem: null },
    { ctid: '(0,2)', columns: { v: '' } }, { ctid: '(0,3)', columns: { v: 'x,"\n' } },
  ])
  expect((await ltap([...table, '--limit', '0', '--json'])).stdout).toBe('[\n]\n')
  const missing = await ltap(['inspect', 'table', cluster.dataDir, 'public.nothing'])
  expect(missing).toEqual({ code: 3, stdout: '', stderr: "ltap: selection.table: there is no table 'public.nothing'; write it as schema.name, quoted as in psql\n" })
  const several = await ltap(['inspect', 'table', cluster.dataDir, 'pg_catalog.pg_class'])
  expect(several.stderr).toMatch(/several databases have a table 'pg_catalog.pg_class': template1, template0, postgres; name one with --database/)
  expect((await ltap(['inspect', 'table', cluster.dataDir, 'pg_catalog.pg_database'])).code).toBe(0)
  expect((await ltap(['inspect', 'relations', cluster.dataDir, '--database', 'x'])).stderr).toMatch(/there is no database 'x'; the cluster has/)
}
