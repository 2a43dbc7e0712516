/**
 * Odd pages of fixtures/pages: the decoders see what pageinspect saw, a transcode leads back to the canonical page, and a damaged page is refused
 * with the code that its file says. A page and its JSON that are dropped in are a test.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseColumnList } from '../../src/catalog/columnlist.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { dataView, hexEncode } from '../../src/common/bytes.ts'
import { isPositioned } from '../../src/common/errors.ts'
import { formatLsn } from '../../src/common/ids.ts'
import { checkPageChecksum, isZeroPage, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff, pageChecksum, readPageHeader } from '../../src/page/index.ts'
import {
  HEAP_COMBOCID, HEAP_HASEXTERNAL, HEAP_HASNULL, HEAP_XMAX_EXCL_LOCK, HEAP_XMAX_IS_MULTI, HEAP_XMAX_KEYSHR_LOCK, HEAP_XMAX_LOCK_ONLY, HEAP_XMIN_FROZEN,
} from '../../src/tuple/infomask.ts'
import { bitmapLength, readTupleHeader, SIZE_OF_TUPLE_HEADER } from '../../src/tuple/header.ts'
import { canonicalOf } from '../support/arbitrarypages.ts'

type Row = Record<string, string | null>

interface Expectation {
  what: string
  columns: string
  /** Code of the error; header and items are then absent. */
  refused?: string
  header?: Row
  items?: Row[]
}

const FOLDER = join(import.meta.dirname, '../../fixtures/pages')
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.page')).map((name) => name.slice(0, -'.page'.length))
const pageOf = (name: string): Uint8Array => new Uint8Array(readFileSync(join(FOLDER, `${name}.page`)))
const expected = (name: string): Expectation => JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as Expectation

function headerOf(page: Uint8Array): Row {
  const h = readPageHeader(dataView(page))
  const numbers = { checksum: h.checksum, flags: h.flags, lower: h.lower, upper: h.upper, special: h.special, pagesize: h.pagesizeVersion & 0xff00, version: h.pagesizeVersion & 0xff, prune_xid: h.pruneXid }
  return { lsn: formatLsn(h.lsn), ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)])) }
}

function itemsOf(page: Uint8Array): Row[] {
  return Array.from({ length: linePointerCount(page) }, (_, i) => {
    const word = linePointer(page, i + 1)
    const place = { lp: String(i + 1), lp_off: String(lpOff(word)), lp_flags: String(lpFlags(word)), lp_len: String(lpLen(word)) }
    return { ...place, ...(lpFlags(word) === LP_NORMAL ? tupleOf(page.subarray(lpOff(word), lpOff(word) + lpLen(word))) : NO_TUPLE) }
  })
}

const NO_TUPLE: Row = { t_xmin: null, t_xmax: null, t_field3: null, t_ctid: null, t_infomask2: null, t_infomask: null, t_hoff: null, t_bits: null, t_data: null }

function tupleOf(tuple: Uint8Array): Row {
  const h = readTupleHeader(tuple, 0)
  const bits = Array.from({ length: bitmapLength(h.natts) * 8 }, (_, i) => (tuple[SIZE_OF_TUPLE_HEADER + (i >> 3)]! >> (i & 7)) & 1).join('')
  return {
    t_xmin: String(h.xmin), t_xmax: String(h.xmax), t_field3: String(h.cid), t_ctid: `(${h.ctidBlock},${h.ctidOffset})`, t_infomask2: String(h.infomask2),
    t_infomask: String(h.infomask), t_hoff: String(h.hoff), t_bits: h.infomask & HEAP_HASNULL ? bits : null, t_data: hexEncode(tuple.subarray(h.hoff)),
  }
}

/** Through Parquet and back, without TOAST: no row counts as visible, so that no value out of line is asked for. */
function roundTrip(page: Uint8Array, columns: string): Uint8Array {
  const relation = {
    spcOid: 1663, dbOid: 5, relNumber: 16384, database: 'shop', schema: 'public', name: 'odd', oid: 16384, relkind: 'r', blocks: 1, encoding: 6, desc: parseColumnList(columns),
  }
  const cluster = { systemIdentifier: '7', major: 17, checksums: true, lsn: '0/1000028', profile: 'portable' } as const
  const visibility = { isVisible: () => false, isDead: () => true, nextXid: { low: 100_000, epoch: 0 } }
  return rebuildPages(transcodePages(relation, page, { cluster, visibility, checksums: true, compression: 'zstd', onCorrupt: 'fail' }).parquet)
}

function codeOf(call: () => unknown): string {
  try {
    call()
    return 'no error'
  } catch (error) {
    if (isPositioned(error)) return error.code
    throw error
  }
}

test('each page has its expectation', () => {
  const files = readdirSync(FOLDER).filter((name) => /\.(?:page|json)$/.test(name))
  expect(files.length).toBe(names.length * 2)
  expect(names.length).toBeGreaterThan(12)
})

describe.each(names)('%s', (name) => {
  const page = pageOf(name)
  const { columns, refused, header, items } = expected(name)

  test('is what its file says', () => {
    if (refused !== undefined) {
      // With a right checksum, so that the damage itself is found.
      dataView(page).setUint16(8, pageChecksum(page, 0), true)
      expect(codeOf(() => roundTrip(page, columns))).toBe(refused)
      return
    }
    expect(headerOf(page)).toEqual(header)
    expect(itemsOf(page)).toEqual(items)
    if (!isZeroPage(page)) checkPageChecksum(page, 0)
  })

  test.runIf(refused === undefined)('comes back from Parquet', () => {
    const canonical = canonicalOf(page)
    if (!isZeroPage(page)) dataView(canonical).setUint16(8, pageChecksum(canonical, 0), true)
    expect(Buffer.compare(roundTrip(page, columns), canonical)).toBe(0)
  })
})

test('among them is every state of a line pointer, every flag of a page, and what transactions leave', () => {
  const sound = names.map(expected).filter(({ refused }) => refused === undefined)
  const items = sound.flatMap((page) => page.items!)
  const union = (rows: readonly Row[], name: string): number => rows.reduce((bits, row) => bits | Number(row[name] ?? 0), 0)
  expect(new Set(items.map((item) => item['lp_flags']))).toEqual(new Set(['0', '1', '2', '3']))
  expect(union(sound.map(({ header }) => header!), 'flags')).toBe(7)
  const wanted = HEAP_COMBOCID | HEAP_XMAX_IS_MULTI | HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_KEYSHR_LOCK | HEAP_XMAX_LOCK_ONLY | HEAP_HASEXTERNAL | HEAP_HASNULL | HEAP_XMIN_FROZEN
  expect(union(items, 't_infomask') & wanted).toBe(wanted)
  expect(union(items, 't_infomask2') >>> 13).toBe(7)
})

test('an expectation that is wrong is found', () => {
  const [item] = expected('hot-chain').items!.filter(({ t_xmin }) => t_xmin !== null)
  expect(itemsOf(pageOf('hot-chain'))).not.toContainEqual({ ...item, t_infomask: String(Number(item!['t_infomask']) ^ 1) })
})
