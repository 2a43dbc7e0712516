/** What is read from outside: each member of a HEAD, a page and a format file is checked, whoever wrote it. */
import { describe, expect, test } from 'vitest'
import { CorruptionError, UnsupportedError } from '../../../src/common/errors.ts'
import { decodeFormat, encodeFormat } from '../../../src/lake/state/format.ts'
import { decodeHead, encodeHead, type Head } from '../../../src/lake/state/head.ts'
import { formatObjectName, parseObjectName } from '../../../src/lake/state/names.ts'
import { dataKeys } from '../../../src/lake/tablefolder.ts'
import { decodePage, encodePage, type Page, type PageRef, pageText } from '../../../src/lake/state/page.ts'
import { emptyHead } from '../../../src/lake/state/registrations.ts'
import { parseRelation } from '../../../src/lake/state/relationlayers.ts'
import { parseStatus, statusKey } from '../../../src/lake/state/status.ts'
import { decodeStateText, encodeStateText } from '../../../src/lake/state/statetext.ts'
import type { Compressor } from '../../../src/parquet/compressor.ts'
import { loadZstd } from '../../../src/parquet/zstdcompressor.ts'
import { sealedHead } from '../../support/forge.ts'
import { refOf } from './states.ts'

const zstd = await loadZstd()

const NONCE = 'abcdefghij0123456789'
const REF = { key: `ltap/parts/${NONCE}-1-2-${NONCE}`, start: 0, length: 10, crc: 7 }

const HEAD: Head = {
  ...emptyHead({ id: NONCE, name: 'main' }, NONCE), epoch: 2, epochs: [{ epoch: 1, writer: NONCE, sequence: 3 }, { epoch: 2, writer: NONCE, sequence: 5 }], low: 6,
  state: {
    sequence: 5, timeline: 1, lsn: '0/50', time: 17, roots: { layers: REF },
    made: { kind: 'layers+merge', requests: { get: 7, put: 2 }, bytesUp: 300, bytesDown: 40 },
  },
  inline: [{ sequence: 4, tree: 'layers', key: '5/1/1663@0/8', value: { layers: [] } }, { sequence: 5, tree: 'status', key: '0001' }],
  retained: [{ sequence: 4, timeline: 1, lsn: '0/40', roots: {}, log: REF }],
  tags: [{ id: NONCE, name: 'release', state: { sequence: 4, timeline: 1, lsn: '0/40', roots: {}, log: REF } }],
  jobs: [{ id: NONCE, name: 'job', state: { sequence: 4, timeline: 1, lsn: '0/40', roots: {}, log: REF }, source: { systemIdentifier: '7', lsn: '0/60' } }],
}

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** HEAD with one member changed, under a right CRC. */
function forged(change: (head: Record<string, never>) => void): Uint8Array {
  const head = JSON.parse(new TextDecoder().decode(encodeHead(HEAD).subarray(HEAD_START))) as Record<string, never>
  change(head)
  return sealedHead(bytesOf(head))
}

/** "lthd" and the CRC-32C. */
const HEAD_START = 8

