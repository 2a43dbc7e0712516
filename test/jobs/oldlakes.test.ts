/**
 * Lakes that earlier versions wrote (fixtures/lakes/<format>/<case>): verify audits them, query gives the rows that the server gave, rebuild makes the
 * pages that the server had; lakes of format 2 go on. A folder that is dropped in is a test.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { readManifest } from '../../src/jobs/lake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { publishLake } from '../../src/jobs/publish/publishlake.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { canonicalOf } from '../support/arbitrarypages.ts'

const LAKES = join(import.meta.dirname, '../../fixtures/lakes')
const FORMATS = ['v1']
const cases = FORMATS.flatMap((format) => readdirSync(join(LAKES, format)).map((name) => `${format}/${name}`))

const folder = mkdtempSync(join(tmpdir(), 'ltap-oldlakes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const layered = readdirSync(join(LAKES, 'v2')).map((name) => `v2/${name}`)

test('there are lakes of this version and of older ones', () => expect([cases.length > 2, layered.length > 0]).toEqual([true, true]))

describe.each(cases)('%s', (name) => {
  const lake = join(LAKES, name, 'lake')

  test('verify finds every page as it was', async () => {
    const report = await verifyLake({ lake, workers: 0 })
    expect(report).toMatchObject({ equal: true, differing: 0 })
    expect(report.pages).toBeGreaterThan(1)
  })

  test('query gives the rows of the server', async () => {
    expect(await rowsOf(lake, readFileSync(join(LAKES, name, 'query.sql'), 'utf8'))).toEqual(serverRows(name))
  })

  test('rebuild makes the pages of the server again', async () => {
    const pgdata = join(folder, name.replace('/', '-'))
    cpSync(join(LAKES, name, 'pgdata'), pgdata, { recursive: true })
    const { relations } = readManifest(lake)
    for (const { path } of relations) truncateSync(join(pgdata, path))
    await rebuildLake({ lake, pgdata, workers: 0, force: false })
    for (const { path } of relations) {
      const pages = readFileSync(join(LAKES, name, 'pgdata', path))
      expect(Buffer.compare(readFileSync(join(pgdata, path)), canonicalFile(pages)), path).toBe(0)
    }
  })
})

describe.each(layered)('%s', (name) => {
  const sql = readFileSync(join(LAKES, name, 'query.sql'), 'utf8')
  const lake = join(folder, name.replace('/', '-'))

  test('the states are whole', async () => {
    cpSync(join(LAKES, name, 'lake'), lake, { recursive: true })
    expect(await verifyLake({ lake, workers: 0 })).toMatchObject({ equal: true, differing: 0 })
    expect(await rowsOf(lake, sql)).toEqual(serverRows(name))
  })

  test('its layers are merged, and published', async () => {
    expect(await publishLake({ lake, formats: ['iceberg', 'delta'] })).toMatchObject({ tables: 1, left: [] })
    expect(await mergeLake({ lake, all: true, workers: 0 })).toMatchObject({ layersBefore: 4, layersAfter: 2 })
    expect(await verifyLake({ lake, workers: 0 })).toMatchObject({ equal: true, differing: 0 })
    expect(await rowsOf(lake, sql)).toEqual(serverRows(name))
    expect(readdirSync(lake, { recursive: true, encoding: 'utf8' }).filter((path) => /public\.orders-.*\.layer$/.test(path))).toHaveLength(1)
  })
})

test('a row that is another one, and a page that is another one, are found', async () => {
  const [name] = cases as [string]
  const rows = await rowsOf(join(LAKES, name, 'lake'), "SELECT * REPLACE (id + 1 AS id) FROM orders ORDER BY id")
  expect(rows).not.toEqual(serverRows(name))
  const lake = join(folder, 'damaged')
  cpSync(join(LAKES, name, 'lake'), lake, { recursive: true })
  const [file] = readManifest(lake).relations.flatMap(({ files }) => files)
  truncateSync(join(lake, file!.path), file!.bytes - 1)
  expect((await verifyLake({ lake, workers: 0 })).equal).toBe(false)
})

async function rowsOf(lake: string, sql: string): Promise<Record<string, unknown>[]> {
  let text = ''
  await queryLake({ lake, sql, format: 'json' }, async (part) => { text += part })
  return (JSON.parse(text) as Record<string, unknown>[]).map(withTextOfNumbers)
}

function serverRows(name: string): Record<string, unknown>[] {
  return (JSON.parse(readFileSync(join(LAKES, name, 'rows.json'), 'utf8')) as Record<string, unknown>[]).map(withTextOfNumbers)
}

function withTextOfNumbers(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]))
}

/** As ARCHITECTURE.md defines it, by the slow model of the tests; the clusters of these lakes have checksums. */
function canonicalFile(pages: Buffer): Buffer {
  const file = Buffer.alloc(pages.length)
  for (let block = 0; block < pages.length / BLOCK_SIZE; block++) {
    const page = canonicalOf(pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE))
    new DataView(page.buffer, page.byteOffset).setUint16(8, pageChecksum(page, block), true)
    file.set(page, block * BLOCK_SIZE)
  }
  return file
}
