/** Descriptors of real tables and catalogs of a real server as a forger writes them: nothing runs, each is refused by name or leads to what is right. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { DESCRIPTOR_KEY } from '../../src/columnar/filedescriptor.ts'
import { readFooter } from '../../src/parquet/footer.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags } from '../../src/page/linepointer.ts'
import { ltap } from '../cli/streams.ts'
import { tupleData, whilePage } from '../support/badinput.ts'
import { CANARIES, descriptorOf, forgeFile, withDescriptor } from '../support/forge.ts'
import { transcode, withFolder } from '../support/lakes.ts'
import { closeSessions, majors, type Session, withCluster } from '../support/oracle.ts'
import { amount } from '../support/scope.ts'
import { loadZoo } from '../support/zoo.ts'

/** Canaries that run, and one of each other kind. */
const QUICK_CANARIES = [...CANARIES.slice(0, 3), '[]', '{}', '-1', '1e300', 'null']

test('the zoo of types, in files that code is generated for', async () => {
  const major = majors().at(-1)!
  await withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await loadZoo(major, sql)
    await sql.script(`CREATE TABLE forged (b bool, n numeric(10, 2), i int, d date, t text, m numeric);
      INSERT INTO forged SELECT i % 2 = 0, i / 7.0, i, '2020-01-01', 'x', i * 1.5 FROM generate_series(1, 12000) i;
      INSERT INTO zoo.mixed_few SELECT f.* FROM zoo.mixed_few f, generate_series(1, 20)`)
    const places = await catalogPlaces(sql)
    await closeSessions(cluster)
    await cluster.stop()
    const lake = join(folder, 'lake')
    const manifest = await transcode(cluster.dataDir, lake)

    for (const name of amount({ quick: ['forged'], sample: ['forged', 'mixed_few'], all: ['forged', 'mixed_few', 'mixed_half_null', 'mixed_no_null', 'pg_type', 'pg_attribute'] })) {
      const file = fileOf(manifest, name)
      if (['forged', 'mixed_few'].includes(name)) expect(file.blockCount, name).toBeGreaterThanOrEqual(64)
      const report = forgeFile(new Uint8Array(readFileSync(join(lake, file.path))), amount({ quick: QUICK_CANARIES, sample: QUICK_CANARIES, all: CANARIES }))
      expect(report.faults, name).toEqual([])
      expect(report.mutants, name).toBeGreaterThan(400)
    }
    await verbs(lake, manifest, cluster.dataDir, join(folder, 'owned'))
    await catalogs(cluster.dataDir, places)
  }))
})

function fileOf(manifest: Manifest, name: string): Manifest['relations'][0]['files'][0] {
  return manifest.relations.find((relation) => relation.name === name && relation.database === 'postgres')!.files[0]!
}

/** verify and rebuild, in threads, of files with code in the two members that once were pasted into generated code. */
async function verbs(lake: string, manifest: Manifest, dataDir: string, owned: string): Promise<void> {
  const { path } = fileOf(manifest, 'forged')
  const original = new Uint8Array(readFileSync(join(lake, path)))
  const code = `(process.getBuiltinModule('node:fs').writeFileSync(${JSON.stringify(owned)},''),1)`
  for (const [member, forge] of [
    ['relation.desc.attributes[0].len', (d: Forged) => (d.relation.desc.attributes[0]!.len = code)],
    ['relation.desc.attributes[0].len', (d: Forged) => (d.relation.desc.attributes[0]!.len = [code])],
    ['displayScales["2"]', (d: Forged) => (d.displayScales['2'] = code)],
    ['displayScales["2"]', (d: Forged) => (d.displayScales['2'] = { toString: code })],
  ] as const) {
    const descriptor = JSON.parse(descriptorOf(original)) as Forged
    forge(descriptor)
    const bytes = withDescriptor(original, JSON.stringify(descriptor))
    expect(readFooter(bytes).metadata.get(DESCRIPTOR_KEY)).toContain('getBuiltinModule')
    writeFileSync(join(lake, path), bytes)
    const changed = structuredClone(manifest)
    Object.assign(fileOf(changed, 'forged'), { bytes: bytes.length, crc32: crc32(bytes) })
    writeFileSync(join(lake, 'ltap.json'), JSON.stringify(changed))
    const verified = await ltap(['verify', '--lake', lake, '--workers', '1'])
    expect({ code: verified.code, stdout: verified.stdout }).toEqual({ code: 1, stdout: expect.stringContaining(`${member} is`) as string })
    const rebuilt = await ltap(['rebuild', '--lake', lake, '--pgdata', dataDir, '--force', '--table', 'public.forged', '--workers', '1'])
    expect({ code: rebuilt.code, stderr: rebuilt.stderr }).toEqual({ code: 3, stderr: expect.stringContaining(`${member} is`) as string })
    expect(existsSync(owned), 'code of the file ran').toBe(false)
  }
  writeFileSync(join(lake, path), original)
  writeFileSync(join(lake, 'ltap.json'), JSON.stringify(manifest))
  expect((await ltap(['rebuild', '--lake', lake, '--pgdata', dataDir, '--force'])).code).toBe(0)
}