describe('HEAD', () => {
  test('is what was written', () => expect(decodeHead(encodeHead(HEAD), 'main')).toEqual(HEAD))

  test.each<[string, (head: Record<string, Record<string, unknown> & unknown[]>) => void]>([
    ['branch.id is "x"', (head) => { head['branch']!['id'] = 'x' }],
    ['epoch is 3', (head) => { head['epoch'] = 3 as never }],
    ['epochs[1].epoch is 1', (head) => { head['epochs']!.reverse(); head['epoch'] = 1 as never }],
    ['low is 99', (head) => { head['low'] = 99 as never }],
    ['state.made.requests.put is -1', (head) => { (head['state']!['made'] as { requests: { put: number } }).requests.put = -1 }],
    ['state.made.kind is "<b>"', (head) => { (head['state']!['made'] as { kind: string }).kind = '<b>' }],
    ['state.lsn is "5"', (head) => { head['state']!['lsn'] = '5' }],
    ['state.roots.layers.key is "../x"', (head) => { (head['state']!['roots'] as { layers: { key: string } }).layers.key = '../x' }],
    ['state.sequence is 2', (head) => { head['state']!['sequence'] = 2; head['low'] = 3 as never }],
    ['retained[0].sequence is not below', (head) => { (head['retained']![0] as { sequence: number }).sequence = 5 }],
    ['inline[1].sequence is above', (head) => { (head['inline']![1] as { sequence: number }).sequence = 9 }],
    ['tags[0].name is "a/b"', (head) => { (head['tags']![0] as { name: string }).name = 'a/b' }],
    ['jobs[0].source.systemIdentifier is "x"', (head) => { (head['jobs']![0] as { source: { systemIdentifier: string } }).source.systemIdentifier = 'x' }],
    ['leases is missing', (head) => { delete head['leases'] }],
    // With a length behind it, it would be no exact number any more; an empty piece is no range of bytes.
    ['state.roots.layers.start is 9007199254740990', (head) => { (head['state']!['roots'] as { layers: PageRef }).layers = { ...REF, start: 9007199254740990 } }],
    ['state.roots.layers.length is 9007199254740991', (head) => { (head['state']!['roots'] as { layers: PageRef }).layers = { ...REF, length: Number.MAX_SAFE_INTEGER } }],
    ['state.roots.layers.length is 0', (head) => { (head['state']!['roots'] as { layers: PageRef }).layers = { ...REF, length: 0 } }],
    ['state.roots.layers.key is "abcd', (head) => { (head['state']!['roots'] as { layers: PageRef }).layers = { ...REF, key: Array(200).fill('abcd').join('/') } }],
  ])('%s', (message, change) => {
    expect(() => decodeHead(forged(change as never), 'main')).toThrow(CorruptionError)
    expect(() => decodeHead(forged(change as never), 'main')).toThrow(message)
  })

  test('of a forger who puts lists into lists is refused before anything walks it', () => {
    const text = Buffer.from(encodeHead(HEAD).subarray(HEAD_START)).toString()
    const having = (value: string): Uint8Array => sealedHead(Buffer.from(text.replace('{"layers":[]}', value)))
    const nested = (depth: number): Uint8Array => having('['.repeat(depth) + ']'.repeat(depth))
    for (const depth of [300, 20_000, 60_000]) {
      expect(() => decodeHead(nested(depth), 'main')).toThrow(new CorruptionError('lake.head', 'HEAD of branch main is damaged: it has more than 256 lists and objects within each other'))
    }
    expect(decodeHead(nested(200), 'main').inline).toHaveLength(2)
    const texts = JSON.stringify(['['.repeat(1000), `\\"${'{'.repeat(1000)}`, '\\'])
    expect(decodeHead(having(texts), 'main').inline[0]!.value).toEqual(JSON.parse(texts))
  })

  test('of a newer ltap is refused as such', () => {
    expect(() => decodeHead(forged((head) => { head['format'] = 3 as never }), 'main')).toThrow(new UnsupportedError('lake.format', 'HEAD of branch main has format version 3, this ltap reads 2: use a newer ltap'))
    expect(() => decodeHead(forged((head) => { head['surprise'] = 3 as never }), 'main')).toThrow(UnsupportedError)
  })

  test('never has more than 256 KB', () => {
    const tags = Array.from({ length: 3000 }, () => HEAD.tags[0]!)
    expect(() => encodeHead({ ...HEAD, tags })).toThrow(/above 262144, with 0 branches, 3000 tags.*delete some of them/)
  })

  test.each(['', '{', 'null', '[]', '"x"', '\xff'])('%j is no HEAD', (text) => {
    for (const bytes of [Buffer.from(text, 'latin1'), sealedHead(Buffer.from(text, 'latin1'))]) expect(() => decodeHead(bytes, 'main')).toThrow(CorruptionError)
  })

  test.each([['compressed', zstd], ['JSON', undefined]])('%s with another bit, fewer bytes or more does not pass', (_, compressor) => {
    const bytes = encodeHead(HEAD, compressor)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => decodeHead(damaged, 'main'), `bit ${bit}`).toThrow(bit < 32 ? 'does not begin as a HEAD does' : 'has not the CRC')
    }
    for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])]) expect(() => decodeHead(other, 'main')).toThrow('has not the CRC')
  })
})

