import { MainData } from '../maindata.ts'
import { serverText } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

const XLOG_LOGICAL_MESSAGE = 0x00

const data = new MainData('wal.logicalmsg')

/**
 * RM_LOGICALMSG_ID (logicalmsgdesc.c). xl_logical_message (message.h):
 *
 *  0    4               8             16             24
 *  +----+---------------+-------------+--------------+--------------+---------
 *  | db | transactional | prefix_size | message_size | prefix, NUL  | message
 *  +----+---------------+-------------+--------------+--------------+---------
 */
export const logicalmsgText: RmgrText = {
  identify: identifyBy(['MESSAGE']),
  describe(record) {
    if (record.op !== XLOG_LOGICAL_MESSAGE) return ''
    data.open(record).take(4)
    const transactional = data.bool()
    data.take(3)
    const prefixSize = data.position()
    const size = data.position()
    const prefix = data.bytes(prefixSize)
    if (prefix.indexOf(0) !== prefixSize - 1) throw data.corrupt('a prefix without its end')
    const message = data.bytes(size)
    data.finish()
    const payload = Array.from(message, (byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ')
    return `${transactional ? 'transactional' : 'non-transactional'}, prefix "${serverText(prefix.subarray(0, -1))}"; payload (${size} bytes): ${payload}`
  },
}
