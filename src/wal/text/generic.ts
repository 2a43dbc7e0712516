import { MainData } from '../maindata.ts'
import type { RmgrText } from './rmgrtext.ts'

const data = new MainData('wal.generic')

/** RM_GENERIC_ID (genericdesc.c): pieces of a page that change. They are block data; servers look for them in the main data. */
export const genericText: RmgrText = {
  identify: () => 'Generic',
  describe(record) {
    data.open(record)
    const end = record.mainStart + record.mainLength
    const pieces: string[] = []
    while (data.at < end) {
      const offset = data.u16()
      const length = data.u16()
      data.take(length)
      pieces.push(`offset ${offset}, length ${length}`)
    }
    return pieces.join('; ')
  },
}
