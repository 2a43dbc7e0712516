import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { seed } from '../../src/io/seed/seed.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import { Redo } from '../../src/redo/redo.ts'
import { checkPageChecksum } from '../../src/page/checksum.ts'
import { loadDataDir } from '../support/memorystore.ts'
import { closeSessions, fewerMajors, withCluster } from '../support/oracle.ts'
import { progressAt } from '../support/replayprogress.ts'

vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

const FLUSH_EVERY = 2000
const FORKS = [0, 2]

/** Redo itself is compared with real recovery elsewhere; here the store must not change what redo does, however small its memory is. */
test.each(fewerMajors('majors of redo through a page store'))('redo through a small page store that is opened again and again equals redo in memory, Postgres %i', async (major) => {
  const out = mkdtempSync(join(tmpdir(), 'ltap-pagestoreredo-'))
  try {
    await withCluster(major, { settings: { full_page_writes: 'off' } }, async (cluster, sql) => {
      await sql.script(`
        CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i; VACUUM t; CHECKPOINT;
        UPDATE t SET v = v || 'u' WHERE id % 7 = 0; DELETE FROM t WHERE id > 15000; VACUUM t;
        CREATE TABLE u AS SELECT * FROM t; TRUNCATE t; DROP TABLE u; CREATE DATABASE other;
        CREATE SEQUENCE s; SELECT nextval('s'); INSERT INTO t SELECT i, 'y' FROM generate_series(1, 3000) i; VACUUM FULL pg_class`)
      await closeSessions(cluster)
      await cluster.kill()
      const seeded = await seed(cluster.dataDir, out)
      const { start, timeline, control } = seeded
      createPageStore(out, seeded.identity, progressAt(start, timeline), seeded.indexes)
      const settings = { major: seeded.major, checksums: control.checksums, walLogHints: control.walLogHints }
      const memory = loadDataDir(cluster.dataDir)
      const inMemory = new Redo(memory, settings)
      let store = openPageStore(out, { cacheBytes: 256 * 8192 })
      let onDisk = new Redo(store, settings)
      let records = 0
      const source = openWal(seeded.walDirectory!, { start, major: seeded.major, timeline })
      for (let record = source.read(); record !== undefined; record = source.read()) {
        inMemory.apply(record)
        store.beginRecord(record.endLsn)
        onDisk.apply(record)
        if (++records % FLUSH_EVERY !== 0 && !store.needsFlush) continue
        store.flush(progressAt(record.endLsn, timeline))
        if (records % FLUSH_EVERY !== 0) continue
        store.close()
        store = openPageStore(out, { cacheBytes: 256 * 8192 })
        onDisk = new Redo(store, settings)
      }
      source.close()
      const { checksums } = control
      store.flush({ ...store.flushed, lsn: source.position })
      let pages = 0
      for (const { forks, ...locator } of memory.relations.values()) {
        for (const fork of FORKS) {
          const expected = forks[fork]?.pages ?? []
          if (!store.exists(locator, fork)) {
            expect(expected).toEqual([])
            continue
          }
          const found = store.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)!
          expect(found.blocks, JSON.stringify({ ...locator, fork })).toBe(expected.length)
          for (const [block, page] of expected.entries()) {
            const { bytes } = found.page(block)!
            const same = Buffer.compare(bytes.subarray(0, 8), page.bytes.subarray(0, 8)) === 0 && Buffer.compare(bytes.subarray(10), page.bytes.subarray(10)) === 0
            expect(same, JSON.stringify({ ...locator, fork, block })).toBe(true)
            // What redo leaves in pd_checksum means nothing; the store writes the page's own.
            if (checksums) checkPageChecksum(bytes, block)
            store.endRecord()
            pages++
          }
        }
      }
      store.close()
      expect(pages).toBeGreaterThan(1000)
      expect(records).toBeGreaterThan(FLUSH_EVERY * 3)
    })
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
})
