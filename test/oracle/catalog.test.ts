/** The catalogs that ltap reads from files, against what the server itself says about them. */
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Relation, UnstoredRelation } from '../../src/catalog/relations.ts'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, fewerMajors, type Row, type Session, withCluster } from '../support/oracle.ts'

const RELATIONS = `
  select c.oid, n.nspname as schema, c.relname as name, c.relkind, c.relpersistence as persistence, pg_relation_filepath(c.oid) as path,
    c.reltoastrelid as toast, c.relisshared as shared,
    coalesce((select string_agg(i.inhparent::text, ' ' order by i.inhseqno) from pg_inherits i where i.inhrelid = c.oid), '') as parents,
    coalesce((select string_agg(concat_ws('|', a.attnum, a.attname, case when a.attisdropped then 0 else a.atttypid end, a.atttypmod,
      a.attlen,
      a.attalign, a.attstorage = 'p', a.attisdropped, a.attgenerated::text = 'v', a.attmissingval is not null), e'\\n' order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0), '') as attributes
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 't', 'm', 'S', 'p', 'v', 'f') and c.relpersistence <> 't' order by c.oid`

const TYPES = `
  select t.oid, t.typname as name, n.nspname as schema, t.typlen as len, t.typalign as align, t.typstorage as storage,
    t.typdelim as delimiter,
    case when exists (select from pg_type e where e.typarray = t.oid) and t.typtype = 'b' then 'array' else
      case t.typtype when 'b' then 'base' when 'c' then 'composite' when 'd' then 'domain' when 'e' then 'enum' when 'm' then 'multirange'
        when 'p' then 'pseudo' when 'r' then 'range' end end as kind,
    (select e.oid from pg_type e where e.typarray = t.oid and t.typtype = 'b') as element,
    case when t.typtype = 'd' then t.typbasetype || ' ' || t.typtypmod end as base,
    (select string_agg(e.oid || '=' || e.enumlabel, ' ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) as labels,
    coalesce((select rngsubtype from pg_range where rngtypid = t.oid),
      (select rngtypid from pg_range where rngmultitypid = t.oid)) as subtype,
    case when t.typtype = 'c' then (select string_agg(concat_ws('|', a.attname, a.atttypid, a.atttypmod, a.attisdropped),
      ' ' order by a.attnum)
      from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0) end as fields
  from pg_type t join pg_namespace n on n.oid = t.typnamespace`

const LETTERS: Record<number, string> = { 1: 'c', 2: 's', 4: 'i', 8: 'd' }

function path(cluster: DirectoryCluster, { locator: { spcOid, dbOid, relNumber } }: Relation): string {
  if (spcOid === 1664) return `global/${relNumber}`
  if (spcOid === 1663) return `base/${dbOid}/${relNumber}`
  return `pg_tblspc/${spcOid}/PG_${cluster.major}_${cluster.control.catalogVersion}/${dbOid}/${relNumber}`
}

const bool = (value: boolean): string => (value ? 't' : 'f')

function attributes(relation: Relation | UnstoredRelation): string {
  return (relation.desc?.attributes ?? []).map((a) => [
    a.attnum, a.name, a.type.oid, a.type.typmod, a.len, LETTERS[a.align], bool(a.plain), bool(a.dropped), bool(a.virtual),
      bool(a.missing !== undefined),
  ].join('|')).join('\n')
}

/** Our relations in the shape of RELATIONS. */
function ours(cluster: DirectoryCluster, dbOid: number): Row[] {
  const stored = [...cluster.relations(0), ...cluster.relations(dbOid)].filter(({ visible }) => visible).map((relation) => ({
    oid: String(relation.oid), schema: relation.schema, name: relation.name, relkind: relation.relkind, persistence: relation.persistence,
    path: path(cluster, relation), toast: String(relation.toastRelId), shared: bool(relation.database.oid === 0),
    parents: relation.parents.join(' '), attributes: attributes(relation),
  }))
  const unstored = cluster.unstored(dbOid).map((relation) => ({
    oid: String(relation.oid), schema: relation.schema, name: relation.name, relkind: relation.relkind, persistence: 'p', path: null,
      toast: '0',
    shared: 'f', parents: relation.parents.join(' '), attributes: attributes(relation),
  }))
  return [...stored, ...unstored].sort((a, b) => Number(a.oid) - Number(b.oid))
}

