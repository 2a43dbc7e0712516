/** Each member of pg_control that says how a server was built: the value that is read, and what is said of another. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hexDecode } from '../../../src/common/bytes.ts'
import { crc32c } from '../../../src/common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../../../src/common/errors.ts'
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
