/** What records of every kind say, index access methods' too, against pg_walinspect. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { majors, withCluster } from '../support/oracle.ts'
import { compareWithWalinspect } from '../support/walinspect.ts'
import { WAL_TEXT_SETTINGS, writeEveryText } from '../support/waltexts.ts'

/** What the workload must have made on every major: `rmgr/type`, without those that {@link ofMajor} adds. */
const EXPECTED = `
  BRIN/CREATE_INDEX BRIN/DESUMMARIZE BRIN/INSERT BRIN/INSERT+INIT BRIN/REVMAP_EXTEND BRIN/SAMEPAGE_UPDATE BRIN/UPDATE BRIN/UPDATE+INIT
  Btree/DEDUP Btree/DELETE Btree/INSERT_LEAF Btree/INSERT_POST Btree/INSERT_UPPER Btree/MARK_PAGE_HALFDEAD Btree/META_CLEANUP Btree/NEWROOT
  Btree/REUSE_PAGE Btree/SPLIT_L Btree/SPLIT_R Btree/UNLINK_PAGE Btree/UNLINK_PAGE_META Btree/VACUUM
  CLOG/ZEROPAGE CommitTs/ZEROPAGE Database/DROP Generic/Generic
  Gin/CREATE_PTREE Gin/DELETE_LISTPAGE Gin/DELETE_PAGE Gin/INSERT Gin/INSERT_LISTPAGE Gin/SPLIT Gin/UPDATE_META_PAGE Gin/VACUUM_DATA_LEAF_PAGE Gin/VACUUM_PAGE
  Gist/DELETE Gist/PAGE_DELETE Gist/PAGE_REUSE Gist/PAGE_SPLIT Gist/PAGE_UPDATE
  Hash/ADD_OVFL_PAGE Hash/DELETE Hash/INIT_BITMAP_PAGE Hash/INIT_META_PAGE Hash/INSERT Hash/MOVE_PAGE_CONTENTS Hash/SPLIT_ALLOCATE_PAGE Hash/SPLIT_CLEANUP
  Hash/SPLIT_COMPLETE Hash/SPLIT_PAGE Hash/SQUEEZE_PAGE Hash/UPDATE_META_PAGE Hash/VACUUM_ONE_PAGE
  Heap/DELETE Heap/HEAP_CONFIRM Heap/HOT_UPDATE Heap/INPLACE Heap/INSERT Heap/INSERT+INIT Heap/LOCK Heap/TRUNCATE Heap/UPDATE Heap/UPDATE+INIT
  Heap2/LOCK_UPDATED Heap2/MULTI_INSERT Heap2/MULTI_INSERT+INIT Heap2/NEW_CID Heap2/VISIBLE LogicalMessage/MESSAGE MultiXact/CREATE_ID MultiXact/ZERO_MEM_PAGE
  RelMap/UPDATE ReplicationOrigin/DROP ReplicationOrigin/SET
  SPGist/ADD_LEAF SPGist/ADD_NODE SPGist/MOVE_LEAFS SPGist/PICKSPLIT SPGist/SPLIT_TUPLE SPGist/VACUUM_LEAF SPGist/VACUUM_REDIRECT SPGist/VACUUM_ROOT
  Sequence/LOG Standby/INVALIDATIONS Standby/LOCK Standby/RUNNING_XACTS Storage/CREATE Storage/TRUNCATE Tablespace/CREATE Tablespace/DROP
  Transaction/ABORT Transaction/ABORT_PREPARED Transaction/ASSIGNMENT Transaction/COMMIT Transaction/COMMIT_PREPARED Transaction/INVALIDATION
  Transaction/PREPARE XLOG/CHECKPOINT_ONLINE XLOG/FPI XLOG/FPW_CHANGE XLOG/NEXTOID XLOG/RESTORE_POINT XLOG/SWITCH`.trim().split(/\s+/)

function ofMajor(major: number): string[] {
  return [
    ...(major === 14 ? ['Database/CREATE'] : ['Database/CREATE_FILE_COPY', 'Database/CREATE_WAL_LOG']),
    ...(major >= 17 ? ['Heap2/PRUNE_ON_ACCESS', 'Heap2/PRUNE_VACUUM_CLEANUP', 'Heap2/PRUNE_VACUUM_SCAN', 'XLOG/CHECKPOINT_REDO']
      : ['Heap2/FREEZE_PAGE', 'Heap2/PRUNE', 'Heap2/VACUUM']),
  ]
}

test.each(majors())('records of every kind of Postgres %i', async (major) => {
  await withCluster(major, { settings: WAL_TEXT_SETTINGS }, async (cluster, sql) => {
    if (major >= 15) await sql.exec('CREATE EXTENSION pg_walinspect')
    await sql.exec('CHECKPOINT')
    const start = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
    await writeEveryText(cluster)
    const types = await compareWithWalinspect(major as PgMajor, sql, join(cluster.dataDir, 'pg_wal'), start)
    expect([...EXPECTED, ...ofMajor(major)].filter((type) => !types.has(type))).toEqual([])
  })
})