function ourTypes(cluster: DirectoryCluster, dbOid: number): Row[] {
  const relations = [...cluster.relations(dbOid), ...cluster.unstored(dbOid)]
  const types = new Map(relations.flatMap(({ desc }) => desc?.types ?? []).map((type) => [type.oid, type]))
  return [...types.values()].map((t) => ({
    oid: String(t.oid), name: t.name, schema: t.schema, len: String(t.len), align: LETTERS[t.align]!, storage: t.storage,
      delimiter: t.delimiter,
    kind: t.kind, element: t.element === undefined ? null : String(t.element), base: t.base ? `${t.base.oid} ${t.base.typmod}` : null,
    labels: t.labels?.map(([oid, label]) => `${oid}=${label}`).join(' ') ?? null,
      subtype: t.subtype === undefined ? null : String(t.subtype),
    fields: t.fields?.map((f) => [f.name, f.type.oid, f.type.typmod, bool(f.dropped)].join('|')).join(' ') ?? null,
  }))
}

interface Expected { oid: number; name: string; encoding: number; relations: Row[]; types: Map<string, Row> }

/** Asks every database, stops the server, compares. */
async function compareAll(server: PostgresServer, sql: Session): Promise<DirectoryCluster> {
  const expected: Expected[] = []
  const tablespaces = await sql.rows('select oid, spcname from pg_tablespace order by oid')
  await sql.exec(`update pg_database set datallowconn = true where datname = 'template0'`)
  for (const { oid, datname, encoding } of await sql.query('select oid, datname, encoding from pg_database order by oid')) {
    const session = await connect(server, datname!)
    const types = new Map((await session.query(TYPES)).map((row) => [row['oid']!, row]))
    expected.push({ oid: Number(oid), name: datname!, encoding: Number(encoding), relations: await session.query(RELATIONS), types })
    await session.close()
  }
  await closeSessions(server)
  await server.stop()
  const cluster = openCluster(server.dataDir)
  expect(cluster.databases.map(({ oid, name, encoding }) => ({ oid, name, encoding })))
    .toEqual(expected.map(({ oid, name, encoding }) => ({ oid, name, encoding })))
  for (const { oid, name, relations, types } of expected) {
    expect({ name, relations: ours(cluster, oid) }).toEqual({ name, relations })
    const used = ourTypes(cluster, oid)
    expect(used.length).toBeGreaterThan(20)
    for (const type of used) expect(type).toEqual(types.get(type['oid']!))
  }
  expect(cluster.tablespaces().sort((a, b) => a.oid - b.oid).map(({ oid, name }) => [String(oid), name])).toEqual(tablespaces)
  for (const relation of cluster.allRelations()) cluster.openMain(relation).close()
  return cluster
}

const WORKLOAD = `
  create schema shop;
  create type mood as enum ('sad', 'ok', 'happy');
  alter type mood add value 'so-so' before 'ok';
  alter type mood rename value 'happy' to 'glad';
  create type pair as (a int, b text, c numeric(9,2));
  alter type pair drop attribute b;
  create type tree as (name text, kids pair[]);
  create domain price as numeric(12,3) check (value > 0);
  create type textrange as range (subtype = text);
  create table shop.all_types (id bigserial primary key, m mood, ms mood[], p pair, t tree, pr price, prs price[], r textrange,
    mr int4multirange, n name, c "char", v varchar(7), iv int2vector, ov oidvector, pt point, pts box[]);
  create table shop.dropped (a int, b text, c timestamptz, d name);
  insert into shop.dropped values (1, 'x', now(), 'n');
  alter table shop.dropped drop column b, drop column d;
  alter table shop.dropped add column e int default 7, add column f text default 'hey', add column g numeric(5,2) default 1.5;
  alter table shop.dropped drop column e;
  alter table shop.dropped add column big text default repeat('abc', 20000),
    add column h uuid default '00000000-0000-0000-0000-000000000001';
  alter table shop.dropped alter column f set storage plain;
  create unlogged table shop.unlogged (a int);
  create temp table gone (a int);
  create materialized view shop.mv as select 1 as one;
  create view shop.v as select * from shop.dropped;
  create table shop.parts (k int, v text) partition by range (k);
  create table shop.parts_1 partition of shop.parts for values from (0) to (10);
  create table shop.parts_2 partition of shop.parts for values from (10) to (20) partition by list (v);
  create table shop.parts_2a partition of shop.parts_2 default;
  create table base1 (x int); create table base2 (y int);
  create table child (z int) inherits (base1, base2);
  create table "Größe ""q""" ("ä" int, "日本" text);
  create table never (a int);
  begin; create table rolled_back (a int); drop table never; alter table base1 add column w text; rollback;
  begin; create table kept (a int); savepoint s; create table lost (a int); alter table kept add b text; rollback to s;
    alter table kept add c text;
  commit;
  create table many as select g from generate_series(1, 3) g; truncate many;
  create table zero ();
  drop table base2 cascade;`

