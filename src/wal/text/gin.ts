import { MainData } from '../maindata.ts'
import type { BlockReference, WalRecord } from '../record.ts'
import { takeBlockId, truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_GIN_ID (ginxlog.h, gindesc.c). */
const XLOG_GIN_INSERT = 0x20
const XLOG_GIN_SPLIT = 0x30
const XLOG_GIN_DELETE_LISTPAGE = 0x80
const XLOG_GIN_VACUUM_DATA_LEAF_PAGE = 0x90

const GIN_INSERT_ISDATA = 0x01
const GIN_INSERT_ISLEAF = 0x02
const GIN_SPLIT_ROOT = 0x04

const GIN_SEGMENT_DELETE = 1
const GIN_SEGMENT_INSERT = 2
const GIN_SEGMENT_REPLACE = 3
const GIN_SEGMENT_ADDITEMS = 4

/** ginxlogSplit: relation, rrlink, two children; then its flags. */
const SPLIT_FLAGS = 24
/** GinMetaPageData; ndeleted follows. */
const META_PAGE_SIZE = 56
const ITEM_POINTER_SIZE = 6

const data = new MainData('wal.gin')

export const ginText: RmgrText = {
  identify: identifyBy([
    '', 'CREATE_PTREE', 'INSERT', 'SPLIT', 'VACUUM_PAGE', 'DELETE_PAGE', 'UPDATE_META_PAGE', 'INSERT_LISTPAGE', 'DELETE_LISTPAGE',
    'VACUUM_DATA_LEAF_PAGE',
  ]),
  describe,
}

function describe(record: WalRecord): string {
  data.open(record)
  switch (record.op) {
    case XLOG_GIN_INSERT:
      return insert(record)
    case XLOG_GIN_SPLIT:
      return split()
    case XLOG_GIN_VACUUM_DATA_LEAF_PAGE:
      return imageText(blockZero(record)) ?? recompressLeaf(record, blockZero(record))
    case XLOG_GIN_DELETE_LISTPAGE:
      data.take(META_PAGE_SIZE)
      return `ndeleted: ${data.i32()}`
    default:
      return ''
  }
}

function insert(record: WalRecord): string {
  const flags = data.u16()
  const isData = (flags & GIN_INSERT_ISDATA) !== 0
  const isLeaf = (flags & GIN_INSERT_ISLEAF) !== 0
  let text = `isdata: ${truth(isData)} isleaf: ${truth(isLeaf)}`
  if (!isLeaf) text += ` children: ${takeBlockId(data)}/${takeBlockId(data)}`
  const block = blockZero(record)
  return text + (imageText(block) ?? inserted(record, block, isData, isLeaf))
}

function inserted(record: WalRecord, block: BlockReference, isData: boolean, isLeaf: boolean): string {
  if (isData && isLeaf) return recompressLeaf(record, block)
  data.openBlock(record, block).take(2)
  if (!isData) return ` isdelete: ${truth(data.bool())}`
  return ` pitem: ${takeBlockId(data)}-${takeBlockId(data)}/${data.u16()}`
}

function split(): string {
  data.take(SPLIT_FLAGS)
  const flags = data.u16()
  return `isrootsplit: ${truth(flags & GIN_SPLIT_ROOT)} isdata: ${truth(flags & GIN_INSERT_ISDATA)} isleaf: ${truth(flags & GIN_INSERT_ISLEAF)}`
}

function blockZero(record: WalRecord): BlockReference {
  const block = record.block(0)
  if (block === undefined) throw data.corrupt('no block 0')
  return block
}

function imageText({ hasImage, applyImage }: BlockReference): string | undefined {
  if (!hasImage) return undefined
  return applyImage ? ' (full page image)' : ' (full page image, for WAL verification)'
}

/** desc_recompress_leaf: what becomes of the posting lists of a page. */
function recompressLeaf(record: WalRecord, block: BlockReference): string {
  data.openBlock(record, block)
  const actions = data.u16()
  let text = ` ${actions} segments:`
  for (let i = 0; i < actions; i++) {
    const segment = data.u8()
    const action = data.u8()
    if (action === GIN_SEGMENT_ADDITEMS) {
      const items = data.u16()
      data.take(items * ITEM_POINTER_SIZE)
      text += ` ${segment} (add ${items} items)`
    } else if (action === GIN_SEGMENT_DELETE) {
      text += ` ${segment} (delete)`
    } else if (action === GIN_SEGMENT_INSERT || action === GIN_SEGMENT_REPLACE) {
      takePostingList()
      text += ` ${segment} (${action === GIN_SEGMENT_INSERT ? 'insert' : 'replace'})`
    } else {
      return `${text} ${segment} unknown action ${action} ???`
    }
  }
  return text
}

/** GinPostingList: its first item, the number of bytes, and those, rounded up to an even number. */
function takePostingList(): void {
  data.take(ITEM_POINTER_SIZE)
  const bytes = data.u16()
  data.take(bytes + (bytes & 1))
}
