import { execFileSync } from 'node:child_process'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { decompressFile } from '../../src/io/compression/decompress.ts'
import { isPositioned } from '../../src/common/errors.ts'
import type { Compression } from '../../src/common/compression/format.ts'
import { xxhash32 } from '../../src/common/compression/xxhash32.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const MAX = 3_000_000
const PROGRAMS: readonly [Compression, string, readonly string[]][] = [
  ['.lz4', 'lz4', ['-B4', '-c']], ['.lz4', 'lz4', ['-B7', '-BX', '-BD', '-9', '--content-size', '-c']], ['.lz4', 'lz4', ['--no-frame-crc', '-c']],
  ['.zst', 'zstd', ['-q', '-c']], ['.zst', 'zstd', ['-q', '-19', '--no-check', '-c']],
  ['.bz2', 'bzip2', ['-c']], ['.bz2', 'bzip2', ['-1', '-c']],
  ['.xz', 'xz', ['-c']], ['.xz', 'xz', ['-9e', '--check=sha256', '--block-size=500000', '-c']], ['.xz', 'xz', ['-0', '--check=crc32', '-c']], ['.xz', 'xz', ['--check=none', '-c']],
  ['.lzma', 'xz', ['--format=lzma', '-c']], ['.lzma', 'xz', ['--format=lzma', '--lzma1=lc=1,lp=2,pb=0', '-c']],
]

/** Compressible, not compressible, zeros. */
function content(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = 1
  for (let i = 0; i < length * 0.7; i++) {
    state = (Math.imul(state, 1103515245) + 12345) | 0
    bytes[i] = i < length / 3 ? i % 251 & (state >>> 28) : state >>> 16
  }
  return bytes
}

test('xxHash32 has the values of its specification', () => {
  const text = (value: string): number => xxhash32(new TextEncoder().encode(value))
  expect([text(''), text('a'), text('abc'), text('Nobody inspects the spammish repetition')]).toEqual([0x02cc5d05, 0x550d7456, 0x32d153ff, 0xe2293b2f])
})

test('gzip', () => { checkCompressed('.gz', bytes => gzipSync(bytes)) })

test('brotli', () => { checkCompressed('.br', bytes => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })) })

describe.each(PROGRAMS)('%s by %s %j', (compression, program, args) => {
  test.runIf(isThere(program))('comes back, or is an error', () => {
    checkCompressed(compression, bytes => execFileSync(program, args, { input: bytes, maxBuffer: 1 << 26, stdio: ['pipe', 'pipe', 'ignore'] }))
  })
})

test('mutated files are content or an error, whole or cut short: nothing else is thrown, nothing hangs', () => {
  const random = new Random(TEST_SEED)
  const bytes = content(20_000)
  const packed: [Compression, Uint8Array][] = [['.gz', gzipSync(bytes)], ['.br', brotliCompressSync(bytes)]]
  for (const [compression, program, args] of PROGRAMS) {
    if (isThere(program)) packed.push([compression, execFileSync(program, args, { input: bytes, stdio: ['pipe', 'pipe', 'ignore'] })])
  }
  for (const [compression, whole] of packed) {
    for (let i = 0; i < amount({ quick: 20, sample: 500, all: 20_000 }); i++) {
      const mutated = new Uint8Array(whole)
      for (let n = 1 + random.int(4); n > 0; n--) mutated[random.int(random.chance(50) ? 40 : mutated.length)]! ^= 1 << random.int(8)
      for (const cutShort of [false, true]) {
        try {
          expect(decompressFile(mutated, compression, MAX, cutShort).length).toBeLessThanOrEqual(MAX)
        } catch (error) {
          expect(isPositioned(error), `${compression} ${i}: ${String(error)}`).toBe(true)
        }
      }
    }
  }
})

function checkCompressed(compression: Compression, compress: (bytes: Uint8Array) => Buffer): void {
  for (const length of [0, 1, 1000, 70_000, 1_200_000]) {
    const bytes = content(length)
    expect(Buffer.compare(decompressFile(new Uint8Array(compress(bytes)), compression, MAX, false), bytes), `${length} bytes`).toBe(0)
  }
  const bytes = content(300_000)
  const packed = new Uint8Array(compress(bytes))
  expect(() => decompressFile(packed, compression, 200_000, false)).toThrow(/^compression/)
  for (let cut = 0; cut < packed.length; cut += Math.ceil(packed.length / (['.bz2', '.xz', '.lzma'].includes(compression) ? 6 : 40))) {
    expect(() => decompressFile(packed.subarray(0, cut), compression, MAX, false), `cut at ${cut}`).toThrow(/^compression/)
    if (compression === '.zst' || cut < 40) continue
    const part = decompressFile(packed.subarray(0, cut), compression, MAX, true)
    expect(Buffer.compare(part, bytes.subarray(0, part.length))).toBe(0)
  }
}

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn(`SKIPPED: files compressed by ${program}, which is not installed`)
    return false
  }
}
