/** Full-page images whose pages are known: VACUUM FULL writes every page of the new file as one. */
import type { WalPosition } from '../../src/common/ids.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { restoreImage } from '../../src/wal/blockimage.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import type { BlockReference } from '../../src/wal/record.ts'
import type { Session } from './oracle.ts'
import { lsnNow, readerOf, type Wal, walNow } from './walfiles.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'

/** LSN and checksum: the image has the old ones. */
export const PAGE_START = 10

export interface ImageCase {
  wal: Wal
  relNumber: number
  /** LSN before the images. */
  from: WalPosition
  /** The file as the server wrote it. */
  pages: Uint8Array
}

/** @param blocks how many pages, about */
export async function makeImages(cluster: PostgresServer, sql: Session, compression: string, blocks: number): Promise<ImageCase> {
  await sql.exec(`SET wal_compression = '${compression}'`)
  // Pages that compress well, a little, and not at all; the last one has a large hole.
  await sql.exec(`DROP TABLE IF EXISTS images; CREATE TABLE images (i int, v text);
    INSERT INTO images SELECT i, CASE i % 3 WHEN 0 THEN repeat('abc', 60) WHEN 1 THEN md5(i::text) ELSE repeat(md5(i::text), 5) END
    FROM generate_series(1, ${blocks * 55}) i;
    ALTER TABLE images ALTER v SET STORAGE EXTERNAL`)
  await sql.exec('CHECKPOINT')
  const from = await lsnNow(sql)
  await sql.exec('VACUUM FULL images')
  const wal = await walNow(cluster, sql)
  await sql.exec('CHECKPOINT')
  const relNumber = Number(await sql.value("SELECT pg_relation_filenode('images')"))
  const hex = (await sql.value("SELECT pg_read_binary_file(pg_relation_filepath('images'))"))!
  return { wal, relNumber, from, pages: Buffer.from(hex.slice(2), 'hex') }
}

/** All images of the relation's main fork from `from` on; `take` gets the page, which is used again. */
export function forEachImage(wal: Wal, from: WalPosition, relNumber: number, take: (block: BlockReference, page: Uint8Array, lsn: WalPosition) => void): void {
  const reader = readerOf(wal, from)
  reader.feed(wal.bytes.subarray(from - from % 8192 - wal.start))
  const page = new Uint8Array(BLOCK_SIZE)
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    for (const block of record.blocks.slice(0, record.blockCount)) {
      if (!block.hasImage || block.relNumber !== relNumber || block.fork !== MAIN_FORK) continue
      page.fill(0xee)
      restoreImage(record, block, page)
      take(block, page, record.startLsn)
    }
  }
}