interface Forged {
  relation: { desc: { attributes: { len: unknown }[] } }
  displayScales: Record<string, unknown>
}

interface CatalogPlaces {
  pgType: string
  pgAttribute: string
  pgClass: string
  table: number
}

async function catalogPlaces(sql: Session): Promise<CatalogPlaces> {
  const path = async (name: string): Promise<string> => (await sql.value(`SELECT pg_relation_filepath('${name}')`))!
  await sql.exec('CHECKPOINT')
  return { pgType: await path('pg_type'), pgAttribute: await path('pg_attribute'), pgClass: await path('pg_class'), table: Number(await sql.value("SELECT 'forged'::regclass::oid")) }
}

/** Catalog rows that contradict each other, on pages with right checksums. Offsets: pg_type oid 0, typname 4, typlen 76; pg_attribute attrelid 0, … */
async function catalogs(dataDir: string, { pgType, pgAttribute, pgClass, table }: CatalogPlaces): Promise<void> {
  const cases: [file: string, isRow: (data: DataView) => boolean, change: (data: DataView) => void, message: RegExp][] = [
    [pgType, (row) => row.getUint32(0, true) === 23, (row) => setName(row, 4, 'text'), /catalog.type: .*oid is 23, but pg_catalog.text has 25/],
    [pgType, (row) => row.getUint32(0, true) === 25, (row) => setName(row, 4, 'int4'), /catalog.type: .*oid is 25, but pg_catalog.int4 has 23/],
    [pgType, (row) => row.getUint32(0, true) === 23, (row) => row.setInt16(76, 8, true), /catalog.type: .*len is 8, but pg_catalog.int4 has 4/],
    [pgType, (row) => row.getUint32(0, true) === 23, (row) => row.setInt16(76, -1, true), /catalog.type: .*len is -1, but pg_catalog.int4 has 4/],
    [pgAttribute, (row) => row.getUint32(0, true) === table && name(row, 4) === 'i', (row) => row.setUint32(68, 99999, true), /catalog.type: pg_type has no type 99999/],
    [pgAttribute, (row) => row.getUint32(0, true) === table && name(row, 4) === 'i', (row) => row.setUint32(68, 25, true), /catalog.type: .*attributes\[2\].len is 4, but its type has -1/],
    [pgClass, (row) => row.getUint32(0, true) === table, (row) => setNatts(row), /catalog.attributes|relnatts/],
  ]
  for (const [file, isRow, change, message] of cases) {
    const path = join(dataDir, file)
    const [block, offset] = findRow(readFileSync(path), isRow)
    await whilePage(path, block, (page) => change(new DataView(page.buffer, page.byteOffset + tupleData(page, offset))), async () => {
      const ran = await ltap(['inspect', 'table', dataDir, 'public.forged', '--database', 'postgres', '--limit', '1'])
      expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 3, stderr: expect.stringMatching(message) as string })
    })
  }
}

/** The last one: of several versions the newest. */
function findRow(bytes: Buffer, isRow: (data: DataView) => boolean): [block: number, offset: number] {
  let found: [block: number, offset: number] | undefined
  for (let block = 0; block < bytes.length / 8192; block++) {
    const page = new Uint8Array(bytes.subarray(block * 8192, (block + 1) * 8192))
    for (let offset = 1; offset <= linePointerCount(page); offset++) {
      if (lpFlags(linePointer(page, offset)) !== LP_NORMAL) continue
      if (isRow(new DataView(page.buffer, tupleData(page, offset)))) found = [block, offset]
    }
  }
  if (!found) throw new Error('no such row')
  return found
}

function name(row: DataView, at: number): string {
  return Buffer.from(row.buffer, row.byteOffset + at, 64).toString('latin1').replace(/\0.*$/s, '')
}

function setName(row: DataView, at: number, text: string): void {
  for (let i = 0; i < 64; i++) row.setUint8(at + i, text.charCodeAt(i) || 0)
}

/** relnatts follows relpersistence 'p' and relkind 'r'. */
function setNatts(row: DataView): void {
  for (let at = 100; at < 160; at++) {
    if (row.getUint8(at) !== 0x70 || row.getUint8(at + 1) !== 0x72 || row.getInt16(at + 2, true) !== 6) continue
    row.setInt16(at + 2, 1599, true)
    return
  }
  throw new Error('no relnatts')
}
