/** A user's own type that is called like an extension's: only its bytes are known. The extension's own keeps its meaning. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EXTENSION_TYPES } from '../../src/datum/extensiontypes.ts'
import { codecFor } from '../../src/datum/registry.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { ltap } from '../cli/streams.ts'
import { transcode, withFolder } from '../support/lakes.ts'
import { closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'

/** A base type of variable length whose stored bytes are a bytea's. */
function ownType(name: string): string {
  return `
    create type ${name};
    create function ${name}_in(cstring) returns ${name} language internal immutable strict as 'byteain';
    create function ${name}_out(${name}) returns cstring language internal immutable strict as 'byteaout';
    create type ${name} (input = ${name}_in, output = ${name}_out, internallength = variable, storage = extended);`
}

/** The last is an empty hstore to who believes the name, the others are nothing at all. */
const VALUES = ['\\xdeadbeef01', '\\x', `\\x${'ab'.repeat(3000)}`, '\\x00000080']

describe.each(fewerMajors('majors of namesakes'))('types of a name, Postgres %i', (major) => {
  test('decided by extension and input function', async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      const names = [...EXTENSION_TYPES.keys()]
      await sql.script(`create schema own; create schema ext; set search_path = own; ${names.map(ownType).join('')}
        create extension hstore schema ext; create extension citext schema ext; create extension ltree schema ext; create extension cube schema ext;
        create domain own.dom as own.hstore; create type own.comp as (a int, h own.hstore);
        create schema kinds; create type kinds.vector as (x int); create type kinds.geometry as enum ('point'); create domain kinds.citext as int4;
        create table own.t (id int, ${names.map((name) => `${name} own.${name}`).join(', ')}, list own.hstore[], d own.dom, c own.comp);
        create table kinds.t (v kinds.vector, g kinds.geometry, c kinds.citext);
        insert into kinds.t values (row(5), 'point', 7);
        create table ext.t (h ext.hstore, c ext.citext, l ext.ltree, q ext.cube);
        insert into ext.t values ('a=>1', 'Text', 'a.b', '(1,2)');`)
      for (const [i, value] of VALUES.entries()) {
        const list = names.map(() => `'${value}'`).join(', ')
        await sql.exec(`insert into own.t values (${i}, ${list}, array['${value}']::own.hstore[], '${value}', row(${i}, '${value}'))`)
      }
      // Members of an extension, but not by the right function; the right function, but of no extension or of another.
      await sql.script(`create schema half; set search_path = half; ${ownType('hstore')} alter extension hstore add type half.hstore;
        create table half.t (h half.hstore); insert into half.t values ('\\x00000080');
        create schema other; create table other.t (h ext.hstore, c ext.citext); insert into other.t values ('b=>2', 'x');
        alter extension citext drop type ext.citext; alter extension plpgsql add type ext.citext;`)
      await closeSessions(server)
      await server.stop()
      const lake = join(folder, 'lake')
      const manifest = await transcode(server.dataDir, lake, { filter: { databases: ['postgres'], tables: [], exclude: ['pg_catalog.*', 'information_schema.*'] } })
      const query = async (text: string): Promise<unknown> => JSON.parse((await ltap(['query', '--lake', lake, '--format', 'json', text])).stdout) as unknown
      const hex = (value: string): string => value.slice(2).toUpperCase()

      for (const name of [...names, 'd', 'list[1]', 'c.h']) {
        const rows = await query(`select hex(${name}) as bytes from own.t order by id`)
        expect(rows, name).toEqual(VALUES.map((value) => ({ bytes: hex(value) })))
      }
      expect(await query('select hex(h) as bytes from half.t')).toEqual([{ bytes: '00000080' }])
      expect(await query('select h::text as h, hex(c) as c from other.t')).toEqual([{ h: '{b=2}', c: '78' }])
      expect(await query('select h::text as h, l, q from ext.t')).toEqual([{ h: '{a=1}', l: 'a.b', q: '(1, 2)' }])
      expect(await query('select v.x as x, g, c from kinds.t')).toEqual([{ x: 5, g: 'point', c: 7 }])
      expect(manifest.relations.filter(({ schema }) => schema === 'own').map(({ lanes }) => lanes.pageImages)).not.toContain(1)
      const verified = await ltap(['verify', server.dataDir, '--lake', lake, '--workers', '1'])
      expect({ code: verified.code, stdout: verified.stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^equal/) })

      // What a file pins of the extension's own types is what it was before.
      const cluster = openCluster(server.dataDir)
      const { oid } = cluster.databases.find(({ name }) => name === 'postgres')!
      const types = cluster.relations(oid).find(({ schema, name }) => schema === 'ext' && name === 't')!.desc!.types
      const flags = Object.fromEntries(types.map((type) => [type.name, 'opaque' in type]))
      expect(flags).toMatchObject({ hstore: false, ltree: false, cube: false, citext: true })
    }))
  })
})

test('a file of an older ltap pins no more than the name, and means what it meant', () => {
  for (const name of EXTENSION_TYPES.keys()) {
    const type: TypeDef = { oid: 20000, name, schema: 'public', kind: 'base', len: -1, align: 4, storage: 'x', delimiter: ',' }
    const codec = (pinned: TypeDef): unknown => codecFor({ oid: 20000, typmod: -1 }, {
      major: 17, profile: 'portable', encoding: 6, types: new Map([[20000, pinned]]),
    }).column
    expect(codec(type), name).not.toEqual(codec({ ...type, name: 'unknown' }))
    expect(codec({ ...type, opaque: true }), name).toEqual(codec({ ...type, name: 'unknown' }))
  }
})
