import { MainData } from '../maindata.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_BRIN_ID (brin_xlog.h, brindesc.c). */
const XLOG_BRIN_CREATE_INDEX = 0x00
const XLOG_BRIN_INSERT = 0x10
const XLOG_BRIN_UPDATE = 0x20
const XLOG_BRIN_SAMEPAGE_UPDATE = 0x30
const XLOG_BRIN_REVMAP_EXTEND = 0x40
const XLOG_BRIN_DESUMMARIZE = 0x50
const XLOG_BRIN_OPMASK = 0x70

const data = new MainData('wal.brin')

export const brinText: RmgrText = {
  identify: identifyBy([
    'CREATE_INDEX', 'INSERT', 'UPDATE', 'SAMEPAGE_UPDATE', 'REVMAP_EXTEND', 'DESUMMARIZE', '', '', '', 'INSERT+INIT', 'UPDATE+INIT',
  ]),
  describe(record) {
    data.open(record)
    switch (record.info & XLOG_BRIN_OPMASK) {
      case XLOG_BRIN_CREATE_INDEX:
        return createIndex()
      case XLOG_BRIN_INSERT:
        return `heapBlk ${data.u32()} pagesPerRange ${data.u32()} offnum ${data.u16()}`
      case XLOG_BRIN_UPDATE:
        return update()
      case XLOG_BRIN_SAMEPAGE_UPDATE:
        return `offnum ${data.u16()}`
      case XLOG_BRIN_REVMAP_EXTEND:
        return `targetBlk ${data.u32()}`
      case XLOG_BRIN_DESUMMARIZE:
        return `pagesPerRange ${data.u32()}, heapBlk ${data.u32()}, page offset ${data.u16()}`
      default:
        return ''
    }
  },
}

function createIndex(): string {
  const pagesPerRange = data.u32()
  return `v${data.u16()} pagesPerRange ${pagesPerRange}`
}

function update(): string {
  const old = data.u16()
  data.take(2)
  return `heapBlk ${data.u32()} pagesPerRange ${data.u32()} old offnum ${old}, new offnum ${data.u16()}`
}
