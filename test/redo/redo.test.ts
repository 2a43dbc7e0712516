/** Redo of single records, with bytes of real servers or made here; that whole workloads end right is shown in test/oracle/recovery. */
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import { hexEncode } from '../../src/common/bytes.ts'
import { initPage, pageLsn, setPageLsn } from '../../src/page/heappage.ts'
import { HEAP_BLOCKS_PER_MAP_PAGE, mapBits, setMapBits } from '../../src/page/visibilitymap.ts'
import { Redo, type RedoSettings } from '../../src/redo/redo.ts'
import type { RedoObserver } from '../../src/redo/buffers.ts'
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import type { MemoryPage } from '../../src/replay/memoryfork.ts'
import { makeRecord, RECORD_START, recordFromHex, RELATION, type RecordParts } from './records.ts'

const [RM_XLOG, RM_XACT, RM_SMGR, RM_DBASE, RM_RELMAP, RM_HEAP2, RM_HEAP, RM_BTREE, RM_SEQ, RM_GENERIC] = [0, 1, 2, 4, 7, 9, 10, 11, 15, 20]
const MAIN = 0
const VM = 2
const END = RECORD_START + 0x100

function setup(settings: Partial<RedoSettings> = {}, observer: RedoObserver = {}): { store: MemoryReplayStore; redo: Redo; apply: (parts: RecordParts) => void } {
  const store = new MemoryReplayStore(17)
  const major = settings.major ?? 17
  const redo = new Redo(store, { major, checksums: false, walLogHints: false, ...settings }, observer)
  return { store, redo, apply: (parts) => redo.apply(makeRecord({ major, ...parts })) }
}

function pageOf(store: MemoryReplayStore, block = 0, fork = MAIN): MemoryPage {
  return store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, fork)!.extend(block)
}

/** An empty heap page at `lsn`. */
function emptyPage(store: MemoryReplayStore, lsn: number, block = 0): MemoryPage {
  const page = pageOf(store, block)
  initPage(page)
  setPageLsn(page, lsn)
  return page
}

/** A page of the map with the bits of heap block 0 set. */
function visiblePage(store: MemoryReplayStore, lsn: number): MemoryPage {
  const page = pageOf(store, 0, VM)
  initPage(page)
  setPageLsn(page, lsn)
  setMapBits(page.bytes, 0, 3)
  return page
}

const INSERT = { rmgr: RM_HEAP, info: 0x00, xid: 803, blocks: [{ data: '0100 0008 18 | 00 02000000'.replaceAll('|', '') }], main: '0100 08' }
/** INSERT of offset 1 that clears the bits of the visibility map. */
const CLEARING = { ...INSERT, main: '0100 09' }
const INIT_INSERT = { ...INSERT, info: 0x80, blocks: [{ ...INSERT.blocks[0]!, willInit: true }] }

