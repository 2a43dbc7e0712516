/** WebAssembly and TypeScript say the same of the CRCs of records. */
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import wabt from 'wabt'
import { crc32cUpdate } from '../../src/common/crc32c.ts'
import { RECORD_CRC_WASM } from '../../src/wal/recordcrcwasm.ts'
import { RecordMemory } from '../../src/wal/recordmemory.ts'
import { TEST_SEED } from '../support/random.ts'

const HEADER = 24
const PIECE_SIZE = 100_000

test('what src holds is what native/recordcrc.wat says', async () => {
  const { parseWat } = await wabt()
  const module = parseWat('recordcrc.wat', readFileSync('native/recordcrc.wat', 'utf8'))
  expect(Buffer.from(module.toBinary({}).buffer).toString('base64')).toBe(RECORD_CRC_WASM)
  module.destroy()
})

const length = fc.oneof(fc.integer({ min: HEADER, max: 200 }), fc.integer({ min: HEADER, max: 9000 }))
const damage = fc.record({ at: fc.nat(), bit: fc.nat(7) })

test(`records are sound up to the same place (seed ${TEST_SEED})`, () => {
  const memory = RecordMemory.create(PIECE_SIZE)!
  let sound = 0
  let damaged = 0
  fc.assert(fc.property(
    fc.array(length, { minLength: 1, maxLength: 9 }), fc.nat(7), fc.nat(), fc.nat(1 << 30), fc.option(damage, { freq: 2 }),
    (lengths, start, cut, noise, flip) => {
      const { end, view } = writeRecords(memory.piece, start, lengths, noise)
      if (flip !== null) memory.piece[start + flip.at % (end - start)]! ^= 1 << flip.bit
      const limit = flip === null || flip.at % 3 > 0 ? end : start + cut % (end - start)
      const expected = soundUpTo(view, start, limit)
      expect(memory.soundUpTo(memory.piece, start, limit)).toBe(expected)
      // Seen through a part of the memory that begins elsewhere.
      expect(memory.soundUpTo(memory.piece.subarray(start), 0, limit - start)).toBe(expected - start)
      if (expected >= limit) sound++
      else damaged++
    },
  ), { seed: TEST_SEED, numRuns: 1000 })
  expect(Math.min(sound, damaged)).toBeGreaterThan(50)
})

test('is asked about its own bytes only', () => {
  const memory = RecordMemory.create(PIECE_SIZE)!
  expect(memory.piece.length).toBe(PIECE_SIZE)
  expect(memory.holds(memory.piece.subarray(5, 9))).toBe(true)
  expect(memory.holds(memory.scratch)).toBe(true)
  expect(memory.holds(new Uint8Array(9))).toBe(false)
  expect(RecordMemory.create(PIECE_SIZE)!.holds(memory.piece)).toBe(false)
})

/** Records of these lengths from `start` on, each aligned to 8 from there, with noise in them and right CRCs. */
function writeRecords(bytes: Uint8Array, start: number, lengths: number[], noise: number): { end: number; view: DataView } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = start
  let end = start
  let random = noise
  for (const length of lengths) {
    for (let i = at; i < at + length + 8; i++) bytes[i] = (random = (Math.imul(random, 1103515245) + 12345) >>> 0) >>> 16
    view.setUint32(at, length, true)
    view.setInt32(at + 20, ~crc32cUpdate(crc32cUpdate(-1, view, at + HEADER, at + length), view, at, at + 20), true)
    end = at + length
    at += (length + 7) & ~7
  }
  return { end, view }
}

/** What soundUpTo of native/recordcrc.wat does. */
function soundUpTo(view: DataView, start: number, limit: number): number {
  let at = start
  while (limit - at >= HEADER) {
    const length = view.getUint32(at, true)
    if (length < HEADER || length > limit - at) break
    const crc = crc32cUpdate(crc32cUpdate(-1, view, at + HEADER, at + length), view, at, at + 20)
    if (~crc !== view.getInt32(at + 20, true)) break
    at += (length + 7) & ~7
  }
  return at
}
