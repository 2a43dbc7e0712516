/** Vectors of real servers: pg_multixact and pg_xact bytes beside pg_get_multixact_members and pg_xact_status. */
import { describe, expect, test } from 'vitest'
import { hexDecode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { transactionStatus } from '../../src/xact/clog.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import type { SlruPages } from '../../src/xact/slru.ts'

function onePage(hex: string): SlruPages {
  const page = new Uint8Array(8192)
  page.set(hexDecode(hex.replaceAll(' ', '')))
  return { page: (n) => (n === 0 ? page : undefined) }
}

const OFFSETS = '00000000 01000000 03000000 06000000 08000000 0a000000'
const MEMBERS = '00000100 00000000 e6030000 e7030000 e6030000 01000004 e7030000 e8030000 e6030000 e7030000'
const real = { offsets: onePage(OFFSETS), members: onePage(MEMBERS), oldestMulti: 1, nextMulti: 5, nextMultiOffset: 10 }

describe('multixacts', () => {
  test('members and updater', () => {
    const multixacts = new MultiXacts(real)
    expect(multixacts.members(1)).toEqual([{ xid: 998, status: 'for key share' }, { xid: 999, status: 'for share' }])
    expect(multixacts.members(2)).toEqual([
      { xid: 998, status: 'for key share' }, { xid: 999, status: 'for share' }, { xid: 1000, status: 'for key share' },
    ])
    expect(multixacts.members(3)).toEqual([{ xid: 998, status: 'for key share' }, { xid: 999, status: 'no key update' }])
    expect([1, 2, 3].map((multi) => multixacts.updater(multi))).toEqual([0, 0, 999])
  })

  test('the end of the last multixact comes from the control file where the next entry is not written', () => {
    const offsets = onePage(OFFSETS.slice(0, 35))
    expect(new MultiXacts({ ...real, offsets, nextMulti: 4, nextMultiOffset: 8 }).updater(3)).toBe(999)
  })

  test.each([0, 5, 6, 0xffffffff])('multixact %i is out of range', (multi) => {
    expect(() => new MultiXacts(real).members(multi)).toThrow(CorruptionError)
  })

  test('damage', () => {
    expect(() => new MultiXacts({ ...real, offsets: onePage(OFFSETS.replace('03000000', '00000000')) }).members(1)).toThrow(/no members/)
    expect(() => new MultiXacts({ ...real, members: onePage(MEMBERS.replace('e7030000', '00000000')) }).members(1)).toThrow(/member 0/)
    expect(() => new MultiXacts({ ...real, members: onePage(MEMBERS.replace('00000100', '00050400')) }).updater(1)).toThrow(/two updaters/)
    expect(() => new MultiXacts({ ...real, members: onePage(MEMBERS.replace('01000004', '01000006')) }).members(3)).toThrow(/status 6/)
    expect(() => new MultiXacts({ ...real, members: { page: () => undefined } }).members(1)).toThrow(/missing/)
    // An end that lies: the loop stops at the first slot that holds no member.
    expect(() => new MultiXacts({ ...real, offsets: onePage(OFFSETS.replace('03000000', 'ffffffff')) }).members(1)).toThrow(CorruptionError)
  })
})

describe('clog', () => {
  test('two bits per xid, low bits first', () => {
    // A fresh cluster begins with 40: xid 3 is committed. Then 00 01 10 11 from the low bits.
    const pages = onePage('40e4')
    expect([3, 4, 5, 6, 7, 8].map((xid) => transactionStatus(pages, xid))).toEqual([1, 0, 1, 2, 3, 0])
  })

  test('a page that is not there', () => {
    expect(() => transactionStatus(onePage(''), 32768)).toThrow(/xact.clog-missing/)
  })
})