describe('pages', () => {
  const page = { tree: 'layers', level: 0, entries: [['a', 1], ['b', { x: 2 }]] } as const
  const read = (bytes: Uint8Array, ref: PageRef, expected: Parameters<typeof decodePage>[2]): Page => decodePage(pageText(bytes, ref), ref, expected)
  test('are what was written', () => {
    const bytes = encodePage(page)
    expect(read(bytes, refOf(bytes), { tree: 'layers', level: 0 })).toMatchObject(page)
  })
  test('with another byte do not pass', () => {
    const bytes = encodePage(page)
    const ref = refOf(bytes)
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice()
      damaged[i]! ^= 1
      expect(() => read(damaged, ref, { tree: 'layers' })).toThrow('CRC')
    }
    expect(() => read(bytes.subarray(1), ref, { tree: 'layers' })).toThrow('CRC')
  })
  test.each<[string, unknown]>([
    ['tree is status, not layers', { format: 2, tree: 'status', level: 0, entries: [] }], ['level is 1, not 0', { format: 2, tree: 'layers', level: 1, entries: [] }],
    ['entries[1] is not above', { format: 2, tree: 'layers', level: 0, entries: [['b', 1], ['a', 1]] }], ['entries[0][0]', { format: 2, tree: 'layers', level: 0, entries: [['a b', 1]] }],
    ['level', { format: 2, tree: 'layers', level: 99, entries: [] }], ['format version 3', { format: 3 }],
  ])('of a forger: %s', (message, value) => {
    const bytes = bytesOf(value)
    expect(() => read(bytes, refOf(bytes), { tree: 'layers', level: 0 })).toThrow(message)
  })
})

describe('compressed', () => {
  const persisted = { code: 'lake.page', name: 'the page' }
  const json = JSON.stringify({ of: 'abc'.repeat(1000) })
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

  test('as zstd, as JSON where that is shorter, and by another compressor', () => {
    const bytes = encodeStateText(json, zstd)
    expect(bytes.length).toBeLessThan(100)
    expect(text(decodeStateText(bytes, persisted, 10_000))).toBe(json)
    expect(text(encodeStateText('{}', zstd))).toBe('{}')
    expect(text(encodeStateText(json, undefined))).toBe(json)
    const reversed: Compressor = { name: 'reversed:test', compress: (from) => from.slice(0, 500).reverse(), decompress: () => new TextEncoder().encode(json) }
    const other = encodeStateText(json, reversed)
    expect(text(decodeStateText(other, persisted, 10_000, reversed))).toBe(json)
    expect(() => decodeStateText(other, persisted, 10_000)).toThrow(new UnsupportedError('lake.compressor', 'the page is compressed with reversed:test; this ltap reads zstd'))
  })

  test('a HEAD and a page are what was written, and far smaller', () => {
    const inline = Array.from({ length: 500 }, (_, i) => ({ sequence: 5, tree: 'layers' as const, key: `5/${16_384 + i}/1663@0/8`, value: { layers: [] } }))
    const head = { ...HEAD, inline }
    const bytes = encodeHead(head, zstd)
    expect(bytes.length).toBeLessThan(encodeHead(head).length / 5)
    expect(decodeHead(bytes, 'main')).toEqual(head)
    expect(encodePage({ tree: 'layers', level: 0, entries: inline.map(({ key, value }) => [key, value]) }, zstd).length).toBeLessThan(4000)
  })

  test('more than a reader takes is refused before it is made', () => {
    expect(() => decodeStateText(encodeStateText(json, zstd), persisted, 3000)).toThrow('the page is damaged: it has 3009 bytes, and at most 3000 are written')
    expect(() => decodeStateText(encodeStateText(json, undefined), persisted, 3000)).toThrow('it has 3009 bytes')
    // A HEAD that says that it has 2^40 bytes, in 64 KB.
    const forgedHead = Uint8Array.from([0x6c, 0x74, 0x73, 0x74, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 4, 0x7a, 0x73, 0x74, 0x64, ...zstd.compress(new Uint8Array(1 << 20))])
    expect(() => decodeHead(sealedHead(forgedHead), 'main')).toThrow(/HEAD of branch main is damaged: it has 1099511627776 bytes, and at most 262144/)
  })

  test('any other byte is a CorruptionError, or the same text', () => {
    const bytes = encodeStateText(json, zstd)
    for (let i = 0; i < bytes.length; i++) {
      for (const change of [1, 0x80]) {
        const damaged = bytes.map((byte, at) => (at === i ? byte ^ change : byte))
        try {
          decodeStateText(damaged, persisted, 10_000)
        } catch (error) {
          if (!(error instanceof UnsupportedError)) expect(error).toBeInstanceOf(CorruptionError)
        }
      }
      if (i >= 4) expect(() => decodeStateText(bytes.slice(0, i), persisted, 10_000)).toThrow(CorruptionError)
    }
  })
})

