/** Generic WAL of a real server, from a bloom index: images and deltas alone give the server's pages, byte for byte. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readU16 } from '../../src/common/bytes.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import { PD_CHECKSUM, PD_LOWER, PD_UPPER } from '../../src/page/header.ts'
import { Redo } from '../../src/redo/redo.ts'
import type { RedoFork } from '../../src/redo/store.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { RM_GENERIC_ID } from '../../src/wal/rmgr.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { readerOf, type Wal, walNow, WAL_CLUSTER } from '../support/walfiles.ts'

/** Deltas that add tuples, take tuples away (a vacuum makes bytes part of the hole), and change the metapage. */
const WORKLOAD = `
  create extension bloom; create table bl (a int, b int); create index bl_ab on bl using bloom (a, b) with (length = 320);
  insert into bl select i, i from generate_series(1, 500) i;
  checkpoint;
  insert into bl select i, i from generate_series(501, 2500) i;
  delete from bl where a % 3 = 0; vacuum bl;
  insert into bl select i, -i from generate_series(1, 400) i;
  delete from bl where b < 0; vacuum bl`

/** Keeps the pages of indexes: what redo leaves out for its own purposes is the only generic WAL that a bare server writes. */
class IndexKeeper extends MemoryReplayStore {
  override disown(): void {
    // The index stays.
  }
}

interface Redone {
  pages: Uint8Array[]
  deltas: number
  images: number
}

/** @param keepsHole a planted fault: a delta leaves the bytes between pd_lower and pd_upper as they were */
function redoIndex(wal: Wal, relNumber: number, keepsHole = false): Redone {
  const store = new IndexKeeper(wal.major)
  const redo = new Redo(store, { major: wal.major, checksums: false, walLogHints: false })
  const reader = readerOf(wal)
  reader.feed(wal.bytes.subarray(0, wal.end - wal.start))
  let [deltas, images] = [0, 0]
  let fork: RedoFork | undefined
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    const block = record.block(0)
    if (record.rmgr !== RM_GENERIC_ID || block?.relNumber !== relNumber) continue
    fork ??= store.fork(block.spcOid, block.dbOid, relNumber, MAIN_FORK)!
    const before = fork.page(block.block)?.bytes.slice()
    redo.apply(record)
    for (const { applyImage } of record.blocks.slice(0, record.blockCount)) {
      if (applyImage) images++
      else deltas++
    }
    const { bytes } = fork.page(block.block)!
    if (keepsHole && !block.applyImage) bytes.set(before!.subarray(readU16(bytes, PD_LOWER), readU16(bytes, PD_UPPER)), readU16(bytes, PD_LOWER))
  }
  const pages = Array.from({ length: fork?.blocks ?? 0 }, (_, i) => withoutChecksum(fork!.page(i)!.bytes))
  return { pages, deltas, images }
}

function withoutChecksum(page: Uint8Array): Uint8Array {
  const copy = page.slice()
  copy.fill(0, PD_CHECKSUM, PD_CHECKSUM + 2)
  return copy
}

describe.each(majors())('generic WAL, Postgres %i', (major) => {
  test('redo of images and deltas makes the pages of a bloom index', async () => {
    await withCluster(major, WAL_CLUSTER, async (server, sql) => {
      await sql.script(WORKLOAD)
      const path = await sql.value("select pg_relation_filepath('bl_ab')")
      const relNumber = Number(await sql.value("select pg_relation_filenode('bl_ab')"))
      const wal = await walNow(server, sql)
      await closeSessions(server)
      await server.stop()
      const file = new Uint8Array(readFileSync(join(server.dataDir, path!)))
      const expected = Array.from({ length: file.length / BLOCK_SIZE }, (_, i) => withoutChecksum(file.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE)))

      const { pages, deltas, images } = redoIndex(wal, relNumber)
      expect(deltas).toBeGreaterThan(2000)
      expect(images).toBeGreaterThan(expected.length)
      expect(expected.length).toBeGreaterThan(10)
      expect(pages).toEqual(expected)

      // Planted: the tuples that a vacuum took away are still there.
      expect(redoIndex(wal, relNumber, true).pages).not.toEqual(expected)
    })
  })
})
