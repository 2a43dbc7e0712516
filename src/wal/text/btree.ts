import type { PgMajor } from '../../common/pgversion.ts'
import { MainData } from '../maindata.ts'
import type { WalRecord } from '../record.ts'
import { arrayText, locatorText, takeFullXid, takeLocator, truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_BTREE_ID (nbtxlog.h, nbtdesc.c). */
const XLOG_BTREE_INSERT_LEAF = 0x00
const XLOG_BTREE_INSERT_UPPER = 0x10
const XLOG_BTREE_INSERT_META = 0x20
const XLOG_BTREE_SPLIT_L = 0x30
const XLOG_BTREE_SPLIT_R = 0x40
const XLOG_BTREE_INSERT_POST = 0x50
const XLOG_BTREE_DEDUP = 0x60
const XLOG_BTREE_DELETE = 0x70
const XLOG_BTREE_UNLINK_PAGE = 0x80
const XLOG_BTREE_UNLINK_PAGE_META = 0x90
const XLOG_BTREE_NEWROOT = 0xa0
const XLOG_BTREE_MARK_PAGE_HALFDEAD = 0xb0
const XLOG_BTREE_VACUUM = 0xc0
const XLOG_BTREE_REUSE_PAGE = 0xd0
const XLOG_BTREE_META_CLEANUP = 0xe0

/** Where xl_btree_metadata has last_cleanup_num_delpages. */
const METADATA_DELPAGES = 20

const data = new MainData('wal.btree')

export const btreeText: RmgrText = {
  identify: identifyBy([
    'INSERT_LEAF', 'INSERT_UPPER', 'INSERT_META', 'SPLIT_L', 'SPLIT_R', 'INSERT_POST', 'DEDUP', 'DELETE',
    'UNLINK_PAGE', 'UNLINK_PAGE_META', 'NEWROOT', 'MARK_PAGE_HALFDEAD', 'VACUUM', 'REUSE_PAGE', 'META_CLEANUP',
  ]),
  describe(record, major) {
    data.open(record)
    const text = describe(record, major)
    // 16 gave every field a colon, and commas between them.
    return major >= 16 ? text : text.replaceAll(': ', ' ')
  },
}

function describe(record: WalRecord, major: PgMajor): string {
  switch (record.op) {
    case XLOG_BTREE_INSERT_LEAF: case XLOG_BTREE_INSERT_UPPER: case XLOG_BTREE_INSERT_META: case XLOG_BTREE_INSERT_POST:
      return `off: ${data.u16()}`
    case XLOG_BTREE_SPLIT_L: case XLOG_BTREE_SPLIT_R:
      return `level: ${data.u32()}, firstrightoff: ${data.u16()}, newitemoff: ${data.u16()}, postingoff: ${data.u16()}`
    case XLOG_BTREE_DEDUP:
      return `nintervals: ${data.u16()}`
    case XLOG_BTREE_VACUUM:
      return vacuum(record, major)
    case XLOG_BTREE_DELETE:
      return remove(record, major)
    case XLOG_BTREE_MARK_PAGE_HALFDEAD:
      return markPageHalfDead(major)
    case XLOG_BTREE_UNLINK_PAGE: case XLOG_BTREE_UNLINK_PAGE_META:
      return unlinkPage(major)
    case XLOG_BTREE_NEWROOT:
      data.take(4)
      return `${major >= 16 ? 'level' : 'lev'}: ${data.u32()}`
    case XLOG_BTREE_REUSE_PAGE:
      return reusePage(major)
    case XLOG_BTREE_META_CLEANUP:
      return metaCleanup(record)
    default:
      return ''
  }
}

/** Between two fields. */
function separator(major: PgMajor): string {
  return major >= 16 ? ', ' : '; '
}

function vacuum(record: WalRecord, major: PgMajor): string {
  const deleted = data.u16()
  const updated = data.u16()
  return `ndeleted: ${deleted}${separator(major)}nupdated: ${updated}${lists(record, deleted, updated, major)}`
}

function remove(record: WalRecord, major: PgMajor): string {
  const xid = data.u32()
  const deleted = data.u16()
  const updated = data.u16()
  if (major < 16) return `latestRemovedXid: ${xid}; ndeleted: ${deleted}; nupdated: ${updated}`
  const catalog = major >= 17 ? `, isCatalogRel: ${truth(data.bool())}` : ''
  return `snapshotConflictHorizon: ${xid}, ndeleted: ${deleted}, nupdated: ${updated}${catalog}${lists(record, deleted, updated, major)}`
}

/** delvacuum_desc, 16+: offsets that go, and tuples of which some heap pointers go. */
function lists(record: WalRecord, deletedCount: number, updatedCount: number, major: PgMajor): string {
  const block = record.block(0)
  if (major < 16 || block?.hasData !== true) return ''
  data.openBlock(record, block)
  const deleted = offsets(deletedCount)
  const updated = offsets(updatedCount).map((offset) => {
    const pointers = data.u16()
    return `{ off: ${offset}, nptids: ${pointers}, ptids:${arrayText(offsets(pointers))} }`
  })
  return `, deleted:${arrayText(deleted)}, updated:${arrayText(updated)}`
}

function offsets(count: number): number[] {
  return Array.from({ length: count }, () => data.u16())
}

function markPageHalfDead(major: PgMajor): string {
  data.take(4)
  const [leaf, left, right, topParent] = [data.u32(), data.u32(), data.u32(), data.u32()]
  return [`topparent: ${topParent}`, `leaf: ${leaf}`, `left: ${left}`, `right: ${right}`].join(separator(major))
}

function unlinkPage(major: PgMajor): string {
  const fields = [`left: ${data.u32()}`, `right: ${data.u32()}`, `level: ${data.u32()}`]
  data.take(4)
  fields.push(`safexid: ${takeFullXid(data)}`)
  fields.push(`leafleft: ${data.u32()}`, `leafright: ${data.u32()}`, `leaftopparent: ${data.u32()}`)
  return fields.join(separator(major))
}

function reusePage(major: PgMajor): string {
  const relation = locatorText(takeLocator(data))
  data.take(4)
  const xid = takeFullXid(data)
  if (major < 16) return `rel: ${relation}; latestRemovedXid: ${xid}`
  return `rel: ${relation}, snapshotConflictHorizon: ${xid}${major >= 17 ? `, isCatalogRel: ${truth(data.bool())}` : ''}`
}

function metaCleanup(record: WalRecord): string {
  const block = record.block(0)
  if (block?.hasData !== true) throw data.corrupt('no data of block 0')
  data.openBlock(record, block).take(METADATA_DELPAGES)
  return `last_cleanup_num_delpages: ${data.u32()}`
}
