/** Where a clean data directory is in the WAL: pg_control says where its checkpoint begins, a lake wants to know where it ends. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { walPosition } from '../../../src/common/ids.ts'
import { openConsistentDirectory } from '../../../src/io/datadir/consistentdirectory.ts'
import { openWal } from '../../../src/io/walsource/walsource.ts'
import { recordEnd } from '../../../src/wal/pageheader.ts'
import { RM_XLOG_ID } from '../../../src/wal/rmgr.ts'
import { XLOG_CHECKPOINT_SHUTDOWN, XLOG_SWITCH } from '../../../src/wal/xlog.ts'
import { majors, withCluster } from '../../support/oracle.ts'

describe.each(majors())('Postgres %i', (major) => {
  const options = { settings: { wal_keep_size: '1GB' } }

  test('a clean data directory is where its last checkpoint ends, as the WAL has it', () => withCluster(major, options, async (cluster, sql) => {
    // Records of every length, across pages too.
    await sql.exec("CREATE TABLE t AS SELECT i, repeat('x', i % 3000) FROM generate_series(1, 5000) i; CHECKPOINT; UPDATE t SET i = -i; SELECT pg_switch_wal()")
    await cluster.stop()
    const { lsn, control } = openConsistentDirectory(cluster.dataDir)
    const wal = openWal(join(cluster.dataDir, 'pg_wal'))
    let records = 0
    let last: [start: number, isCheckpoint: boolean, end: number] | undefined
    for (let record = wal.read(); record !== undefined; record = wal.read()) {
      const { rmgr, op, startLsn, endLsn, length } = record
      last = [startLsn, rmgr === RM_XLOG_ID && op === XLOG_CHECKPOINT_SHUTDOWN, endLsn]
      if (rmgr === RM_XLOG_ID && op === XLOG_SWITCH) continue
      expect(recordEnd(startLsn, length, wal.segmentSize)).toBe(endLsn)
      records++
    }
    wal.close()
    expect(last).toEqual([walPosition(control.checkpoint), true, walPosition(lsn)])
    expect(records).toBeGreaterThan(10_000)
  }))
})
