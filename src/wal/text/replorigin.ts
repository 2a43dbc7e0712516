import { decodeReplOriginDrop, decodeReplOriginSet, XLOG_REPLORIGIN_DROP, XLOG_REPLORIGIN_SET } from '../replorigin.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/* RM_REPLORIGIN_ID (replorigindesc.c). */
export const replOriginText: RmgrText = {
  identify: identifyBy(['SET', 'DROP']),
  describe(record) {
    if (record.op === XLOG_REPLORIGIN_SET) {
      const { node, remoteLsn, force } = decodeReplOriginSet(record)
      return `set ${node}; lsn ${remoteLsn}; force: ${force ? 1 : 0}`
    }
    return record.op === XLOG_REPLORIGIN_DROP ? `drop ${decodeReplOriginDrop(record)}` : ''
  },
}
