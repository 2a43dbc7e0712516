/** Tar files that nobody packs by accident: each is an error with its place, or read as GNU tar reads it; none hangs or fills the memory. */
import { execFileSync, spawnSync } from 'node:child_process'
import { ftruncateSync, mkdirSync, mkdtempSync, openSync, closeSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { isPositioned } from '../../src/common/errors.ts'
import { readTar } from '../../src/io/seed/tarfile.ts'
import { isTarHeader } from '../../src/common/tar/tarheader.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { pax, paxRecord, seal, TAR_END, tarEntry, tarHeader, type TarMember, tarOf } from '../support/tars.ts'

const root = mkdtempSync(join(tmpdir(), 'ltap-tar-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Seen {
  name: string
  type: string
  content: string
}

let files = 0
function written(bytes: Uint8Array, ending = ''): string {
  const path = join(root, `${files++}.tar${ending}`)
  writeFileSync(path, bytes)
  return path
}

async function entriesOf(path: string, rooted = false): Promise<Seen[]> {
  const seen: Seen[] = []
  await readTar(path, async ({ name, type, chunks }) => {
    let content = ''
    for await (const chunk of chunks) content += Buffer.from(chunk).toString('latin1')
    seen.push({ name, type, content })
  }, { rooted })
  return seen
}

const A: TarMember = { name: 'a', content: Buffer.from('first') }
const LONG = `${'d/'.repeat(80)}${'n'.repeat(120)}`
const longName = (name: string): TarMember => ({ name: '././@LongLink', type: 'L', content: Buffer.from(`${name}\0`) })

test.each<[string, Uint8Array, string[]]>([
  ['plain', tarOf(A, { name: './b/c', content: new Uint8Array(1000) }), ['a', 'b/c']],
  ['pax path and size', tarOf(pax(['path', LONG], ['size', '5'], ['mtime', '1.5']), { ...A, size: '00000000000\0' }), [LONG]],
  ['GNU long name', tarOf(longName(LONG), A), [LONG]],
  ['base 256', tarOf({ ...A, size: `\x80${'\0'.repeat(10)}\x05` }), ['a']],
  ['spaces before the size', tarOf({ ...A, size: '          5 ' }), ['a']],
  ['a global header', tarOf({ name: 'g', type: 'g', content: Buffer.from(paxRecord('comment', 'x')) }, A), ['a']],
  ['a prefix', tarOf({ ...A, change: (block) => block.set(Buffer.from('folder/inside'), 345) }), ['folder/inside/a']],
  ['no magic, as Version 7', tarOf({ ...A, type: '\0', change: (block) => block.fill(0, 257, 265) }), ['a']],
  ['empty', TAR_END, []],
])('%s is read', async (_, bytes, names) => {
  const path = written(bytes)
  expect((await entriesOf(path)).map(({ name }) => name)).toEqual(names)
  expect(listedByTar(path)).toEqual(names)
  expect((await entriesOf(written(gzipSync(bytes), '.gz'))).map(({ name }) => name)).toEqual(names)
})

describe('refused, with file and byte', () => {
  const flag = (type: string): TarMember => ({ ...A, type })
  test.each<[string, Uint8Array, RegExp, number]>([
    ['a negative pax size', tarOf(A, pax(['size', '-5']), A), /CorruptionError.*size "-5"/, 1024],
    ['a fractional pax size', tarOf(pax(['size', '5.5']), A), /CorruptionError.*size "5.5"/, 0],
    ['a huge pax size', tarOf(pax(['size', '99999999999999999999']), A), /CorruptionError.*size/, 0],
    ['a pax size beyond 2^53', tarOf(pax(['size', '9999999999999999']), A), /CorruptionError.*size/, 0],
    ['a negative size of base 256', tarOf({ ...A, size: '\xff'.repeat(12) }), /CorruptionError.*size that is no number/, 0],
    ['a size beyond 2^53', tarOf({ ...A, size: `\x80\0\0\0\xff${'\xff'.repeat(7)}` }), /CorruptionError.*size beyond/, 0],
    ['a size that is not octal', tarOf({ ...A, size: '0000000008x\0' }), /CorruptionError.*size that is no number/, 0],
    ['a size with a minus', tarOf({ ...A, size: '-0000000005\0' }), /CorruptionError.*size that is no number/, 0],
    ['a size that is longer than the file', tarOf({ ...A, size: '77777777777\0' }), /CorruptionError.*cut short/, 6 * 512 - 1024],
    ['a wrong checksum', Buffer.concat([tarEntry(A), tarHeader(A).fill(1, 10, 11), TAR_END]), /CorruptionError.*checksum/, 1024],
    ['no name', tarOf({ ...A, name: '' }), /CorruptionError.*without a name/, 0],
    ['NUL in a name', tarOf({ ...A, name: 'a\0b' }), /CorruptionError.*NUL/, 0],
    ['NUL in a pax path', tarOf(pax(['path', 'a\0b']), A), /CorruptionError.*NUL/, 0],
    ['NUL in a long name', tarOf(longName('a\0b'), A), /CorruptionError.*long name/, 0],
    ['.. in a name', tarOf({ ...A, name: 'base/../../etc' }), /CorruptionError.*'\.\.'/, 0],
    ['.. in a pax path', tarOf(pax(['path', '../x']), A), /CorruptionError.*'\.\.'/, 1024],
    ['an absolute name', tarOf({ ...A, name: '/etc/passwd' }), /CorruptionError.*absolute/, 0],
    ['a pax record of no length', tarOf({ name: 'p', type: 'x', content: Buffer.from('x path=a\n') }, A), /CorruptionError.*pax header/, 0],
    ['a pax record that is too long', tarOf({ name: 'p', type: 'x', content: Buffer.from('99 path=a\n') }, A), /CorruptionError.*pax header/, 0],
    ['a global header with a path', tarOf({ ...pax(['path', 'x']), type: 'g' }, A), /CorruptionError.*global header/, 0],
    ['sparse, GNU', tarOf(flag('S')), /UnsupportedError.*sparse/, 0],
    ['sparse, pax', tarOf(pax(['GNU.sparse.major', '1']), A), /UnsupportedError.*sparse/, 0],
    ['the rest of another volume', tarOf(flag('M')), /UnsupportedError.*volume/, 0],
    ['an unknown type', tarOf(flag('Q')), /CorruptionError.*unknown type "Q"/, 0],
    ['a link with content', tarOf(flag('2')), /CorruptionError.*a link with 5 bytes/, 0],
    ['one block of zeros', Buffer.concat([tarEntry(A), new Uint8Array(512), tarEntry(A), TAR_END]), /CorruptionError.*one block of zeros/, 1024],
    ['bytes behind the end', Buffer.concat([tarOf(A), tarEntry(A)]), /CorruptionError.*behind its end/, 2048],
    ['no end', tarEntry(A), /CorruptionError.*cut short/, 1024],
  ])('%s', async (_, bytes, message, byte) => {
    const path = written(bytes)
    const error = await entriesOf(path).then(() => undefined, (reason: unknown) => reason)
    expect(isPositioned(error)).toBe(true)
    expect(String(error)).toMatch(message)
    expect(error).toMatchObject({ code: 'backup.tar', position: { file: path, byte } })
  })

  test('extended headers of 3 GB, in a file that has them', async () => {
    for (const type of ['x', 'g', 'L', 'K']) {
      const path = written(tarHeader({ name: 'h', type, size: '30000000000\0' }))
      const fd = openSync(path, 'r+')
      ftruncateSync(fd, 3 * 2 ** 30 + 2048)
      writeSync(fd, 'x', 600)
      closeSync(fd)
      const before = process.memoryUsage().rss
      await expect(entriesOf(path)).rejects.toThrow(/backup\.tar: .*extended header of 3221225472 bytes; ltap takes up to 1048576/)
      expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28)
      rmSync(path)
    }
  })

  test('cut at every place', async () => {
    const whole = tarOf(longName(LONG), A, { name: 'b', content: new Uint8Array(600) })
    for (let length = 0; length < whole.length; length += 37) await expect(entriesOf(written(whole.subarray(0, length)))).rejects.toThrow(/^backup\.tar: .*cut short/)
  })

  test('rooted names are of WAL-G only', async () => {
    const path = written(tarOf({ ...A, name: '/base/1/2' }))
    expect((await entriesOf(path, true)).map(({ name }) => name)).toEqual(['base/1/2'])
    await expect(entriesOf(path)).rejects.toThrow(/absolute/)
    await expect(entriesOf(written(tarOf({ ...A, name: '/base/../2' })), true)).rejects.toThrow(/'\.\.'/)
  })
})

test('what GNU tar packs, in each of its formats', async () => {
  const folder = join(root, 'packed')
  mkdirSync(join(folder, 'x'.repeat(90), 'y'.repeat(90)), { recursive: true })
  writeFileSync(join(folder, 'x'.repeat(90), 'y'.repeat(90), 'z'.repeat(90)), 'deep')
  writeFileSync(join(folder, 'größe'), 'umlaut')
  for (const format of ['gnu', 'pax', 'oldgnu', 'posix']) {
    const path = written(new Uint8Array(0))
    execFileSync('tar', [`--format=${format}`, '-C', folder, '-cf', path, '.'])
    const found = (await entriesOf(path)).filter(({ type }) => type === 'file').map(({ name, content }) => [name, content])
    expect(found.sort()).toEqual([['größe', 'umlaut'], [`${'x'.repeat(90)}/${'y'.repeat(90)}/${'z'.repeat(90)}`, 'deep']].sort())
  }
})

/** What a reader makes of a file: entries, an error of ours, or something that it should not throw. */
async function outcome(read: (path: string) => Promise<Seen[]>, path: string): Promise<Seen[] | 'refused' | 'uncaught'> {
  try {
    return await read(path)
  } catch (error) {
    return isPositioned(error) ? 'refused' : 'uncaught'
  }
}

const FUZZ_INPUTS = amount({ quick: 1500, sample: 5000, all: 100_000 })
test('mutated headers under right checksums: no hang, nothing uncaught, and what is read is what GNU tar reads', async () => {
  const random = new Random(TEST_SEED)
  const sound = tarOf(pax(['path', 'p/q'], ['size', '5']), A, longName(LONG), A, { name: 'dir/', type: '5' }, { name: 'l', type: '2', link: 'x' }, { name: 'b', content: new Uint8Array(700) })
  const heads = Array.from({ length: sound.length / 512 }, (_, n) => n * 512).filter((at) => isTarHeader(sound.subarray(at, at + 512)))
  let read = 0
  for (let i = 0; i < FUZZ_INPUTS; i++) {
    const bytes = new Uint8Array(sound)
    for (let n = 1 + random.int(3); n > 0; n--) {
      const at = heads[random.int(heads.length)]!
      const fields = [0, 124, 130, 135, 148, 156, 157, 257, 345, 500]
      const place = at + fields[random.int(fields.length)]! + random.int(12)
      bytes[place] = [0, 0x20, 0x2d, 0x2f, 0x30, 0x37, 0x39, 0x4c, 0x78, 0x80, 0xff, random.int(256)][random.int(12)]!
      seal(bytes.subarray(at, at + 512))
    }
    const path = written(bytes)
    const found = await outcome(entriesOf, path)
    expect(found, `input ${i}`).not.toBe('uncaught')
    if (typeof found !== 'string' && read++ % 10 === 0) expect(found.map(({ name }) => name), `input ${i}: ${path}`).toEqual(listedByTar(path))
    rmSync(path)
  }
  expect(read).toBeGreaterThan(FUZZ_INPUTS / 20)
})

test('the fuzz would find a reader that trusts', async () => {
  const trusting = (): Promise<Seen[]> => Promise.resolve([{ name: (undefined as unknown as string).slice(1), type: '', content: '' }]).catch(() => [])
  expect(await outcome(async () => trusting(), 'x')).toBe('uncaught')
})

/** Names as GNU tar lists them, without `./` before and `/` behind. */
function listedByTar(path: string): string[] {
  // Its exit code says no also for a time or a device number that makes no sense.
  const { stdout } = spawnSync('tar', ['--quoting-style=literal', '-tf', path], { encoding: 'utf8' })
  return stdout.split('\n').filter((name) => name !== '').map((name) => name.split('/').filter((part) => part !== '' && part !== '.').join('/'))
}
