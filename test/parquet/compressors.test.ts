/** Compressors read each other's output, and believe no size that a stranger wrote. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../src/common/errors.ts'
import { nodeZstd } from '../../src/io/compression/nodezstd.ts'
import type { Compressor } from '../../src/parquet/compressor.ts'
import { loadZstd, ZSTD } from '../../src/parquet/zstdcompressor.ts'

const wasm = await loadZstd()
/** Where Node has zstd (22.15 and later); `.ci/run` runs these tests there, too. */
const node = hasZstd() ? nodeZstd() : undefined
const compressors: Compressor[] = [wasm, ...node ? [node] : []]

function hasZstd(): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
  return major > 22 || (major === 22 && minor >= 15)
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const command = (args: string[], input: Uint8Array): Uint8Array | undefined => {
  const { status, stdout } = spawnSync('zstd', args, { input })
  return status === 0 ? new Uint8Array(stdout) : undefined
}

/** Noise, runs, and what came before again: all kinds of blocks. */
const content = fc.array(fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.tuple(fc.nat(255), fc.nat(200_000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(4000)).map(([word, times]) => Uint8Array.from({ length: word.length * times }, (_, i) => word[i % word.length]!)),
), { maxLength: 5 }).map((parts) => new Uint8Array(Buffer.concat(parts)))

describe('each reads what the other made', () => {
  test('any bytes', () => {
    fc.assert(fc.property(content, (bytes) => {
      const text = latin1(bytes)
      for (const { compress } of compressors) {
        const frame = compress(bytes)
        for (const { decompress } of [...compressors, ZSTD]) expect(latin1(decompress(frame, bytes.length)) === text).toBe(true)
      }
    }), { numRuns: 100 })
  })

  test('what is returned is not written again', () => {
    const pieces = [1, 2, 3].map((seed) => Uint8Array.from({ length: 5000 }, (_, i) => (i * seed) >> 3))
    const frames = pieces.map((piece) => wasm.compress(piece))
    const made = frames.map((frame) => ZSTD.decompress(frame, 5000))
    expect(made.map(latin1)).toEqual(pieces.map(latin1))
  })

  test.skipIf(command([], new Uint8Array(1)) === undefined)('the command line of zstd', () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7)
    for (const { compress } of compressors) expect(latin1(command(['-d'], compress(bytes))!) === latin1(bytes)).toBe(true)
    for (const args of [['--no-check'], ['--check'], ['-19']]) {
      const frame = command([...args, `--stream-size=${bytes.length}`], bytes)!
      for (const { decompress } of [...compressors, ZSTD]) expect(latin1(decompress(frame, bytes.length)) === latin1(bytes)).toBe(true)
    }
  })

  test('the default makes the same bytes on every Node', () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >> 9)
    expect(createHash('sha256').update(wasm.compress(bytes)).digest('hex')).toBe('5d999db9d8567d4093f88671804c9e107f7c3c649693a0b79f10b8d7cf49821e')
    expect(wasm.name).toBe('zstd:wasm')
  })

  test.skipIf(node)('a Node without zstd says so', () => expect(() => nodeZstd()).toThrow(/has no zstd, Node 22.15 and later have/))
})

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const MiB = 1 << 20
const run = (size: number): number[] => [(size << 3 | 3) & 255, (size << 3) >> 8 & 255, (size << 3) >> 16, 0x61]

describe('a forged size', () => {
  test.each<[string, number[], number, RegExp]>([
    ['more content than is wanted', [0xa0, 0, 0, 0, 0x40, ...run(10)], 10, /a frame of 1073741824 bytes, not of 10/],
    ['64 bits of it', [0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, ...run(10)], 10, /not of 10/],
    ['no content size', [0x00, 0x00, ...run(10)], 10, /a frame of unknown bytes/],
    ['a window of 1 GiB', [0x80, 20 << 3, 10, 0, 0, 0, ...run(10)], 10, /a window of 1073741824 bytes for 10/],
    ['a second frame, whose window is large', [0x20, 10, ...run(10), ...MAGIC, 0x80, 20 << 3, 10, 0, 0, 0, ...run(10)], 10, /a frame of \d+ bytes among/],
    ['more blocks than content', [0x20, 10, (100_000 << 3 | 2) & 255, (100_000 << 3) >> 8 & 255, (100_000 << 3) >> 16, 0x61, ...run(100_000)], 10, /bytes made|[Dd]est|too/],
    ['fewer', [0x20, 20, ...run(10)], 20, /bytes made|Src|Unexpected|unexpected|corrupt/i],
    ['a block behind the end', [0x20, 10, 0xff, 0xff, 0x00, 1, 2, 3], 10, /a frame of 8200 bytes among 12/],
    ['no last block', [0x20, 10, 0x08, 0x00, 0x00, 1], 10, /blocks cut short/],
  ])('%s', (_, rest, size, message) => {
    const frame = Uint8Array.from([...MAGIC, ...rest])
    for (const { decompress } of [...compressors, ZSTD]) {
      const before = process.memoryUsage()
      expect(() => decompress(frame, size)).toThrow(CorruptionError)
      expect(() => decompress(frame, size)).toThrow(message)
      const after = process.memoryUsage()
      expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(64 * MiB)
    }
  })

  test('what frames are cut off at, or changed into, is a CorruptionError or the bytes', () => {
    const bytes = Uint8Array.from({ length: 3000 }, (_, i) => (i * i) >> 5)
    const frame = wasm.compress(bytes)
    fc.assert(fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cuts) => {
      const bad = cuts ? frame.slice(0, at) : frame.map((byte, i) => (i === at ? byte ^ change : byte))
      for (const { decompress } of [...compressors, ZSTD]) {
        let made: Uint8Array
        try {
          made = decompress(bad, bytes.length)
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptionError)
          continue
        }
        expect(made.length).toBe(bytes.length)
        expect(cuts).toBe(false)
      }
    }), { numRuns: 1000 })
  })
})