describe('records of real servers', () => {
  test('INSERT of 15.18, header and all', () => {
    const { store, redo } = setup({ major: 15 })
    emptyPage(store, 0)
    redo.apply(makeRecord({ ...INSERT, major: 15 }))
    redo.apply(recordFromHex(`3b000000 23030000 c87bbf01 00000000 00 0a 0000 35f3b3e7
      00 20 0a00 7f060000 00400000 40400000 00000000 ff 03 0100 0008 18 00 02000000 0200 08`, 15, END + 0x40))
    const page = pageOf(store)
    expect(pageLsn(page)).toBe(END + 0x40)
    expect(hexEncode(page.bytes.subarray(8, 32))).toBe('00000000' + '2000' + 'c01f' + '0020' + '0420' + '00000000' + 'e09f3800' + 'c09f3800')
    expect(hexEncode(page.bytes.subarray(0x1fc0, 0x1fc0 + 28))).toBe('23030000' + '00000000' + '00000000' + '00000000' + '0200' + '0100' + '0008' + '18' + '00' + '02000000')
  })

  test('HOT_UPDATE of 18.4 with prefix and suffix, then DELETE', () => {
    const { store, apply } = setup({ major: 18 })
    emptyPage(store, 0)
    // Four attributes, 24 + 8 + 24 + 1 + 16 bytes; the record logs one byte of it.
    const values = Array.from({ length: 41 }, (_, i) => (i + 1).toString(16).padStart(2, '0')).join('')
    apply({ ...INSERT, xid: 700, blocks: [{ data: `0400 0208 18 00 ${values}` }] })
    apply({ rmgr: RM_HEAP, info: 0x40, xid: 768, blocks: [{ data: '1800 1000 0480 0228 18 00 0c' }], main: '00030000 0100 00 60 00000000 0200', endLsn: END + 8 })
    const page = pageOf(store)
    const [old, fresh] = [page.words[6]! & 0x7fff, page.words[7]! & 0x7fff]
    expect(hexEncode(page.bytes.subarray(old, old + 23))).toBe('bc020000' + '00030000' + '00000000' + '00000000' + '0200' + '0440' + '0200' + '18')
    expect(page.words[7]! >>> 17).toBe(65)
    expect(hexEncode(page.bytes.subarray(fresh, fresh + 65))).toBe('00030000' + '00000000' + '00000000' + '00000000' + '0200' + '0480' + '0228' + '18' + '00' +
      `${values.slice(0, 48)}0c${values.slice(50)}`)
    expect(page.words[5]).toBe(768)
    apply({ rmgr: RM_HEAP, info: 0x10, xid: 769, blocks: [{}], main: '01030000 0200 10 10', endLsn: END + 16 })
    expect(hexEncode(page.bytes.subarray(fresh, fresh + 23))).toBe('00030000' + '01030000' + '00000000' + 'ffffffff' + 'fdff' + '04a0' + '0220' + '18')
    expect(pageLsn(page)).toBe(END + 16)
  })

  test('the sequence of 7.9', () => {
    const { store, apply } = setup()
    apply({
      rmgr: RM_SEQ, info: 0, blocks: [{ willInit: true }],
      main: '7f060000 00400000 40400000 02000000 00000000 00000000 0000 0000 0100 0300 000b 18 00 2100000000000000 0000000000000000 01',
    })
    const page = pageOf(store)
    expect(hexEncode(page.bytes.subarray(10, 28))).toBe('0000' + '1c00' + 'c81f' + 'f81f' + '0420' + '00000000' + 'c89f5200')
    expect(hexEncode(page.bytes.subarray(8184))).toBe('1717000000000000')
    expect(page.bytes[8136 + 40]).toBe(1)
  })

  test('prune of 17.10: dead, unused without cleanup lock, freeze plans', () => {
    const { store, apply } = setup()
    emptyPage(store, 0)
    for (let offset = 1; offset <= 3; offset++) apply({ ...INSERT, main: `0${offset}00 08`, endLsn: END + offset * 8 })
    apply({ rmgr: RM_HEAP2, info: 0x10, blocks: [{ data: '0100 0100' }], main: '00 4c f1020000', endLsn: END + 64 })
    const page = pageOf(store)
    expect(Array.from(page.words.slice(6, 9), (word) => (word >>> 15) & 3)).toEqual([3, 1, 1])
    expect(page.halves[7]).toBe(8128)
    apply({ rmgr: RM_HEAP2, info: 0x20, blocks: [{ data: '0100 ffff 0a000000 0100 000b 00 ff 0200 0200 0300' }], main: 'e2 14', endLsn: END + 72 })
    expect(hexEncode(page.bytes.subarray(8128, 8128 + 23))).toBe('23030000' + '0a000000' + '00000000' + '00000000' + '0300' + '0100' + '000b' + '18')
    apply({ rmgr: RM_HEAP2, info: 0x30, blocks: [{ data: '0200 0100 0300' }], main: '03 80', endLsn: END + 80 })
    expect([page.halves[5], page.halves[6], page.halves[7]]).toEqual([1, 32, 8128])
  })
})