test('the format of a lake', () => {
  const format = { systemIdentifier: '7000000000000000001', profile: 'portable', cas: 'if-match', main: NONCE } as const
  expect(decodeFormat(encodeFormat(format))).toEqual(format)
  expect(() => decodeFormat(bytesOf({ ...format, format: 2, cas: 'hope' }))).toThrow('cas is "hope"')
  expect(() => decodeFormat(bytesOf({ format: 9 }))).toThrow('format version 9, this ltap reads 2')
})

test('entries of a state', () => {
  const relation = { tree: 'layers', key: '5/1/1663@0/8' } as const
  expect(() => parseRelation({ layers: [{ lsn: '0/8', smallest: 0, length: 1, files: [{ key: '/etc/passwd' }] }] }, relation)).toThrow('the entry 5/1/1663@0/8 of layers is damaged: layers[0].files[0].key is "/etc/passwd"')
  expect(() => parseRelation({ layers: [{ lsn: '0/8', smallest: -1, length: 1, files: [] }] }, relation)).toThrow('layers[0].smallest is -1')
  expect(() => parseStatus({ ended: 'maybe', lsn: '0/8', time: 1 }, statusKey(745n))).toThrow('the entry 00000000000000000745 of status is damaged')
  expect(parseStatus({ ended: 'committed', after: '0/8', until: '0/10' }, statusKey(745n))).toEqual({ ended: 'committed', after: '0/8', until: '0/10' })
})

describe('names of objects', () => {
  test.each([{ branch: NONCE, epoch: 3, sequence: 17 }, { branch: NONCE, job: NONCE }])('%o', (name) => {
    expect(parseObjectName(`shop/public.t-5/data/${formatObjectName(name, NONCE)}.parquet`)).toEqual(name)
    expect(parseObjectName(dataKeys('shop/public.t-5', formatObjectName(name, NONCE)).key)).toEqual(name)
  })
  test('a file of deletion vectors has the name of its folder', () => {
    const name = formatObjectName({ branch: NONCE, epoch: 3, sequence: 17 }, NONCE)
    const file = 'deletion_vector_00000000-1111-2222-3333-4444444444ff.bin'
    expect(parseObjectName(`shop/public.t-5/${name}/${file}`)).toEqual({ branch: NONCE, epoch: 3, sequence: 17 })
    for (const key of [file, `shop/${file}`, `shop/${name}/x.bin`, `shop/${name}/x/${file}`, `shop/${name}/${file}.tmp`]) expect(parseObjectName(key), key).toBeUndefined()
  })
  test.each(['ltap/format.json', 'ltap/branches/main/HEAD', 'x.parquet', `${NONCE}-1-${NONCE}`, `${NONCE}-01-1-${NONCE}`, `${NONCE}-1-1-${NONCE}x`, `${NONCE}-1-9999999999999999-${NONCE}`, ''])(
    '%j is no name of a lake', (key) => expect(parseObjectName(key)).toBeUndefined())
})
