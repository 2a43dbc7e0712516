/** What registers a table in Glue and Unity Catalog. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { writeRegistration } from '../../src/jobs/publish/registration.ts'
import { nextDelta } from '../../src/lake/delta/log.ts'
import { unityTable } from '../../src/lake/delta/unitytable.ts'
import { PublishedLake } from '../support/publishedlake.ts'
import { READABLE_COLUMNS } from '../support/publishedparquet.ts'
import { ChangingTable, column, NumberedNames } from '../support/publishedtables.ts'
import { Random } from '../support/random.ts'

interface GlueInput { DatabaseName: string; TableInput: { Name: string; Parameters: Record<string, string>; StorageDescriptor: { Location: string; Columns: { Name: string; Type: string }[] } } }

test('Glue: a file for each table, with names that it takes and types as Iceberg writes them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-registration-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }), { root: 's3://bucket/shop' })
  const columns = [...READABLE_COLUMNS.slice(0, -1), column(20, 'id', { kind: 'uuid' }), column(21, 'clock', { kind: 'time' }),
    column(22, 'words', { kind: 'map', value: { kind: 'int' } }, [column(23, 'key', { kind: 'string' }), column(24, 'value', { kind: 'int' })])]
  await lake.at('0/1000', [
    { dbOid: 5, oid: 16385, namespace: 'Sales-1', name: 'Orders x', columns }, { dbOid: 5, oid: 16390, namespace: 'Sales-1', name: 'orders_x' },
  ])
  await lake.at('0/2000', [{ dbOid: 5, oid: 16385, namespace: 'Sales-1', name: 'Orders x', columns: columns.slice(0, 10) }])
  const head = await lake.lake.head('main')
  expect(await writeRegistration(lake.lake, head, folder)).toBe(2)
  // Once more: files are replaced.
  expect(await writeRegistration(lake.lake, head, folder)).toBe(2)
  expect(readdirSync(folder, { recursive: true }).map(String).filter((name) => name.endsWith('.json')).sort()).toEqual(['glue/shop/t-5-16385.json', 'glue/shop/t-5-16390.json'])
  const [first, second] = ['t-5-16385', 't-5-16390'].map((name) => JSON.parse(readFileSync(join(folder, `glue/shop/${name}.json`), 'utf8')) as GlueInput) as [GlueInput, GlueInput]
  expect([first, second].map(({ DatabaseName, TableInput: { Name } }) => `${DatabaseName}.${Name}`)).toEqual(['shop_sales_1.orders_x', 'shop_sales_1.orders_x_16390'])
  expect(first.TableInput.Parameters).toEqual({ table_type: 'ICEBERG', metadata_location: 's3://bucket/shop/shop/t-5-16385/metadata/v2.metadata.json' })
  expect(first.TableInput.StorageDescriptor.Location).toBe('s3://bucket/shop/shop/t-5-16385')
  expect(first.TableInput.StorageDescriptor.Columns.map(({ Name, Type }) => `${Name} ${Type}`)).toEqual([
    'id bigint', 'word string', 'amount decimal(12,2)', 'at timestamp', 'local timestamp', 'ratio double', 'day date', 'tags array<string>', 'pair struct<a:int,b:string>', 'id string',
  ])
})

test('Unity: columns as CreateTable names types', async () => {
  const names = new NumberedNames()
  const { record } = await nextDelta(undefined, new ChangingTable(new Random(3), READABLE_COLUMNS, 's3://bucket/shop').next(), names, { ltapVersion: 'test', checkpointEvery: 10 })
  const payload = unityTable(record, { catalog: 'shop', schema: 'public', table: 'orders', location: 's3://bucket/shop/x' }) as { columns: Record<string, unknown>[] }
  const { columns, ...rest } = payload
  expect(rest).toEqual({
    name: 'orders', catalog_name: 'shop', schema_name: 'public', table_type: 'EXTERNAL', data_source_format: 'DELTA', storage_location: 's3://bucket/shop/x',
  })
  expect(columns.map(({ name, type_name: kind, type_text: text, position }) => `${String(position)} ${String(name)} ${String(kind)} ${String(text)}`)).toEqual([
    '0 id LONG bigint', '1 word STRING string', '2 amount DECIMAL decimal(12,2)', '3 at TIMESTAMP timestamp', '4 local TIMESTAMP_NTZ timestamp_ntz', '5 ratio DOUBLE double', '6 day DATE date',
    '7 tags ARRAY array<string>', '8 pair STRUCT struct<a:int,b:string>', '9 _ltap STRUCT struct<block:bigint>',
  ])
  expect(JSON.parse(columns[0]!['type_json'] as string)).toMatchObject({ name: 'id', type: 'long', nullable: true })
})
