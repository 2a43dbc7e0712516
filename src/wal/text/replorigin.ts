import { formatLsn } from '../../common/ids.ts'
import { MainData } from '../maindata.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_REPLORIGIN_ID (origin.h, replorigindesc.c). */
const XLOG_REPLORIGIN_SET = 0x00
const XLOG_REPLORIGIN_DROP = 0x10

const data = new MainData('wal.replorigin')

export const replOriginText: RmgrText = {
  identify: identifyBy(['SET', 'DROP']),
  describe(record) {
    data.open(record)
    if (record.op === XLOG_REPLORIGIN_SET) {
      const lsn = formatLsn(BigInt.asUintN(64, data.i64()))
      return `set ${data.u16()}; lsn ${lsn}; force: ${data.bool() ? 1 : 0}`
    }
    return record.op === XLOG_REPLORIGIN_DROP ? `drop ${data.u16()}` : ''
  },
}
