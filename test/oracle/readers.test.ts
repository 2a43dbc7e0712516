/** Stock Parquet readers on every file of a whole cluster's lake: none fails, all count the same rows; DuckDB reads what we read. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { readParquet as readWasmTable } from 'parquet-wasm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import type { LakeFile, Manifest } from '../../src/lake/manifest.ts'
import { valueAt } from '../columnar/lakevalues.ts'
import { duckColumns, quietNaNs } from '../columnar/parquetreaders.ts'
import { transcode } from '../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

const lake = mkdtempSync(join(tmpdir(), 'ltap-test-'))
let manifest: Manifest
let files: LakeFile[]

describe.skipIf(majors().length === 0)('readers', () => {
  beforeAll(async () => {
    const major = majors().at(-1)!
    await withCluster(major, {}, async (cluster, sql) => {
      await loadZoo(major, sql)
      await runWorkload(cluster)
      await closeSessions(cluster)
      await cluster.stop('fast')
      manifest = await transcode(cluster.dataDir, lake, { filter: { databases: ['postgres'], tables: [] } })
    })
    files = manifest.relations.flatMap((relation) => relation.files)
  })

  afterAll(() => rmSync(lake, { recursive: true }))

  test('DuckDB reads every value of the zoo as we do, and counts the rows of every file', async () => {
    const db = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
    for (const relation of manifest.relations) {
      for (const { path, rows, hidden } of relation.files) {
        const names = [join(lake, path), ...(hidden ? [join(lake, hidden.path)] : [])]
        for (const [i, name] of names.entries()) {
          const counted = await db.run(`SELECT count(*)::INT FROM read_parquet('${name.replaceAll("'", "''")}')`)
          const [[count]] = (await counted.getRows()) as [[number]]
          expect([name, count]).toEqual([name, i === 0 ? rows : hidden?.rows])
        }
        if (relation.schema !== 'zoo' && relation.schema !== 'mvcc') continue
        const bytes = readFileSync(join(lake, path))
        const reader = readParquet(bytes)
        const types = reader.fields.map(({ type }) => type)
        const found = await duckColumns(db, join(lake, path), types)
        const groups = Array.from({ length: reader.rowGroups }, (_, group) => reader.readRowGroup(group))
        const expected = types.map((type, i) => groups.flatMap(({ rows: count, columns }) =>
          Array.from({ length: count }, (_, row) => quietNaNs(valueAt(columns[i]!, type, row), type))))
        for (const [i, field] of reader.fields.entries()) expect([path, field.name, found[i]]).toEqual([path, field.name, expected[i]])
      }
    }
  })

  test('hyparquet reads every file', async () => {
    for (const { path, rows } of files) {
      const file = await asyncBufferFromFile(join(lake, path))
      const metadata = await parquetMetadataAsync(file)
      expect([path, Number(metadata.num_rows)]).toEqual([path, rows])
      const objects = rows === 0 ? [] : await parquetReadObjects({ file, metadata, compressors })
      expect([path, objects.length]).toEqual([path, rows])
    }
  })

  test('parquet-wasm reads every file', () => {
    for (const { path, rows } of files) {
      const table = readWasmTable(readFileSync(join(lake, path)))
      const count = table.recordBatches().reduce((sum, batch) => sum + batch.numRows, 0)
      expect([path, count]).toEqual([path, rows])
    }
  })
})
