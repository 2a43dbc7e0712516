import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatWalPosition } from '../../src/common/ids.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { restoreImage } from '../../src/wal/blockimage.ts'
import { BlockReference, IMAGE_LZ4, IMAGE_PGLZ, IMAGE_PLAIN, IMAGE_ZSTD, type ImageCompression, WalRecord } from '../../src/wal/record.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { majors, withCluster } from '../support/oracle.ts'
import { systemPostgres } from '../support/systempostgres.ts'
import { forEachImage, type ImageCase, makeImages, PAGE_START } from '../support/walimages.ts'
import { WAL_CLUSTER } from '../support/walfiles.ts'

const COMPRESSIONS: Readonly<Record<string, ImageCompression>> = { off: IMAGE_PLAIN, on: IMAGE_PGLZ, pglz: IMAGE_PGLZ, lz4: IMAGE_LZ4, zstd: IMAGE_ZSTD }
const FIXTURES = join(import.meta.dirname, '../../fixtures/wal')

/** Every page of the file comes back from its image. @returns how many were compressed as wanted */
function checkImages({ wal, from, relNumber, pages }: ImageCase, compression: ImageCompression): number {
  const seen = new Set<number>()
  let compressed = 0
  forEachImage(wal, from, relNumber, (block, page) => {
    const expected = pages.subarray(block.block * BLOCK_SIZE, (block.block + 1) * BLOCK_SIZE)
    expect(Buffer.compare(page.subarray(PAGE_START), expected.subarray(PAGE_START)), `block ${block.block}`).toBe(0)
    seen.add(block.block)
    if (block.imageCompression === compression) compressed++
    else expect(block.imageCompression).toBe(IMAGE_PLAIN)
  })
  expect(seen.size).toBe(pages.length / BLOCK_SIZE)
  return compressed
}

describe.each(majors())('images of Postgres %i', major => {
  test('are the pages that the server wrote', () => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    for (const setting of ['off', 'on']) {
      const images = await makeImages(cluster, sql, setting, 20)
      expect(checkImages(images, COMPRESSIONS[setting]!)).toBeGreaterThan(10)
      if (major >= 16) await compareWithWalInspect(images)
    }

    /** pg_walinspect restores images, too: of all relations, catalogs and indexes among them. */
    async function compareWithWalInspect({ wal, from }: ImageCase): Promise<void> {
      await sql.exec('CREATE EXTENSION IF NOT EXISTS pg_walinspect')
      const rows = await sql.rows(`SELECT relfilenode::text, relblocknumber::text, md5(block_fpi_data) FROM pg_get_wal_block_info($1, $2)
        WHERE block_fpi_data IS NOT NULL AND relforknumber = 0 ORDER BY start_lsn, block_id`, [formatWalPosition(from), formatWalPosition(wal.end)])
      const ours: string[] = []
      for (const relNumber of new Set(rows.map(([name]) => Number(name)))) {
        forEachImage(wal, from, relNumber, (block, page) => ours.push(`${relNumber} ${block.block} ${md5(page)}`))
      }
      expect(ours.sort()).toEqual(rows.map(row => row.join(' ')).sort())
      expect(ours.length).toBeGreaterThan(20)
    }
  }))
})

const binDir = systemPostgres()
test.runIf(binDir !== undefined).each(['pglz', 'lz4', 'zstd'])('images of a server with %s', setting =>
  withCluster(15, { ...WAL_CLUSTER, binDir: binDir! }, async (cluster, sql) => {
    expect(checkImages(await makeImages(cluster, sql, setting, 100), COMPRESSIONS[setting]!)).toBeGreaterThan(50)
  }))

describe.each(['lz4', 'zstd'])('stored images, %s', setting => {
  const { start, images } = JSON.parse(readFileSync(join(FIXTURES, `images-15-${setting}.json`), 'utf8')) as { start: number; images: Record<string, string> }
  const bytes = readFileSync(join(FIXTURES, `images-15-${setting}.wal`))

  /** @returns hashes of all pages by block; `damage` is done to the compressed image */
  const restore = (damage?: (image: Uint8Array) => void): Record<string, string> => {
    const reader = new WalReader({ major: 15, start, timeline: 1, segmentSize: 1 << 20 })
    reader.feed(new Uint8Array(bytes))
    const found: Record<string, string> = {}
    const page = new Uint8Array(BLOCK_SIZE)
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      const block = record.block(0)
      if (block === undefined || !block.hasImage) continue
      damage?.(record.bytes.subarray(block.imageStart, block.imageStart + block.imageLength))
      const before = page.slice()
      try {
        restoreImage(record, block, page)
      } catch (error) {
        expect(page).toEqual(before)
        throw error
      }
      found[`${block.relNumber}.${block.block}`] ??= createHash('sha256').update(page.subarray(PAGE_START)).digest('hex')
    }
    return found
  }

  test('are the pages that the server wrote', () => {
    expect(Object.keys(images).length).toBeGreaterThan(3)
    expect(restore()).toMatchObject(images)
  })

  test('damaged, are an error or a page, and never half of one', () => {
    for (let at = 0; at < 100; at++) {
      try {
        restore(image => { image[at % image.length] = image[at % image.length]! ^ (1 << at % 8) })
      } catch (error) {
        expect(error).toMatchObject({ name: 'CorruptionError', code: `compression.${setting}` })
        expect(String(error)).toMatch(/lsn .*block|block .*lsn/)
      }
    }
    expect(() => restore(image => image.fill(0xff))).toThrow(/compression/)
    expect(() => restore(image => image.fill(0))).toThrow(/compression/)
  })
})

test('an image that does not fit its page is an error', () => {
  const record = new WalRecord()
  record.bytes = new Uint8Array(9000)
  record.length = 9000
  const block = Object.assign(new BlockReference(), { hasImage: true, imageLength: 8000, holeOffset: 100, holeLength: 192 })
  const page = new Uint8Array(BLOCK_SIZE)
  restoreImage(record, block, page)
  for (const change of [{ hasImage: false }, { holeLength: 191 }, { holeOffset: 8100 }, { imageStart: 2000 }, { holeLength: -1, imageLength: 8193 }]) {
    expect(() => { restoreImage(record, Object.assign(new BlockReference(), block, change), page) }).toThrow(/wal.image/)
  }
  expect(() => { restoreImage(record, block, new Uint8Array(100)) }).toThrow(/^ltap bug: /)
})


function md5(page: Uint8Array): string {
  return createHash('md5').update(page).digest('hex')
}
