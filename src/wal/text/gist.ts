import type { PgMajor } from '../../common/pgversion.ts'
import { MainData } from '../maindata.ts'
import { locatorText, takeFullXid, takeLocator, truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_GIST_ID (gistxlog.h, gistdesc.c). */
const XLOG_GIST_DELETE = 0x10
const XLOG_GIST_PAGE_REUSE = 0x20
const XLOG_GIST_PAGE_SPLIT = 0x30
const XLOG_GIST_PAGE_DELETE = 0x60

/** Where gistxlogPageSplit has npage. */
const SPLIT_NPAGE = 18

const data = new MainData('wal.gist')

export const gistText: RmgrText = {
  identify: identifyBy(['PAGE_UPDATE', 'DELETE', 'PAGE_REUSE', 'PAGE_SPLIT', '', '', 'PAGE_DELETE', 'ASSIGN_LSN']),
  describe(record, major) {
    data.open(record)
    switch (record.op) {
      case XLOG_GIST_DELETE:
        return remove(major)
      case XLOG_GIST_PAGE_REUSE:
        return pageReuse(major)
      case XLOG_GIST_PAGE_SPLIT:
        data.take(SPLIT_NPAGE)
        return `page_split: splits to ${data.u16()} pages`
      case XLOG_GIST_PAGE_DELETE:
        return `deleteXid ${takeFullXid(data)}; downlink ${data.u16()}`
      default:
        return ''
    }
  },
}

function remove(major: PgMajor): string {
  const name = major >= 16 ? 'snapshotConflictHorizon' : 'latestRemovedXid'
  return `delete: ${name} ${data.u32()}, nitems: ${data.u16()}${catalogText(major)}`
}

function pageReuse(major: PgMajor): string {
  const name = major >= 16 ? 'snapshotConflictHorizon' : 'latestRemovedXid'
  return `rel ${locatorText(takeLocator(data))}; blk ${data.u32()}; ${name} ${takeFullXid(data)}${catalogText(major)}`
}

function catalogText(major: PgMajor): string {
  return major >= 17 ? `, isCatalogRel ${truth(data.bool())}` : ''
}
