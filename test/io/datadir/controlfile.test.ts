/** Each member of pg_control that says how a server was built: the value that is read, and what is said of another. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hexDecode } from '../../../src/common/bytes.ts'
import { crc32c } from '../../../src/common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../../../src/common/errors.ts'
import { parsePgMajor } from '../../../src/common/pgversion.ts'
import { parseControlFile } from '../../../src/catalog/controlfile.ts'
import { readManifest } from '../../../src/jobs/lake.ts'
import { transcode, withFolder } from '../../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../../support/oracle.ts'

/** What PGlite 0.5.17 (WebAssembly, Postgres 18.7) wrote when it was closed. */
const PGLITE = hexDecode(
  '2a80678b0db80c6b080700003300120c01000000000000001db80c6b00000000a8c5770100000000a8c5770100000000010000000100000001000000' +
  '01000000f102000000000000134000000100000000000000e8020000010000000100000001000000000000001db80c6b000000000000000000000000' +
  '0000000000000000e8030000000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000' +
  '64000000000000000a000000000000004000000000000000080000000000000087d63241002000000000020000200000000000014000000020000000' +
  'cc0700000008000000000000010000000157bb3155c383aa637830d9759e2e8f57b4026cad85c9cf97671058300f87ef940000005a429e2c')
const CRC_AT = 292

/** What initdb of Postgres 19 rc1 wrote, after a start and a stop. */
const PG_19 = hexDecode(
  'ea8f881ece0e0e6b710700008d95130c0100000000000000cf0e0e6b0000000098ff74010000000098ff740100000000010000000100000001000000' +
  '0100000000000000000000009602000000000000aa3500000100000001000000000000008e020000010000000100000001000000cf0e0e6b00000000' +
  '00000000000000000000000000000000e803000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '010000000000000064000000080000000a000000000000008000000000000000080000000000000087d6324100200000000002002000000000200000' +
  '000000014000000020000000cc070000000800000100000001000000010000000136c356790c76f3be39c1778f108f34452e2c50ff9b78ddc371116d' +
  '78d8644b730000000d045b96')
const CRC_AT_19 = 308

function changedTo(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  const view = new DataView(copy.buffer)
  view.setUint32(at, value, true)
  view.setUint32(CRC_AT_19, crc32c(copy, 0, CRC_AT_19), true)
  return copy
}

function changed(change: (view: DataView) => void): Uint8Array {
  const copy = PGLITE.slice()
  const view = new DataView(copy.buffer)
  change(view)
  view.setUint32(CRC_AT, crc32c(copy, 0, CRC_AT), true)
  return copy
}

describe('pg_control', () => {
  test('of PGlite: 32 bits, and values as on 64', () => {
    expect(PGLITE[248]).toBe(0)
    expect(parseControlFile(PGLITE, 18)).toMatchObject({ state: 'shut down', catalogVersion: 202506291, walSegmentSize: 1 << 24, checksums: true })
  })

  test.each([
    ['maxAlign', 204, 4], ['blcksz', 216, 16384], ['relseg_size', 220, 65536], ['xlog_blcksz', 224, 16384], ['nameDataLen', 232, 128],
    ['indexMaxKeys', 236, 64], ['toast_max_chunk_size', 240, 2000], ['loblksize', 244, 4096],
  ] as const)('%s has one value', (name, at, value) => {
    expect(() => parseControlFile(changed((view) => view.setUint32(at, value, true)), 18)).toThrow(UnsupportedError)
    expect(() => parseControlFile(changed((view) => view.setUint32(at, value, true)), 18)).toThrow(new RegExp(`${name} is ${value}, ltap reads \\d+`))
  })

  test.each([['float8ByVal', 248], ['default_char_signedness', 256]] as const)('%s has two', (name, at) => {
    for (const value of [0, 1]) expect(() => parseControlFile(changed((view) => view.setUint8(at, value)), 18)).not.toThrow()
    expect(() => parseControlFile(changed((view) => view.setUint8(at, 2)), 18)).toThrow(new RegExp(`${name} is 2, ltap reads 0 and 1`))
  })

  test('floatFormat, and segments of WAL', () => {
    expect(() => parseControlFile(changed((view) => view.setFloat64(208, 1234567, false)), 18)).toThrow(/double precision in another format/)
    for (const size of [1 << 20, 1 << 26, 1 << 30]) {
      expect(parseControlFile(changed((view) => view.setUint32(228, size, true)), 18).walSegmentSize).toBe(size)
    }
    for (const size of [0, 8192, 3 << 20, 2 ** 31]) {
      expect(() => parseControlFile(changed((view) => view.setUint32(228, size, true)), 18)).toThrow(CorruptionError)
    }
  })
})