describe('what happens to a block', () => {
  test('a page that is newer stays, an INIT record does not ask', () => {
    const { store, apply } = setup()
    const page = emptyPage(store, END)
    apply(INSERT)
    expect(page.halves[6]).toBe(24)
    setPageLsn(page, END + 1000)
    page.bytes.fill(0xaa, 100, 200)
    apply(INIT_INSERT)
    expect(pageLsn(page)).toBe(END)
    expect(page.halves[6]).toBe(28)
    expect(page.bytes.subarray(100, 200).every((byte) => byte === 0)).toBe(true)
  })

  test('an image replaces any page, one for checking does not', () => {
    const { store, apply } = setup()
    const image = new Uint8Array(8192)
    image.set(emptyPage(new MemoryReplayStore(17), 1).bytes)
    image[4000] = 7
    const page = emptyPage(store, END + 1000)
    apply({ ...INSERT, blocks: [{ image }] })
    expect([page.bytes[4000], pageLsn(page), page.halves[6]]).toEqual([7, END, 24])
    apply({ ...INSERT, endLsn: END + 8, blocks: [{ ...INSERT.blocks[0], image, checkOnly: true }] })
    expect([pageLsn(page), page.halves[6]]).toEqual([END + 8, 28])
    apply({ ...INSERT, blocks: [{ image, block: 3 }] })
    expect(store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, MAIN)!.blocks).toBe(4)
    expect(pageLsn(pageOf(store, 2))).toBe(0)
  })

  test.each([
    ['a truncate', { rmgr: RM_SMGR, info: 0x21, main: '05000000 7f060000 00400000 40400000 07000000' }, true],
    ['a truncate that keeps the block', { rmgr: RM_SMGR, info: 0x21, main: '08000000 7f060000 00400000 40400000 07000000' }, false],
    ['a drop at commit', { rmgr: RM_XACT, info: 0x80, xid: 9, main: '0000000000000000 04000000 01000000 7f060000 00400000 40400000' }, true],
    ['a drop of another relation', { rmgr: RM_XACT, info: 0xa0, xid: 9, main: '0000000000000000 04000000 01000000 7f060000 00400000 41400000' }, false],
    ['a drop of its database', { rmgr: RM_DBASE, info: 0x20, main: '00400000 01000000 7f060000' }, true],
    ['nothing', undefined, false],
  ])('a missing block must be explained: %s', (_, later, explained) => {
    const { redo, apply } = setup()
    apply({ ...INSERT, blocks: [{ ...INSERT.blocks[0], block: 7 }] })
    if (later) apply(later)
    if (explained) expect(() => redo.reachedConsistency()).not.toThrow()
    else expect(() => redo.reachedConsistency()).toThrow(/1663\/16384\/16448 fork 0 block 7 \(missing, for 0\/1000000\)/)
  })

  test('once consistent, a missing or zero block is an error that says where', () => {
    const { store, redo, apply } = setup()
    redo.reachedConsistency()
    const position = { lsn: '0/1000000', relation: '1663/16384/16448', fork: 'main', block: 0 }
    expect(() => apply(INSERT)).toThrow(expect.objectContaining({ name: 'CorruptionError', code: 'redo.invalid-page', position }))
    pageOf(store)
    expect(() => apply(INSERT)).toThrow(/the block is all zero/)
  })
})

