/** What verify reads of states beside the files of layers. */
import { expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import type { ByteRange, StoredObject } from '../../src/engine/objectstore.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { PiecesOfState } from '../../src/jobs/lakes/piecesofstate.ts'
import type { LakeDifference } from '../../src/jobs/lakereport.ts'
import { fileKey } from '../../src/lake/state/files.ts'

const BYTES = Uint8Array.of(1, 2, 3, 4)
const file = (more: object = {}): object => ({
  kind: 'file', mode: 0o600, content: { key: 'ltap/parts/x', start: 0, length: 4, crc: crc32c(BYTES), sha256: 'b'.repeat(43), ...more },
})

async function differences(entries: readonly [string, object][], store = new MemoryObjectStore({ now: () => 0 })): Promise<LakeDifference[]> {
  await store.put('ltap/parts/x', BYTES)
  const pieces = new PiecesOfState()
  for (const [path, value] of entries) pieces.add(fileKey(path), value)
  const found: LakeDifference[] = []
  await pieces.check(store, (difference) => void found.push(difference))
  return found
}

test('of two entries for one place each is checked, whichever comes last', async () => {
  const [right, wrong] = [file(), file({ crc: 7 })]
  expect(await differences([['a', right], ['b', right]])).toEqual([])
  for (const entries of [[['a', right], ['b', wrong]], [['b', wrong], ['a', right]]] as const) {
    expect(await differences(entries as unknown as [string, object][])).toMatchObject([{ file: 'ltap/parts/x', reason: expect.stringMatching(/^b: .*CRC-32C/) as unknown }])
  }
})

test('a place beyond the end of its object is a difference', async () => {
  expect(await differences([['a', file({ start: 2 ** 51 })]])).toMatchObject([{ file: 'ltap/parts/x' }])
  expect(await differences([['a', file({ start: 3 })], ['b', file({ length: 3 })]])).toHaveLength(2)
})

/** Gives half of a range, so many times. */
class ShortReads extends MemoryObjectStore {
  private left: number

  constructor(left: number) {
    super({ now: () => 0 })
    this.left = left
  }

  override async get(key: string, range?: ByteRange): Promise<StoredObject | undefined> {
    const found = await super.get(key, range)
    return found && this.left-- > 0 ? { ...found, bytes: found.bytes.subarray(0, found.bytes.length >> 1) } : found
  }
}

test('a range that comes in part is read again; one that never comes whole is a difference', async () => {
  expect(await differences([['a', file()]], new ShortReads(1))).toEqual([])
  expect(await differences([['a', file()]], new ShortReads(100))).toMatchObject([{ file: 'ltap/parts/x' }])
})

test('an entry whose key names nothing is damage', () => {
  const pieces = new PiecesOfState()
  expect(() => pieces.add({ tree: 'files', key: '%' }, { kind: 'folder', mode: 0o700 })).toThrow('lake.state: the entry % of files is damaged: its key names no file')
  expect(() => pieces.add({ tree: 'status', key: 'zz' }, { ended: 'open' })).toThrow('lake.state: the entry zz of status is damaged: its key names no transaction')
})
