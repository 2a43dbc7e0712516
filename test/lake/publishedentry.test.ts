/** What a lake keeps of a publication: nothing is written that is not read back. */
import { expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import { decodeRecord, encodeRecord, type PublicationRecord } from '../../src/lake/publishedentry.ts'

const refOf = (bytes: Uint8Array): Parameters<typeof decodeRecord>[1] => ({ key: 'ltap/parts/x', start: 0, length: bytes.length, crc: crc32c(bytes) })

test('a record that its reader would refuse is refused by its writer, with what to do', () => {
  const record: PublicationRecord = { publishedMs: 5, iceberg: { text: 'ä'.repeat(1000) } }
  const bytes = encodeRecord(record)
  expect(decodeRecord(bytes, refOf(bytes))).toEqual(record)
  const json = Buffer.byteLength(JSON.stringify(record))
  expect(encodeRecord(record, undefined, json)).toEqual(bytes)
  expect(() => encodeRecord(record, undefined, json - 1)).toThrow(/^publish\.record: .*Merge them/)
  // JavaScript has no text of more than some 512 MB, and says it so.
  const endless = { toJSON: () => { throw new RangeError('Invalid string length') } }
  expect(() => encodeRecord({ publishedMs: 5, delta: endless })).toThrow('publish.record')
})
