/** pg_logical/replorigin_checkpoint; test/oracle/restorereplayed.test.ts has a server read what is written here. */
import { expect, test } from 'vitest'
import { advanceOrigin, dropOrigin, formatOrigins, parseOrigins, type ReplicationOrigin } from '../../src/xact/replicationorigins.ts'

test('the file is written as it is read, whatever the LSN', () => {
  const origins = [{ node: 1, remoteLsn: '0/0' }, { node: 65534, remoteLsn: 'FFFFFFFF/FFFFFFFF' }]
  expect(parseOrigins(formatOrigins(origins))).toEqual(origins)
  expect(parseOrigins(formatOrigins([]))).toEqual([])
  const bytes = formatOrigins(origins)
  expect(bytes).toHaveLength(4 + 2 * 16 + 4)
  for (const [at, reason] of [[0, 'magic'], [9, 'wrong CRC'], [bytes.length - 1, 'wrong CRC']] as const) {
    const damaged = bytes.slice()
    damaged[at]! ^= 1
    expect(() => parseOrigins(damaged)).toThrow(reason)
  }
  expect(() => parseOrigins(bytes.subarray(0, -1))).toThrow('xact.origins')
})

test('an origin goes forward only, unless it is set back', () => {
  const origins: ReplicationOrigin[] = []
  advanceOrigin(origins, 0, '0/1')
  advanceOrigin(origins, 65535, '0/1')
  expect(origins).toEqual([])
  advanceOrigin(origins, 3, '1/0')
  advanceOrigin(origins, 3, '0/FFFFFFFF')
  expect(origins).toEqual([{ node: 3, remoteLsn: '1/0' }])
  advanceOrigin(origins, 3, '0/FFFFFFFF', true)
  advanceOrigin(origins, 4, '0/1')
  dropOrigin(origins, 4)
  dropOrigin(origins, 5)
  expect(origins).toEqual([{ node: 3, remoteLsn: '0/FFFFFFFF' }])
})
