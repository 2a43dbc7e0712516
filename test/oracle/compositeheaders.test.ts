/**
 * A composite value's header is predicted per file and type: 15.20 and 17.12 write an LSN there. No such value is in the raw lane beside its column, a
 * file forms back by its own footer, and a file of format 1 keeps its rule. The servers of the tests are older, so their pages get such headers here.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { LaneCounts } from '../../src/columnar/lanes.ts'
import { PageRebuilder } from '../../src/columnar/rebuild.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { Lake } from '../../src/engine/lake.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { parseStateRelation } from '../../src/lake/staterelation.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { listHeapRelations } from '../../src/jobs/inspect/relationlist.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { setPageChecksum } from '../../src/page/checksum.ts'
import { transcode } from '../support/lakes.ts'
import { closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'

const SETUP = `
  CREATE TYPE inner_row AS (x int, t text);
  CREATE TYPE outer_row AS (i inner_row, n int8, list int[]);
  CREATE TABLE rows (id int, r outer_row, many inner_row[]);
  INSERT INTO rows SELECT i, ROW(ROW(i, 'text ' || i)::inner_row, i * 10, ARRAY[i, NULL])::outer_row, ARRAY[ROW(i, NULL)::inner_row, ROW(NULL, 'x')::inner_row]
    FROM generate_series(1, 1000) i;
  CREATE TYPE growing AS (a int);
  CREATE TABLE grown (g growing);
  INSERT INTO grown SELECT ROW(i)::growing FROM generate_series(1, 100) i;
  ALTER TYPE growing ADD ATTRIBUTE b int;
  INSERT INTO grown SELECT ROW(i, i)::growing FROM generate_series(1, 900) i`

test.each(fewerMajors('majors of composite headers'))('composite values of Postgres %i are in their columns alone', (major) => withCluster(major, {}, async (cluster, sql) => {
  for (const statement of SETUP.split(';')) await sql.exec(statement)
  await closeSessions(cluster)
  await cluster.stop()
  const folder = mkdtempSync(join(tmpdir(), 'ltap-test-'))
  try {
    const rawOf = async (table: string): Promise<{ old: number; now: number }> => {
      const filter = { databases: ['postgres'], tables: [`public.${table}`] }
      const place = join(folder, table)
      const { lanes } = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(place), workers: 0, filter })
      rmSync(join(folder, 'format1'), { recursive: true, force: true })
      const { relations } = await transcode(cluster.dataDir, join(folder, 'format1'), { filter })
      expect(await verifyLake({ lake: place, pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
      return { old: relations.find(({ name }) => name === table)!.lanes.raw, now: lanes.raw }
    }
    // Values that were written before the type grew have fewer attributes than a new one.
    expect(await rawOf('grown')).toMatchObject({ old: expect.toBeOneOf([100, 1000]) as number, now: 100 })
    const plain = await rawOf('rows')
    expect(plain.now).toBe(0)
    // Some pages have such headers, and their layer predicts these; merged with the other layer, the smaller part is in the raw lane.
    await cluster.start()
    await cluster.stop()
    expect(withVersions(relationPath(cluster.dataDir, 'rows'), 3)).toBeGreaterThan(50)
    expect(await rawOf('rows')).toMatchObject({ now: 0 })
    expect(await mergeLake({ lake: join(folder, 'rows'), workers: 0, all: true })).toMatchObject({ layersBefore: 2, layersAfter: 1 })
    const { pageImages = 0, raw = 0 } = (await lanesOf(join(folder, 'rows')))!
    expect(pageImages).toBe(0)
    expect(raw).toBeGreaterThan(100)
    expect(raw).toBeLessThan(1000)
    expect(await verifyLake({ lake: join(folder, 'rows'), pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
    rmSync(join(folder, 'rows'), { recursive: true })
    const changed = withVersions(relationPath(cluster.dataDir, 'rows'))
    const rows = await rawOf('rows')
    console.log(`Postgres ${major}: ${changed} headers; of 2000 values ${plain.old} in the raw lane, with an LSN in their headers ${rows.old} in format 1 and ${rows.now} in format 2`)
    expect(rows).toEqual({ old: 2000, now: 0 })
    const parquet = readFileSync(join(folder, 'rows', readdirSync(join(folder, 'rows'), { recursive: true, encoding: 'utf8' }).find((path) => /\/public\.rows-.*\.layer$/.test(path))!))
    new PageRebuilder(parquet).rebuild(() => {})
    expect(() => new PageRebuilder(otherOffset(parquet)).rebuild(() => {})).toThrow(/lake.page-crc/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}))

/** Of the last file of the table's layers. */
async function lanesOf(place: string): Promise<Partial<LaneCounts> | undefined> {
  const lake = await Lake.open({ store: await openObjectStore(place), clock: systemClock, random: systemRandom })
  let lanes: Partial<LaneCounts> | undefined
  await (await Snapshot.open(lake, 'main')).scan('layers', (key, value) => {
    const { info, layers } = parseStateRelation(key, value)
    if (info.name === 'rows') lanes = layers.at(-1)!.files.at(-1)!.lanes
  })
  return lanes
}

/** Writes into each plain header of a composite value what 15.20 and 17.12 write: halves of an LSN, an impossible offset, both bits of a settled xmin. */
function withVersions(path: string, pages = Infinity): number {
  let changed = 0
  const found = readFileSync(path).toString('latin1')
  const text = found.slice(0, pages * 8192).replaceAll(/\xff{4}([^]{4})\xff{4}\0\0([^]{3})([\0-\x03])/g, (_, type: string, shape: string, infomask: string) => {
    changed++
    return `\x01\0\0\0${type}\xb3\x74\xd8\x48\xfc\xff${shape}${String.fromCharCode(infomask.charCodeAt(0) | 0x0c)}`
  })
  const bytes = Buffer.from(text + found.slice(text.length), 'latin1')
  for (let block = 0; block * 8192 < bytes.length; block++) {
    const page = bytes.subarray(block * 8192, (block + 1) * 8192)
    if (page.readUInt16LE(8) !== 0) setPageChecksum(page, block)
  }
  writeFileSync(path, bytes)
  return changed
}

function relationPath(pgdata: string, name: string): string {
  return join(pgdata, listHeapRelations(openCluster(pgdata), ['postgres']).relations.find((relation) => relation.name === name)!.file)
}

/** The file with another offset of t_ctid predicted in its footer, whose own checksum is right. */
function otherOffset(parquet: Uint8Array): Uint8Array {
  const text = Buffer.from(parquet).toString('latin1')
  const [whole, json] = /\{"crc32c":"[0-9a-f]{8}",("format":2,.*?"compressor":"[^"]*".*?\})(?=[^\x20-\x7e])/s.exec(text)!
  const changed = `{${json!.replace('"offset":65532', '"offset":65533')}`
  expect(changed).not.toBe(`{${json!}`)
  const sum = crc32c(Buffer.from(changed, 'latin1')).toString(16).padStart(8, '0')
  return Buffer.from(text.replace(whole, () => `{"crc32c":"${sum}",${changed.slice(1)}`), 'latin1')
}
