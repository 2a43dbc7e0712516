/** Redo of generic WAL, record by record; test/oracle/genericwal has that of a real server. */
import { describe, expect, test } from 'vitest'
import { hexEncode } from '../../src/common/bytes.ts'
import { initPage, pageLsn, setPageLsn } from '../../src/page/heappage.ts'
import type { RedoObserver } from '../../src/redo/buffers.ts'
import { Redo } from '../../src/redo/redo.ts'
import { MemoryPage } from '../../src/replay/memoryfork.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { RM_GENERIC_ID } from '../../src/wal/rmgr.ts'
import { type BlockParts, makeRecord, RECORD_START, RELATION } from './records.ts'

const END = RECORD_START + 0x100

function setup(observer: RedoObserver = {}): { store: MemoryReplayStore; redo: Redo; apply: (blocks: BlockParts[]) => void } {
  const store = new MemoryReplayStore(17)
  const redo = new Redo(store, { major: 17, checksums: false, walLogHints: false }, observer)
  return { store, redo, apply: (blocks) => redo.apply(makeRecord({ rmgr: RM_GENERIC_ID, info: 0, blocks })) }
}

function pageOf(store: MemoryReplayStore, block = 0): MemoryPage {
  return store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, 0)!.extend(block)
}

function emptyPage(store: MemoryReplayStore, block = 0): MemoryPage {
  const page = pageOf(store, block)
  initPage(page)
  setPageLsn(page, 0)
  return page
}

describe('generic WAL on a table (generic_redo, generic_xlog.c)', () => {
  /** pd_lower 28, one line pointer, one byte of a tuple; upper stays 8192. */
  const delta = '0c00 0200 1c00 | 1800 0400 01020304'.replaceAll('|', '')

  test('a delta gives bytes, zeros in the hole, and the LSN; once, and not below its own', () => {
    const seen: number[] = []
    const { store, apply } = setup({ beforeRemove: (page) => seen.push(page.bytes[24]!) })
    const page = emptyPage(store)
    page.bytes.fill(0xee, 28, 60)
    apply([{ data: delta }])
    expect(hexEncode(page.bytes.subarray(12, 32))).toBe('1c00' + '0020' + '0020' + '0420' + '00000000' + '01020304' + '00000000')
    expect(page.bytes.subarray(28).every((byte) => byte === 0)).toBe(true)
    expect(pageLsn(page)).toBe(END)
    expect(page.dirty).toBe(true)
    apply([{ data: '1800 0100 ff' }])
    expect(page.bytes[24]).toBe(1)
    expect(seen).toEqual([0])
  })

  test('an image replaces the page; other blocks of the record get their own', () => {
    const { store, apply } = setup()
    emptyPage(store, 1)
    const image = new MemoryPage()
    initPage(image)
    apply([{ image: image.bytes }, { block: 1, data: delta }])
    expect([pageOf(store, 0), pageOf(store, 1)].map(pageLsn)).toEqual([END, END])
    expect(pageOf(store, 1).bytes[24]).toBe(1)
  })

  test.each([
    ['beyond the page', 'ff1f 0200 0101', 'redo.block'], ['of a piece that ends early', '0c00 0200 1c', 'wal.generic'],
    ['of a header alone', '0c00', 'wal.generic'], ['that gives pd_lower 8191 above pd_upper 28', '0c00 0400 ff1f 1c00', 'page.header'],
  ])('a delta %s is damage, with its position', (_, data, code) => {
    const { store, apply } = setup()
    emptyPage(store)
    expect(() => apply([{ data }])).toThrow(expect.objectContaining({
      name: 'CorruptionError', code, position: expect.objectContaining({ lsn: '0/1000000' }),
    }))
  })

  test('a missing block is damage once the pages are consistent, and waits for its drop before', () => {
    const { redo, apply } = setup()
    apply([{ data: delta, block: 7 }])
    expect(redo.state().invalidPages).toMatchObject([{ block: 7, present: false }])
    expect(() => redo.reachedConsistency()).toThrow(expect.objectContaining({ code: 'redo.invalid-page' }))
  })
})
