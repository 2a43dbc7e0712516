import type { PgMajor } from '../../common/pgversion.ts'
import { MainData } from '../maindata.ts'
import type { WalRecord } from '../record.ts'
import { truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_SPGIST_ID (spgxlog.h, spgdesc.c). */
const XLOG_SPGIST_ADD_LEAF = 0x10
const XLOG_SPGIST_MOVE_LEAFS = 0x20
const XLOG_SPGIST_ADD_NODE = 0x30
const XLOG_SPGIST_SPLIT_TUPLE = 0x40
const XLOG_SPGIST_PICKSPLIT = 0x50
const XLOG_SPGIST_VACUUM_LEAF = 0x60
const XLOG_SPGIST_VACUUM_ROOT = 0x70
const XLOG_SPGIST_VACUUM_REDIRECT = 0x80

const data = new MainData('wal.spgist')

export const spgistText: RmgrText = {
  identify: identifyBy([
    '', 'ADD_LEAF', 'MOVE_LEAFS', 'ADD_NODE', 'SPLIT_TUPLE', 'PICKSPLIT', 'VACUUM_LEAF', 'VACUUM_ROOT', 'VACUUM_REDIRECT',
  ]),
  describe(record: WalRecord, major: PgMajor) {
    data.open(record)
    switch (record.op) {
      case XLOG_SPGIST_ADD_LEAF:
        return addLeaf()
      case XLOG_SPGIST_MOVE_LEAFS:
        return moveLeafs()
      case XLOG_SPGIST_ADD_NODE:
        return addNode()
      case XLOG_SPGIST_SPLIT_TUPLE:
        return `prefixoff: ${data.u16()}, postfixoff: ${data.u16()}${remark('newpage', data.bool())}${remark('same', data.bool())}`
      case XLOG_SPGIST_PICKSPLIT:
        return pickSplit()
      case XLOG_SPGIST_VACUUM_LEAF:
        return `ndead: ${data.u16()}, nplaceholder: ${data.u16()}, nmove: ${data.u16()}, nchain: ${data.u16()}`
      case XLOG_SPGIST_VACUUM_ROOT:
        return `ndelete: ${data.u16()}`
      case XLOG_SPGIST_VACUUM_REDIRECT:
        return vacuumRedirect(major)
      default:
        return ''
    }
  },
}

function remark(text: string, applies: boolean): string {
  return applies ? ` (${text})` : ''
}

/** offnumParent and nodeI, which most records have. */
function parentText(): string {
  return `parentoff: ${data.u16()}, nodeI: ${data.u16()}`
}

function addLeaf(): string {
  const newPage = data.bool()
  const nulls = data.bool()
  return `off: ${data.u16()}, headoff: ${data.u16()}, ${parentText()}${remark('newpage', newPage)}${remark('nulls', nulls)}`
}

function moveLeafs(): string {
  const moves = data.u16()
  const [newPage, replaceDead, nulls] = [data.bool(), data.bool(), data.bool()]
  data.take(1)
  return `nmoves: ${moves}, ${parentText()}${remark('newpage', newPage)}${remark('replacedead', replaceDead)}${remark('nulls', nulls)}`
}

function addNode(): string {
  const offsets = `off: ${data.u16()}, newoff: ${data.u16()}`
  const newPage = data.bool()
  const parentBlock = (data.u8() << 24) >> 24
  return `${offsets}, parentBlk: ${parentBlock}, ${parentText()}${remark('newpage', newPage)}`
}

function pickSplit(): string {
  const rootSplit = data.bool()
  data.take(1)
  const counts = `ndelete: ${data.u16()}, ninsert: ${data.u16()}`
  data.take(2)
  const inner = data.u16()
  data.take(1)
  const nulls = data.bool()
  const innerIsParent = data.bool()
  data.take(1)
  return `${counts}, inneroff: ${inner}, ${parentText()}` +
    `${remark('innerIsParent', innerIsParent)}${remark('nulls', nulls)}${remark('isRootSplit', rootSplit)}`
}

function vacuumRedirect(major: PgMajor): string {
  const text = `ntoplaceholder: ${data.u16()}, firstplaceholder: ${data.u16()}, `
  if (major < 16) return `${text}newestredirectxid: ${data.u32()}`
  return `${text}snapshotConflictHorizon: ${data.u32()}${major >= 17 ? `, isCatalogRel: ${truth(data.bool())}` : ''}`
}
