import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c, crc32cUpdate } from '../../src/common/crc32c.ts'

/** RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms. */
test.each([
  ['32 bytes of zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['123456789', new TextEncoder().encode('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
])('%s', (_, bytes, crc) => expect(crc32c(bytes)).toBe(crc))

/** One bit at a time, as the definition has it. */
function bitwise(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return (crc ^ -1) >>> 0
}

test('any bytes at any place, in one piece or two', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(7), fc.nat(120), (bytes, start, cut) => {
    const placed = new Uint8Array(start + bytes.length + 9).fill(0xa5)
    placed.set(bytes, start)
    const end = start + bytes.length
    const expected = bitwise(bytes)
    expect(crc32c(placed, start, end)).toBe(expected)
    const view = new DataView(placed.buffer)
    const middle = Math.min(start + cut, end)
    expect((crc32cUpdate(crc32cUpdate(-1, view, start, middle), view, middle, end) ^ -1) >>> 0).toBe(expected)
  }), { numRuns: 2000 })
})
