import type { Oid } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { INVALIDATION_MESSAGE_SIZE } from '../standby.ts'

/*
 * SharedInvalidationMessage (sinval.h), 16 bytes:
 *
 *  0       4      8            12
 *  +-------+------+------------+-----
 *  | id i8 | db   | catalog,   |         id >= 0: a catalog cache, hash value at 8
 *  | pad   |      | relation   |
 *  +-------+------+------------+-----
 */
const SHAREDINVALCATALOG_ID = -1
const SHAREDINVALRELCACHE_ID = -2
const SHAREDINVALSMGR_ID = -3
const SHAREDINVALRELMAP_ID = -4
const SHAREDINVALSNAPSHOT_ID = -5
/** 18+. */
const SHAREDINVALRELSYNC_ID = -6

/** Messages, and what a commit says beside them. */
export interface Invalidations {
  view: DataView
  /** Position of the first message in {@link view}. */
  start: number
  count: number
  dbOid: Oid
  spcOid: Oid
  relcacheInitFileInval: boolean
}

/** standby_desc_invalidations (standbydesc.c). Nothing at all without messages. */
export function invalidationsText({ view, start, count, dbOid, spcOid, relcacheInitFileInval }: Invalidations, major: PgMajor): string {
  if (count === 0) return ''
  let text = relcacheInitFileInval ? `; relcache init file inval dbid ${dbOid} tsid ${spcOid}` : ''
  text += '; inval msgs:'
  for (let i = 0; i < count; i++) text += messageText(view, start + i * INVALIDATION_MESSAGE_SIZE, major)
  return text
}

function messageText(view: DataView, at: number, major: PgMajor): string {
  const id = view.getInt8(at)
  if (id >= 0) return ` catcache ${id}`
  if (id === SHAREDINVALCATALOG_ID) return ` catalog ${view.getUint32(at + 8, true)}`
  if (id === SHAREDINVALRELCACHE_ID) return ` relcache ${view.getUint32(at + 8, true)}`
  if (id === SHAREDINVALSMGR_ID) return ' smgr'
  if (id === SHAREDINVALRELMAP_ID) return ` relmap db ${view.getUint32(at + 4, true)}`
  if (id === SHAREDINVALSNAPSHOT_ID) return ` snapshot ${view.getUint32(at + 8, true)}`
  if (id === SHAREDINVALRELSYNC_ID && major >= 18) return ` relsync ${view.getUint32(at + 8, true)}`
  return ` unrecognized id ${id}`
}
