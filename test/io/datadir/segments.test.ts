import { mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync, openSync, writeSync, closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BlockSet } from '../../../src/common/blockset.ts'
import { listRelationFiles } from '../../../src/io/datadir/listrelationfiles.ts'
import { SegmentPages } from '../../../src/io/datadir/segmentpages.ts'
import { FileSlru } from '../../../src/io/datadir/slru.ts'

const GIB = 2 ** 30
let dir = ''
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'ltap-segments-'))))
afterEach(() => rmSync(dir, { recursive: true }))

/** A sparse file. */
function file(name: string, size: number): void {
  writeFileSync(join(dir, name), '')
  truncateSync(join(dir, name), size)
}

function open(): SegmentPages {
  return new SegmentPages(join(dir, '7'), listRelationFiles(dir).relations.get(7)?.forks.get('main') ?? [])
}

function put(name: string, byte: number, value: number): void {
  const fd = openSync(join(dir, name), 'r+')
  writeSync(fd, Uint8Array.of(value), 0, 1, byte)
  closeSync(fd)
}

describe('segments of a relation', () => {
  test('blocks and reads across a boundary', async () => {
    file('7', GIB)
    file('7.1', GIB)
    file('7.2', 3 * 8192)
    put('7', GIB - 8192, 1)
    put('7.1', 0, 2)
    put('7.1', GIB - 8192, 3)
    put('7.2', 2 * 8192, 4)
    const fork = open()
    expect(fork.blocks).toBe(2 * 131072 + 3)
    await fork.prepare(BlockSet.range(131071, 2))
    const pages = [131071, 131072].map((block) => fork.read(block))
    expect(pages.map((page) => [page[0], page.length, page.byteOffset % 8])).toEqual([[1, 8192, 0], [2, 8192, 0]])
    // At hand, without being prepared: earlier pages stay as they are.
    const first = fork.read(262143)
    expect([262144, 262145, 262146].map((block) => fork.read(block)[0])).toEqual([0, 0, 4])
    expect([first[0], ...pages.map((page) => page[0])]).toEqual([3, 1, 2])
    await fork.prepare(BlockSet.of([262146, 131071, 262143, 0]))
    expect([0, 131071, 262143, 262146].map((block) => fork.read(block)[0])).toEqual([0, 1, 3, 4])
    await expect(fork.prepare(BlockSet.range(262146, 2))).rejects.toThrow(/ltap bug/)
    expect(() => fork.read(262147)).toThrow(/ltap bug/)
    expect(() => fork.read(-1)).toThrow(/ltap bug/)
    fork.close()
  })

  test('truncation leaves empty segments', () => {
    file('7', 8192)
    file('7.1', 0)
    file('7.2', 0)
    expect(open().blocks).toBe(1)
    file('7', GIB)
    expect(open().blocks).toBe(131072)
    file('7', 0)
    expect(open().blocks).toBe(0)
  })

  test.each([
    ['missing middle segment', [['7', GIB], ['7.2', 8192]]],
    ['missing first segment', [['7.1', 8192]]],
    ['no file', []],
    ['segment behind one that is not full', [['7', 8192], ['7.1', 8192]]],
    ['segment behind an empty one', [['7', GIB], ['7.1', 0], ['7.2', 8192]]],
    ['blocks behind a partial one', [['7', 8193], ['7.1', 8192]]],
    ['blocks behind a segment whose last block is partial', [['7', GIB - 1], ['7.1', 8192]]],
    ['oversized segment', [['7', GIB + 8192]]],
  ] as [string, [string, number][]][])('%s is corruption', (_, files) => {
    for (const [name, size] of files) file(name, size)
    expect(open).toThrow(/^relation\..*file/)
  })

  // mdnblocks (md.c): whole blocks count; a segment of 131072 of them is full, whatever is behind.
  test.each([
    ['an empty file', [['7', 0]], 0, 0],
    ['less than a block', [['7', 8191]], 0, 8191],
    ['a byte behind a block', [['7', 8193]], 1, 1],
    ['a full segment and part of a block', [['7', GIB + 100]], 131072, 100],
    ['another segment behind that', [['7', GIB + 100], ['7.1', 8192 + 5]], 131073, 105],
    ['part of a block only in the next segment', [['7', GIB], ['7.1', 5]], 131072, 5],
    ['part of a block only, behind a segment that is not full', [['7', 8192], ['7.1', 5], ['7.2', 0]], 1, 5],
  ] as [string, [string, number][], number, number][])('%s: whole blocks, and the rest counted', (_, files, blocks, trailing) => {
    for (const [name, size] of files) file(name, size)
    const fork = open()
    expect([fork.blocks, fork.trailingBytes]).toEqual([blocks, trailing])
  })

  test('a file that became shorter', async () => {
    file('7', 2 * 8192)
    const fork = open()
    truncateSync(join(dir, '7'), 8192)
    await expect(fork.prepare(BlockSet.range(0, 2))).rejects.toThrow(/relation.short-read/)
    expect(() => fork.read(1)).toThrow(/relation.short-read/)
    fork.close()
    unlinkSync(join(dir, '7'))
    expect(() => fork.read(0)).toThrow(/file.permission|file.missing/)
  })

  test('names', () => {
    for (const name of ['7', '7.1', '7_fsm', '7_vm.1', '8_init', 't3_9', 't3_9_fsm', 'PG_VERSION', 'pg_filenode.map',
      'pg_internal.init', '9x', '_vm']) file(name, 0)
    const { relations, temp } = listRelationFiles(dir)
    expect([...relations.values()].map(({ relNumber, forks }) => [relNumber, Object.fromEntries(forks)])).toEqual([
      [7, { main: [0, 1], fsm: [0], vm: [1] }], [8, { init: [0] }],
    ])
    expect(temp.map(({ relNumber, tempBackend, forks }) => [relNumber, tempBackend, [...forks.keys()]])).toEqual([[9, 3, ['main', 'fsm']]])
  })
})

describe('SLRU files', () => {
  test('pages by segment, bounded cache, missing and partial pages', () => {
    file('0000', 2 * 8192)
    file('001F', 8192)
    file('10000', 8192)
    put('0000', 8192, 5)
    put('001F', 0, 6)
    put('10000', 0, 7)
    const slru = new FileSlru(dir, 2)
    const first = (page: number): number | undefined => slru.page(page)?.[0]
    expect([first(1), first(31 * 32), first(65536 * 32), first(1), first(0)]).toEqual([5, 6, 7, 5, 0])
    expect([first(2), first(32), first(31 * 32 + 1)]).toEqual([undefined, undefined, undefined])
    truncateSync(join(dir, '0000'), 8192 + 100)
    expect(new FileSlru(dir).page(1)).toHaveLength(100)
  })
})