describe('the visibility map', () => {
  test('bits are cleared even if the heap page is newer; the LSN of the map stays', () => {
    const { store, apply } = setup()
    emptyPage(store, END)
    const map = visiblePage(store, 5)
    apply(CLEARING)
    expect([mapBits(map.bytes, 0), pageLsn(map)]).toEqual([0, 5])
  })

  test('with the map page in the record (17.11, 18.6) its LSN moves, and decides', () => {
    const { store, apply } = setup()
    emptyPage(store, END)
    const map = visiblePage(store, 5)
    const named = { ...CLEARING, blocks: [CLEARING.blocks[0]!, { fork: VM, block: 0 }] }
    apply(named)
    expect([mapBits(map.bytes, 0), pageLsn(map)]).toEqual([0, END])
    setMapBits(map.bytes, 0, 3)
    apply(named)
    expect(mapBits(map.bytes, 0)).toBe(3)
  })

  test('the same of an update: old and new block on one map page, and a page of the map under id 1 is not the old heap page', () => {
    const { store, apply } = setup()
    emptyPage(store, 0)
    emptyPage(store, 0, 1)
    apply(INSERT)
    const map = visiblePage(store, 5)
    setMapBits(map.bytes, 1, 3)
    apply({
      rmgr: RM_HEAP, info: 0x20, xid: 804, endLsn: END + 8, main: '24030000 0100 00 03 00000000 0100',
      blocks: [{ id: 0, block: 1, data: '0100 0028 18 00 03000000' }, { id: 1, block: 0 }, { id: 2, fork: VM, block: 0 }],
    })
    expect([mapBits(map.bytes, 0), mapBits(map.bytes, 1), pageLsn(map)]).toEqual([0, 0, END + 8])
    expect(hexEncode(pageOf(store).bytes.subarray(8160 + 12, 8160 + 18))).toBe('000001000100')
    // 18.6: a HOT update with the map page under id 3.
    setMapBits(map.bytes, 1, 3)
    apply({
      rmgr: RM_HEAP, info: 0x40, xid: 805, endLsn: END + 16, main: '25030000 0100 00 01 00000000 0200',
      blocks: [{ id: 0, block: 1, data: '0180 0028 18 00 04000000' }, { id: 3, fork: VM, block: 0 }],
    })
    expect([mapBits(map.bytes, 1), pageLsn(map), pageOf(store, 1).halves[6]]).toEqual([0, END + 16, 32])
  })

  test('an update that names one page of the map leaves the pages that it does not name', () => {
    const { store, apply } = setup()
    emptyPage(store, 0)
    apply(INSERT)
    const map = visiblePage(store, 5)
    const update = { rmgr: RM_HEAP, info: 0x20, xid: 804, endLsn: END + 8, main: '24030000 0100 00 03 00000000 0100' }
    const [fresh, old] = [{ id: 0, block: HEAP_BLOCKS_PER_MAP_PAGE, data: '0100 0028 18 00 03000000' }, { id: 1, block: 0 }]
    apply({ ...update, blocks: [fresh, old, { id: 3, fork: VM, block: 0 }] })
    expect([mapBits(map.bytes, 0), pageLsn(map), store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, VM)!.blocks]).toEqual([0, END + 8, 1])
  })

  test.each([[15, '0420'], [16, '0000']] as const)('a map that is not there is made, Postgres %i', (major, header) => {
    const { store, apply } = setup({ major })
    emptyPage(store, 0)
    apply(CLEARING)
    expect(hexEncode(pageOf(store, 0, VM).bytes.subarray(18, 20))).toBe(header)
  })

  test.each([
    [false, false, 5, END], [true, false, END, END], [false, true, END, END],
  ])('VISIBLE with checksums %s and wal_log_hints %s leaves the heap page at %i', (checksums, walLogHints, heapLsn, mapLsn) => {
    const { store, apply } = setup({ checksums, walLogHints })
    const heap = emptyPage(store, 5)
    apply({ rmgr: RM_HEAP2, info: 0x40, blocks: [{ fork: VM }, { block: 0 }], main: '00000000 03' })
    const map = pageOf(store, 0, VM)
    expect([heap.halves[5], pageLsn(heap), mapBits(map.bytes, 0), pageLsn(map)]).toEqual([4, heapLsn, 3, mapLsn])
  })

  test('PARAMETER_CHANGE changes wal_log_hints', () => {
    const { store, apply } = setup()
    const heap = emptyPage(store, 5)
    apply({ rmgr: RM_XLOG, info: 0x60, main: '64000000 08000000 0a000000 00000000 40000000 01000000 01 00 ffff' })
    apply({ rmgr: RM_HEAP2, info: 0x40, blocks: [{ fork: VM }, { block: 0 }], main: '00000000 03' })
    expect(pageLsn(heap)).toBe(END)
  })

  test('a truncate clears the tail of the last page that stays', () => {
    const { store, apply } = setup()
    for (let block = 0; block < 12; block++) emptyPage(store, 0, block)
    const map = visiblePage(store, 5)
    for (let block = 0; block < 12; block++) setMapBits(map.bytes, block, 3)
    apply({ rmgr: RM_SMGR, info: 0x21, main: '05000000 7f060000 00400000 40400000 07000000' })
    expect([4, 5, 6, 7, 8, 11].map((block) => mapBits(map.bytes, block))).toEqual([3, 0, 0, 0, 0, 0])
    expect([store.fork(1663, 16384, 16448, MAIN)!.blocks, pageLsn(map)]).toEqual([5, 5])
    apply({ rmgr: RM_SMGR, info: 0x21, main: '00000000 7f060000 00400000 40400000 07000000' })
    expect(store.fork(1663, 16384, 16448, VM)!.blocks).toBe(0)
  })
})

