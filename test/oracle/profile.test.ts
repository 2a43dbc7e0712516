/** Type profile iceberg and the compressions, judged by a server, by DuckDB and by what a Parquet schema says. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetMetadata } from 'hyparquet'
import { beforeAll, describe, expect, test } from 'vitest'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { compareCluster } from '../support/comparelake.ts'
import { destroyHeapFiles, transcode, withFolder } from '../support/lakes.ts'
import { type LakeTable, visibleRows } from '../support/lakerows.ts'
import { closeSessions, connect, majors, withAdopted, withCluster } from '../support/oracle.ts'

const MAJOR = majors().includes(17) ? 17 : majors()[0]!

const SETUP = `
  CREATE TYPE two AS (u uuid, t time, n int);
  CREATE DOMAIN id AS uuid;
  CREATE DOMAIN opening AS time NOT NULL;
  CREATE TABLE plain (id int PRIMARY KEY, u uuid, t time, t3 time(3), d id, o opening, z timetz, w text);
  CREATE TABLE nested (id int PRIMARY KEY, us uuid[], ts time[], b two, bs two[]);
  INSERT INTO plain SELECT i, md5(i::text)::uuid, '00:00'::time + i * '86.399999 s'::interval, '12:34:56.789', md5((i + 1)::text)::uuid, '08:00', '09:00+02',
    'row ' || i FROM generate_series(1, 999) i;
  INSERT INTO plain VALUES (1000, '00000000-0000-0000-0000-000000000000', '00:00', '00:00', NULL, '24:00', '24:00-12', NULL),
    (1001, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '24:00', '24:00', '80000000-0000-0000-0000-000000000001', '23:59:59.999999', NULL, ''),
    (1002, NULL, NULL, NULL, NULL, '0:0', NULL, NULL);
  ALTER TABLE plain ADD COLUMN mu uuid DEFAULT '01234567-89ab-cdef-0123-456789abcdef', ADD COLUMN mt time DEFAULT '24:00',
    ADD COLUMN mn time DEFAULT '01:02:03.000004';
  INSERT INTO plain (id, o) VALUES (1003, '24:00');
  DELETE FROM plain WHERE id % 10 = 0;
  INSERT INTO nested VALUES
    (1, '{}', '{}', ROW(NULL, NULL, NULL), '{}'), (2, NULL, NULL, NULL, NULL),
    (3, ARRAY['01234567-89ab-cdef-0123-456789abcdef', NULL]::uuid[], '{12:00,NULL,00:00:00.000001}', ROW(md5('x')::uuid, '23:59:59.999999', 1),
      ARRAY[ROW(md5('y')::uuid, '1:00', 2), NULL]::two[]),
    (4, '{{00000000-0000-0000-0000-000000000001},{00000000-0000-0000-0000-000000000002}}', '[0:0]={12:00}', ROW(NULL, '24:00', 2), NULL),
    (5, NULL, '{12:00,24:00}', ROW(md5('z')::uuid, NULL, NULL), ARRAY[ROW(md5('y')::uuid, '24:00', 2)]::two[])`

describe(`profile iceberg on Postgres ${MAJOR}`, () => {
  const lakes = new Map<string, Manifest>()
  const values = new Map<string, string>()
  let plain: LakeTable
  let nested: LakeTable
  let schemas: Record<string, string>
  let duck: unknown[]
  let rebuilt: string[]
  let original: string[]

  const ROWS = ['(SELECT * FROM plain ORDER BY ctid)', '(SELECT ctid, xmin, xmax, * FROM nested)']

  beforeAll(() => withFolder((folder) => withCluster(MAJOR, { initdbArgs: MAJOR < 18 ? ['-k'] : [] }, async (cluster, sql) => {
    await sql.script(SETUP)
    original = await Promise.all(ROWS.map(async (rows) => (await sql.copyOut(rows)).toString()))
    await closeSessions(cluster)
    await cluster.stop('fast')
    const filter = { databases: ['postgres'], tables: ['public.plain', 'public.nested'] }
    for (const [profile, compression] of LAKES) {
      const lake = join(folder, `${profile}-${compression}`)
      const manifest = await transcode(cluster.dataDir, lake, { profile, compression, filter })
      lakes.set(`${profile} ${compression}`, manifest)
      expect(await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
      values.set(`${profile} ${compression}`, hashOf(lake, manifest))
      expect([compression, codecsOf(lake)]).toEqual([compression, [CODECS[compression]]])
    }
    const lake = join(folder, 'iceberg-snappy')
    const manifest = lakes.get('iceberg snappy')!
    const [plainRelation, nestedRelation] = ['plain', 'nested'].map((name) => relationOf(manifest, name)) as [LakeRelation, LakeRelation]
    plain = visibleRows(lake, plainRelation)
    nested = visibleRows(lake, nestedRelation)
    schemas = schemaOf(join(lake, nestedRelation.files[0]!.path))
    duck = await inDuck(join(lake, plainRelation.files[0]!.path))
    const copy = join(folder, 'rebuilt')
    await cluster.copyDataDir(copy)
    destroyHeapFiles(copy, manifest)
    await rebuildLake({ lake, pgdata: copy, force: true, workers: 0 })
    rebuilt = await withAdopted(copy, (_, other) => Promise.all(ROWS.map(async (rows) => (await other.copyOut(rows)).toString())))
    await cluster.start()
    await connect(cluster)
    for (const name of lakes.keys()) {
      const compared = await compareCluster(cluster, join(folder, name.replace(' ', '-')), lakes.get(name)!)
      expect([name, compared.differences]).toEqual([name, []])
      expect(compared.values).toBeGreaterThan(9000)
    }
  })))

  test('uuid is 16 bytes, time is microseconds, in lists and structs too', () => {
    expect(Object.fromEntries(plain.columns.map(({ name, type }) => [name, type.kind]))).toEqual({
      id: 'int', u: 'uuid', t: 'time', t3: 'time', d: 'uuid', o: 'time', z: 'string', w: 'string', mu: 'uuid', mt: 'time', mn: 'time',
    })
    expect(nested.columns.map(({ type }) => type)).toMatchObject([
      { kind: 'int' }, { kind: 'list', element: { kind: 'uuid' } }, { kind: 'list', element: { kind: 'time' } },
      { kind: 'struct', fields: [{ type: { kind: 'uuid' } }, { type: { kind: 'time' } }, { type: { kind: 'int' } }] },
      { kind: 'list', element: { kind: 'struct' } },
    ])
    expect(schemas).toMatchObject({
      'us.element': 'FIXED_LEN_BYTE_ARRAY(16)', 'ts.element': 'INT64 TIME MICROS', 'b.u': 'FIXED_LEN_BYTE_ARRAY(16)', 'b.t': 'INT64 TIME MICROS',
    })
  })

  test('24:00:00 overflows: alone, as a missing value, in an array, in a composite', () => {
    const overflow = (table: LakeTable, wanted: string, row: number): string | null =>
      table.rows[row]!.overflow[table.columns.findIndex(({ name }) => name === wanted)]!
    const last = plain.rows.length - 1
    expect(['t', 't3', 'o', 'mt'].map((name) => overflow(plain, name, last - 2))).toEqual(['24:00:00', '24:00:00', null, '24:00:00'])
    expect(plain.rows[0]!.values[plain.columns.findIndex(({ name }) => name === 'mn')]).toBe(3723000004n)
    expect(overflow(plain, 'o', last)).toBe('24:00:00')
    expect(overflow(nested, 'b', 3)).toBe('(,24:00:00,2)')
    expect(overflow(nested, 'ts', 4)).toBe('{12:00:00,24:00:00}')
    expect(overflow(nested, 'bs', 4)).toBe('{"(41529076-9594-460e-2e48-5922904f345d,24:00:00,2)"}')
  })

  // parquet-wasm writes no UUID annotation: engines see 16 bytes.
  test('DuckDB reads the bytes of a uuid, and TIME', () => {
    expect(duck).toEqual([['c4ca4238a0b923820dcc509a6f75849b', 'BLOB', '00:01:26.399999', 'TIME', '12:34:56.789', '01:02:03.000004']])
  })

  test('the pages come back', () => {
    expect(rebuilt).toEqual(original)
  })

  test('the compression changes no value', () => {
    expect(new Set(['zstd', 'snappy', 'none'].map((compression) => values.get(`iceberg ${compression}`))).size).toBe(1)
    expect(values.get('portable snappy')).toBe(values.get('portable none'))
    expect(values.get('portable none')).not.toBe(values.get('iceberg none'))
  })
})

const LAKES = [['iceberg', 'zstd'], ['iceberg', 'snappy'], ['iceberg', 'none'], ['portable', 'snappy'], ['portable', 'none']] as const
const CODECS = { zstd: 'ZSTD', snappy: 'SNAPPY', none: 'UNCOMPRESSED' }

function relationOf(manifest: Manifest, wanted: string): LakeRelation {
  return manifest.relations.find(({ name }) => name === wanted)!
}

function hashOf(lake: string, manifest: Manifest): string {
  const hash = createHash('sha256')
  const plainText = (_: string, part: unknown): unknown => (typeof part === 'bigint' ? `${part}n` : part)
  for (const name of ['plain', 'nested']) hash.update(JSON.stringify(visibleRows(lake, relationOf(manifest, name)).rows, plainText))
  return hash.digest('hex')
}

function metadataOf(path: string): ReturnType<typeof parquetMetadata> {
  const { buffer, byteOffset, byteLength } = readFileSync(path)
  return parquetMetadata(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer)
}

/** Every codec that some column chunk of the lake has. */
function codecsOf(lake: string): string[] {
  const files = readdirSync(lake, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.parquet')).map((name) => join(lake, name))
  const codecs = files.flatMap((path) => metadataOf(path).row_groups.flatMap(({ columns }) => columns.map(({ meta_data: data }) => String(data?.codec))))
  return [...new Set(codecs)]
}

/** Dotted path of each leaf, without the list level, to its physical and logical type. */
function schemaOf(path: string): Record<string, string> {
  const { schema } = metadataOf(path)
  const found: Record<string, string> = {}
  let at = 1
  const visit = (prefix: string): void => {
    const element = schema[at++]!
    const name = element.name === 'list' ? prefix : prefix === '' ? element.name : `${prefix}.${element.name}`
    const { type, type_length: length, logical_type: logical } = element
    if (type !== undefined) {
      const unit = logical && 'unit' in logical ? ` ${String(logical.unit)}` : ''
      found[name] = `${type}${length === undefined ? '' : `(${length})`} ${logical?.type ?? ''}${unit}`.trimEnd()
    }
    for (let child = 0; child < (element.num_children ?? 0); child++) visit(name)
  }
  while (at < schema.length) visit('')
  return found
}

async function inDuck(path: string): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const result = await connection.runAndReadAll(
      `SELECT lower(hex(u)), typeof(u), t::varchar, typeof(t), t3::varchar, mn::varchar FROM read_parquet('${path}') WHERE id = 1`)
    return result.getRows()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
