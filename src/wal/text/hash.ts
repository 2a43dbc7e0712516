import type { PgMajor } from '../../common/pgversion.ts'
import { MainData } from '../maindata.ts'
import { generalNumber, truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_HASH_ID (hash_xlog.h, hashdesc.c). */
const XLOG_HASH_INIT_META_PAGE = 0x00
const XLOG_HASH_INIT_BITMAP_PAGE = 0x10
const XLOG_HASH_INSERT = 0x20
const XLOG_HASH_ADD_OVFL_PAGE = 0x30
const XLOG_HASH_SPLIT_ALLOCATE_PAGE = 0x40
const XLOG_HASH_SPLIT_COMPLETE = 0x60
const XLOG_HASH_MOVE_PAGE_CONTENTS = 0x70
const XLOG_HASH_SQUEEZE_PAGE = 0x80
const XLOG_HASH_DELETE = 0x90
const XLOG_HASH_UPDATE_META_PAGE = 0xb0
const XLOG_HASH_VACUUM_ONE_PAGE = 0xc0

const XLH_SPLIT_META_UPDATE_MASKS = 0x01
const XLH_SPLIT_META_UPDATE_SPLITPOINT = 0x02

const data = new MainData('wal.hash')

export const hashText: RmgrText = {
  identify: identifyBy([
    'INIT_META_PAGE', 'INIT_BITMAP_PAGE', 'INSERT', 'ADD_OVFL_PAGE', 'SPLIT_ALLOCATE_PAGE', 'SPLIT_PAGE', 'SPLIT_COMPLETE',
    'MOVE_PAGE_CONTENTS', 'SQUEEZE_PAGE', 'DELETE', 'SPLIT_CLEANUP', 'UPDATE_META_PAGE', 'VACUUM_ONE_PAGE',
  ]),
  describe(record, major) {
    data.open(record)
    switch (record.op) {
      case XLOG_HASH_INIT_META_PAGE:
        return initMetaPage()
      case XLOG_HASH_INIT_BITMAP_PAGE:
        return `bmsize ${data.u16()}`
      case XLOG_HASH_INSERT:
        return `off ${data.u16()}`
      case XLOG_HASH_ADD_OVFL_PAGE:
        return `bmsize ${data.u16()}, bmpage_found ${truth(data.bool())}`
      case XLOG_HASH_SPLIT_ALLOCATE_PAGE:
        return splitAllocatePage()
      case XLOG_HASH_SPLIT_COMPLETE:
        return `old_bucket_flag ${data.u16()}, new_bucket_flag ${data.u16()}`
      case XLOG_HASH_MOVE_PAGE_CONTENTS:
        return `ntups ${data.u16()}, is_primary ${truth(data.bool())}`
      case XLOG_HASH_SQUEEZE_PAGE:
        return `prevblkno ${data.u32()}, nextblkno ${data.u32()}, ntups ${data.u16()}, is_primary ${truth(data.bool())}`
      case XLOG_HASH_DELETE:
        return `clear_dead_marking ${truth(data.bool())}, is_primary ${truth(data.bool())}`
      case XLOG_HASH_UPDATE_META_PAGE:
        return `ntuples ${generalNumber(takeDouble())}`
      case XLOG_HASH_VACUUM_ONE_PAGE:
        return vacuumOnePage(major)
      default:
        return ''
    }
  },
}

const scratch = new DataView(new ArrayBuffer(8))

function takeDouble(): number {
  scratch.setBigInt64(0, data.i64())
  return scratch.getFloat64(0)
}

function initMetaPage(): string {
  const tuples = generalNumber(takeDouble())
  data.take(4)
  return `num_tuples ${tuples}, fillfactor ${data.u16()}`
}

function splitAllocatePage(): string {
  const bucket = data.u32()
  data.take(4)
  const flags = data.u8()
  return `new_bucket ${bucket}, meta_page_masks_updated ${truth(flags & XLH_SPLIT_META_UPDATE_MASKS)}, ` +
    `issplitpoint_changed ${truth(flags & XLH_SPLIT_META_UPDATE_SPLITPOINT)}`
}

function vacuumOnePage(major: PgMajor): string {
  const xid = data.u32()
  if (major < 16) return `ntuples ${data.i32()}, latestRemovedXid ${xid}`
  return `ntuples ${data.u16()}, snapshotConflictHorizon ${xid}${major >= 17 ? `, isCatalogRel ${truth(data.bool())}` : ''}`
}