/** A page with a special area of `size` bytes. */
function special(size: number, first = 0): Uint8Array {
  const page = new MemoryReplayStore(17).fork(1, 1, 1, 0)!.extend(0)
  initPage(page, size)
  if (size > 0) page.words[(8192 - size) / 4] = first
  return page.bytes
}

describe('what is kept', () => {
  test.each([
    ['a heap', special(0), 0, true], ['a btree', special(16), 0, false], ['GIN, BRIN, bloom', special(8, 5), 0, false],
    ['a sequence', special(8, 0x1717), 0, true], ['an index page that looks like one', special(8, 0x1717), 1, false],
    ['zeros', new Uint8Array(8192), 0, true],
  ])('an image of %s', (_, image, block, kept) => {
    const { store, apply } = setup()
    apply({ rmgr: RM_XLOG, info: 0xb0, blocks: [{ image, block }] })
    expect(store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, MAIN) !== undefined).toBe(kept)
  })

  test('records of index access methods disown, again after the number was reused', () => {
    const { store, apply } = setup()
    emptyPage(store, 0)
    apply({ rmgr: RM_BTREE, info: 0, blocks: [{}] })
    expect(store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, MAIN)).toBeUndefined()
    expect(() => apply(INSERT)).toThrow(/a heap record for a relation that was an index/)
    apply({ rmgr: RM_XACT, info: 0x80, xid: 9, main: '0000000000000000 04000000 01000000 7f060000 00400000 40400000' })
    emptyPage(store, 0)
    apply(INSERT)
    apply({ rmgr: RM_BTREE, info: 0, blocks: [{}] })
    expect(store.fork(RELATION.spcOid, RELATION.dbOid, RELATION.relNumber, MAIN)).toBeUndefined()
  })

  test('records of a custom resource manager pass on indexes, and are refused on tables', () => {
    const rmgr = 128
    const { store, apply } = setup()
    apply({ rmgr, info: 0, blocks: [{ image: special(8, 3) }] })
    apply({ rmgr, info: 0, blocks: [{ data: '0000' }] })
    expect(store.disowned.size).toBe(1)
    const other = setup()
    expect(() => other.apply({ rmgr, info: 0, blocks: [{ data: '0000' }] })).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'redo.rmgr' }))
    expect(() => other.apply({ rmgr, info: 0, blocks: [{ image: special(0) }] })).toThrow(expect.objectContaining({ name: 'UnsupportedError' }))
  })

  test('GENERIC records disown indexes, by image and by delta, and later ones pass', () => {
    const { store, apply } = setup()
    apply({ rmgr: RM_GENERIC, info: 0, blocks: [{ image: special(8, 3) }] })
    apply({ rmgr: RM_GENERIC, info: 0, blocks: [{ data: 'ff1f ff00' }] })
    expect(store.disowned.size).toBe(1)
    const other = setup()
    initPage(pageOf(other.store), 8)
    other.apply({ rmgr: RM_GENERIC, info: 0, blocks: [{ data: '1800 0100 aa' }] })
    expect(other.store.disowned.size).toBe(1)
  })

  test('a free space map is not', () => {
    const { store, apply } = setup()
    apply({ rmgr: RM_XLOG, info: 0xb0, blocks: [{ image: special(0), fork: 1 }] })
    apply({ rmgr: RM_SMGR, info: 0x11, main: '7f060000 00400000 40400000 01000000' })
    expect(store.relations.size).toBe(0)
  })
})