describe('pg_control of 19', () => {
  test('is read', () => {
    expect(parseControlFile(PG_19, 19)).toMatchObject({
      state: 'shut down', controlVersion: 1905, catalogVersion: 202610061, walSegmentSize: 1 << 24, checksums: true, nextXid: { low: 662, epoch: 0 },
      nextOid: 13738, nextMulti: 1, nextMultiOffset: 1, oldestXid: 654, oldestMulti: 1, walLevel: 1, checkpoint: 0x174ff98n, redo: 0x174ff98n,
    })
  })

  test('of another version than rc1 is refused with both numbers', () => {
    expect(() => parseControlFile(changedTo(PG_19, 8, 1902), 19)).toThrow(/pg_control_version is 1902, that of Postgres 19 rc1, which ltap reads, is 1905/)
    expect(() => parseControlFile(changedTo(PG_19, 12, 202607272), 19)).toThrow(/catalog_version_no is 202607272, .* is 202610061: files of a beta/)
    expect(() => parseControlFile(PG_19, 18)).toThrow(/pg_control_version is 1905, that of Postgres 18, which ltap reads, is 1800/)
  })

  test('numbers of members have 64 bits; those beyond 2^53 and SLRU segments of another size are refused', () => {
    expect(parseControlFile(changedTo(PG_19, 92, 5), 19).nextMultiOffset).toBe(5 * 2 ** 32 + 1)
    expect(() => parseControlFile(changedTo(PG_19, 92, 1 << 21), 19)).toThrow(/nextMultiOffset is 9007199254740993, which no server writes/)
    expect(() => parseControlFile(changedTo(PG_19, 232, 64), 19)).toThrow(/slru_pages_per_segment is 64, ltap reads 32/)
  })
})

test.each(['20', '13', '19beta3', ''])('PG_VERSION %s is refused', (text) => {
  expect(() => parsePgMajor(text)).toThrow(/ltap reads 14 to 19/)
})

describe.each(majors().slice(-1))('a server of 32 bits, Postgres %i', (major) => {
  test('gives the same files', async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      await sql.script(`create table t (a int8, b float8, c timestamptz, d float8[]);
        insert into t select i, i / 3.0, now(), array[i, 1.5] from generate_series(1, 500) i;
        alter table t add column e int8 default 1 << 40`)
      await closeSessions(server)
      await server.stop()
      const files = async (name: string): Promise<unknown> => {
        await transcode(server.dataDir, join(folder, name), { filter: { databases: ['postgres'], tables: ['public.t', 'pg_catalog.pg_statistic'] } })
        return readManifest(join(folder, name)).relations
      }
      const expected = await files('64')
      const path = join(server.dataDir, 'global/pg_control')
      const control = new Uint8Array(readFileSync(path))
      control[248] = 0
      const crcAt = major >= 18 ? CRC_AT : 288
      new DataView(control.buffer).setUint32(crcAt, crc32c(control, 0, crcAt), true)
      writeFileSync(path, control)
      expect(await files('32')).toEqual(expected)
    }))
  })
})