describe.each(fewerMajors('majors of catalogs'))('catalogs of Postgres %i', (major) => {
  test('fresh cluster', async () => {
    await withCluster(major, {}, async (server, sql) => {
      const cluster = await compareAll(server, sql)
      expect(cluster.orphans()).toEqual([])
      expect(cluster.temp()).toEqual([])
      // Why nothing fetches out-of-line values for attmissingval.
      for (const { oid } of cluster.databases) expect(cluster.relations(oid).find(({ oid: relId }) => relId === 1249)?.toastRelId).toBe(0)
    })
  })

  test('after DDL, rollbacks, tablespaces and VACUUM FULL of the catalogs', async () => {
    await withCluster(major, {}, async (server, sql) => {
      const dir = await server.makeDir('space')
      await sql.exec(`create tablespace space location '${dir}'`)
      await sql.script(WORKLOAD)
      if (major >= 18) await sql.exec(`create table shop.virtual (a int, b int generated always as (a * 2) virtual,
        c int generated always as (a) stored)`)
      await sql.exec('create table in_space (a text) tablespace space')
      if (major >= 15) await sql.script(`set allow_in_place_tablespaces = on; create tablespace here location '';
        create table in_place (a int) tablespace here`)
      await sql.script(`create database latin encoding 'LATIN1' locale 'C' template template0; create database spaced tablespace space`)
      for (const name of ['latin', 'spaced']) {
        const other = await connect(server, name)
        await other.exec(`create table "Größe" ("é" text); create type "Ü" as enum ('ß'); create table e ("ü" "Ü")`)
        await other.script('vacuum full pg_class; vacuum full pg_attribute')
        await other.exec('create table in_default (a int) tablespace pg_default')
        await other.close()
      }
      await sql.script(`vacuum full pg_class; vacuum full pg_type; vacuum full pg_attribute; vacuum full pg_database;
        vacuum full pg_enum; reindex table pg_class`)
      await sql.exec('create table after_vacuum (a mood)')
      const missing = await sql.rows(`select attname,
        attmissingval::text::text[] from pg_attribute where attrelid = 'shop.dropped'::regclass
        and attmissingval is not null and atttypid = 25 order by attnum`)
      const cluster = await compareAll(server, sql)
      expect(cluster.orphans()).toEqual([])
      const table = [...cluster.allRelations()].find(({ name, schema }) => name === 'dropped' && schema === 'shop')
      const found = new Map(table?.desc?.attributes.map((attribute) => [attribute.name, attribute.missing]))
      for (const [name, value] of missing) {
        expect(`{${Buffer.from(found.get(name!) ?? '', 'hex').toString()}}`).toBe(value)
      }
      expect(missing.map(([name]) => name)).toEqual(['f', 'big'])
      expect(found.get('h')).toBe('00000000000000000000000000000001')
    })
  })

  test('prepared transactions, crashes and stray files', async () => {
    await withCluster(major, {}, async (server, sql) => {
      await sql.exec(`create table stays (a int); insert into stays values (1)`)
      await sql.exec(`begin; create schema s; create table s.pending (a text); savepoint q; create table s.sub (a int); release q;
        truncate stays;
        prepare transaction 'p'`)
      const pending = await sql.query(`select gid, transaction from pg_prepared_xacts`)
      expect(pending.length).toBe(1)
      const crashing = await connect(server)
      await crashing.exec('begin; create table crashed (a int); insert into crashed values (1)')
      const crashed = await crashing.value(`select pg_relation_filenode('crashed')`)
      await sql.exec('checkpoint')
      await server.kill()
      expect(() => openCluster(server.dataDir)).toThrow(/datadir.state.*stop/)
      await closeSessions(server)
      await server.start()
      const cluster = await compareAll(server, await connect(server))
      const relations = [...cluster.allRelations()]
      const hidden = relations.filter(({ visible }) => !visible)
      expect(hidden.map(({ schema, name, relkind, desc }) => [schema, name, relkind, desc]).filter(([, ,
        kind]) => kind === 'r').sort()).toEqual([
        ['public', 'stays', 'r', undefined], ['s', 'pending', 'r', undefined], ['s', 'sub', 'r', undefined],
      ])
      expect(hidden.filter(({ relkind }) => relkind === 't').length).toBe(1)
      for (const orphan of cluster.orphans()) expect(existsSync(`${orphan.dir}/${orphan.relNumber}`)).toBe(true)
      expect(cluster.orphans().map(({ relNumber }) => String(relNumber))).toEqual([crashed])
    })
  })
})