describe('a database directory copied from one that does not exist', () => {
  /** Database 16385 from 16384, both in tablespace 1663. */
  const copying = { rmgr: RM_DBASE, info: 0, main: '01400000 7f060000 00400000 7f060000' }

  test('counts as empty before the pages are consistent, and is an error later', () => {
    for (const major of [14, 17] as const) {
      const { store, redo, apply } = setup({ major })
      apply(copying)
      expect([...store.directories]).toEqual(['1664/0', '1663/16385'])
      redo.reachedConsistency()
      expect(() => apply(copying)).toThrow(expect.objectContaining({
        name: 'CorruptionError', code: 'redo.database', position: expect.objectContaining({ lsn: '0/1000000' }),
      }))
      expect([...store.directories]).toEqual(['1664/0', '1663/16385'])
    }
  })

  test('with only indexes it exists; dropped it does not', () => {
    const { redo, store, apply } = setup()
    redo.reachedConsistency()
    apply({ rmgr: RM_SMGR, info: 0x10, main: '7f060000 00400000 40400000 00000000' })
    apply({ rmgr: RM_BTREE, info: 0, blocks: [{}] })
    expect(store.relations.size).toBe(0)
    apply(copying)
    apply({ rmgr: RM_DBASE, info: 0x20, main: '00400000 01000000 7f060000' })
    expect(() => apply(copying)).toThrow(/database 16384 in tablespace 1663 is to be copied/)
  })
})

