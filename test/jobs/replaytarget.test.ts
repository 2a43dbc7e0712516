/** Targets as a server says them, where the WAL fills a page to its last byte. */
import { mkdtempSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { formatWalPosition, parseLsn, walPosition, type WalPosition } from '../../src/common/ids.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { SIZE_OF_LONG_PAGE_HEADER, SIZE_OF_SHORT_PAGE_HEADER, WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { lsnNow, SEGMENT_SIZE, WAL_CLUSTER } from '../support/walfiles.ts'

/** Writes until the WAL ends with a page, of a segment or in it. @returns pg_current_wal_insert_lsn: behind the next page's header */
async function fillPage(sql: Session, unit: number): Promise<WalPosition> {
  const emit = async (length: number): Promise<WalPosition> => {
    await sql.exec(`SELECT pg_logical_emit_message(false, 'm', repeat('x', ${length}))`)
    return lsnNow(sql)
  }
  let before = await emit(8)
  // What a record takes besides the message; one that crosses a page has its header, too.
  const overhead = Math.min(...[await emit(800), await emit(800)].map((at) => { const took = at - before; before = at; return took })) - 800
  for (let attempt = 0; attempt < 50; attempt++) {
    const room = unit - (before % unit)
    before = await emit(room > 4000 ? Math.min(room - 3000, 8 * WAL_PAGE_SIZE) : room > overhead + 300 ? room - overhead : 300)
    const header = before % SEGMENT_SIZE < WAL_PAGE_SIZE ? SIZE_OF_LONG_PAGE_HEADER : SIZE_OF_SHORT_PAGE_HEADER
    if (before % unit === header) return before
  }
  throw new Error(`no page was filled; the WAL ends at ${formatWalPosition(before)}`)
}

test.each(majors())('WAL of Postgres %i that ends with a page ends where the server says', async (major) => {
  await withCluster(major, WAL_CLUSTER, async (cluster) => {
    await closeSessions(cluster)
    await cluster.stop()
    const base = join(dirname(cluster.dataDir), 'base')
    await cluster.copyDataDir(base)
    await cluster.start()
    const sql = await connect(cluster)
    for (const unit of [WAL_PAGE_SIZE, SEGMENT_SIZE]) {
      const lsn = await fillPage(sql, unit)
      const out = mkdtempSync(join(dirname(base), 'out-'))
      const wal = join(cluster.dataDir, 'pg_wal')
      const pageStart = lsn - (lsn % WAL_PAGE_SIZE)
      // Nothing more is written; the WAL writer flushes full pages by itself.
      await vi.waitUntil(async () => walPosition(parseLsn((await sql.value('SELECT pg_current_wal_flush_lsn()'))!)!) >= pageStart, { timeout: 240_000, interval: 50 })
      const report = await replayCluster({ source: base, wal, out: join(out, 'replayed'), target: { lsn } })
      expect(report.lsn).toBe(formatWalPosition(pageStart))
      // It is there already, said either way.
      for (const again of [lsn, pageStart]) {
        expect(await replayCluster({ source: base, wal, out: join(out, 'replayed'), target: { lsn: again } })).toMatchObject({ resumed: true, records: 0 })
      }
      await expect(replayCluster({ source: base, wal, out: join(out, 'replayed'), target: { lsn: pageStart - 8 } })).rejects.toThrow(/replay.past/)
    }
  })
})