describe('refused', () => {
  const relationMap = new Uint8Array(524)
  new DataView(relationMap.buffer).setUint32(0, 0x592717, true)
  const map = (crc: number, db = '00400000', spc = '7f060000') => {
    new DataView(relationMap.buffer).setUint32(520, crc, true)
    return `${db} ${spc} 0c020000 ${hexEncode(relationMap)}`
  }
  const crc = crc32c(relationMap, 0, 520)

  test('bytes that are no relation map', () => {
    const { store, apply } = setup()
    expect(() => apply({ rmgr: RM_RELMAP, info: 0, main: map(crc + 1) })).toThrow(/redo.relmap: .*wrong CRC/)
    expect(() => apply({ rmgr: RM_RELMAP, info: 0, main: map(crc, '00000000') })).toThrow(/for database 0 in tablespace 1663/)
    expect(store.maps.size).toBe(0)
    apply({ rmgr: RM_RELMAP, info: 0, main: map(crc) })
    apply({ rmgr: RM_RELMAP, info: 0, main: map(crc, '00000000', '80060000') })
    expect([...store.maps.keys()]).toEqual(['1663/16384', '1664/0'])
    expect(() => setup({ major: 15 }).apply({ rmgr: RM_RELMAP, info: 0, main: map(crc) })).toThrow(/relation map of 512 bytes/)
  })

  test.each([
    ['PARAMETER_CHANGE', { info: 0x60, main: '64000000 08000000 0a000000 00000000 40000000 00000000 00 00 0000' }],
    ['CHECKPOINT_REDO', { info: 0xe0, main: '00000000' }],
    ['END_OF_RECOVERY', { info: 0x90, main: '0000000000000000 02000000 01000000 00000000 00000000' }],
  ])('wal_level minimal, from %s', (_, parts) => {
    expect(() => setup().apply({ rmgr: RM_XLOG, ...parts })).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'redo.wal-level' }))
  })

  test.each([
    ['XLOG', { rmgr: RM_XLOG, info: 0xf0 }, 'UnsupportedError'],
    ['SMGR', { rmgr: RM_SMGR, info: 0x30 }, 'UnsupportedError'],
    ['DBASE', { rmgr: RM_DBASE, info: 0x30 }, 'UnsupportedError'],
    ['XACT', { rmgr: RM_XACT, info: 0x70 }, 'UnsupportedError'],
    ['SEQ', { rmgr: RM_SEQ, info: 0x10 }, 'UnsupportedError'],
    ['resource manager 22', { rmgr: 22, info: 0 }, 'CorruptionError'],
  ])('an unknown opcode of %s', (_, parts, name) => {
    expect(() => setup().apply(parts)).toThrow(expect.objectContaining({ name, position: expect.objectContaining({ lsn: '0/1000000' }) }))
  })

  test.each([
    ['main data cut short', { ...INSERT, main: '0100' }],
    ['main data too long', { ...INSERT, main: '0100 08 00' }],
    ['no block', { ...INSERT, blocks: [] }],
    ['block data of a header alone', { ...INSERT, blocks: [{ data: '0100 0008 18' }] }],
    ['an offset beyond the next', { ...INSERT, main: '0900 08' }],
    ['INIT without WILL_INIT', { ...INSERT, info: 0x80 }],
    ['WILL_INIT without INIT', { ...INIT_INSERT, info: 0 }],
    ['a prefix from nowhere', { rmgr: RM_HEAP, info: 0x40, blocks: [{ data: 'ff00 0100 0028 18 00 00' }], main: '00030000 0100 00 20 00000000 0200' }],
    ['a prune list cut short', { rmgr: RM_HEAP2, info: 0x10, blocks: [{ data: '0200 0100' }], main: '00 44' }],
    ['a prune list too long', { rmgr: RM_HEAP2, info: 0x10, blocks: [{ data: '0100 0100 0100' }], main: '00 44' }],
    ['a multi-insert cut short', { rmgr: RM_HEAP2, info: 0x50, blocks: [{ data: '0900 0100 0008 18 00' }], main: '00 00 0100 0200' }],
    ['an FPI record without a full-page image', { rmgr: RM_XLOG, info: 0xb0, blocks: [{}] }],
    ['in-place bytes of another length', { rmgr: RM_HEAP, info: 0x70, blocks: [{ data: '00' }], main: '0100' }],
  ])('%s', (_, parts) => {
    const { store, apply } = setup()
    emptyPage(store, 0)
    apply({ ...INSERT, endLsn: RECORD_START + 8 })
    expect(() => apply(parts)).toThrow(expect.objectContaining({ name: 'CorruptionError', position: expect.objectContaining({ lsn: '0/1000000' }) }))
  })
})

test('the observer sees pages before row versions vanish', () => {
  const seen: string[] = []
  const { store, apply } = setup({}, { beforeRemove: (page, block, record) => seen.push(`${record.rmgr}/${record.op} block ${block.block} with ${((page.words[3]! & 0xffff) - 24) / 4}`) })
  apply(INIT_INSERT)
  apply({ ...INSERT, main: '0200 08', endLsn: END + 8 })
  apply({ rmgr: RM_HEAP2, info: 0x10, blocks: [{ data: '0100 0100' }], main: '00 44', endLsn: END + 16 })
  apply({ rmgr: RM_XLOG, info: 0xb0, blocks: [{ image: special(0), block: 1 }], endLsn: END + 24 })
  apply({ rmgr: RM_XLOG, info: 0xb0, blocks: [{ image: special(0) }], endLsn: END + 24 })
  apply(INIT_INSERT)
  expect(store.relations.size).toBe(1)
  expect(seen).toEqual(['9/16 block 0 with 2', '0/176 block 0 with 2', '10/128 block 0 with 0'])
})
