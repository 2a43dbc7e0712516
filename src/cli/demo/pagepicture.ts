/**
 * One page on its way: bytes of the heap file → columns of the Parquet file → the same bytes, formed from the columns.
 *
 *     heap page                    Parquet columns                   rebuilt page
 *     e1020000 e5020000 00000000   _ltap: xmin 737, xmax 741         e1020000 e5020000 00000000
 *     f3030000 00000000            id = 1011                         f3030000 00000000
 */
import { join } from 'node:path'
import type { Attribute } from '../../catalog/tupledesc.ts'
import { PageRebuilder } from '../../columnar/rebuild.ts'
import { assert } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { readHeapFile } from '../../io/datadir/heapfile.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import type { FileOfRelation } from '../../jobs/lakes/layerfiles.ts'
import { canonicalPage, firstDifference, newPageBuffer } from '../../page/canonical.ts'
import { linePointer, lpLen, lpOff } from '../../page/linepointer.ts'
import { deformTuple, newDeformedTuple } from '../../tuple/deform.ts'
import { readTupleHeader, SIZE_OF_TUPLE_HEADER } from '../../tuple/header.ts'
import { HEAP_HASNULL } from '../../tuple/infomask.ts'
import { thousands } from '../count.ts'
import type { Paint } from './paint.ts'

/** A tuple as DuckDB reads it from the lake: `_ltap` is an object, user columns are JSON values. */
export interface LakeTuple {
  _ltap: Record<string, unknown>
  [column: string]: unknown
}

export interface PagePicture {
  relation: string
  block: number
  offset: number
  equal: boolean
  lines: string[]
}

export interface PictureSource {
  pgdata: string
  relation: LakeRelation
  /** Those of the relation. */
  files: readonly FileOfRelation[]
  read: (file: FileOfRelation['file']) => Promise<Uint8Array>
  tuple: LakeTuple
}

const BYTES_PER_LINE = 12
const LINES_PER_COLUMN = 2
const HEX_WIDTH = 26
const VALUE_WIDTH = 42

/** Pictures one tuple of a page, and compares the whole page. */
export async function picturePage({ pgdata, relation, files, read, tuple }: PictureSource, paint: Paint): Promise<PagePicture> {
  const block = Number(tuple._ltap['block'])
  const offset = Number(tuple._ltap['offset'])
  const heap = readPage(join(pgdata, relation.path), block)
  const holder = files.find(({ current }) => current.has(block))
  assert(holder !== undefined, `no file of the lake holds block ${block}`)
  const { page: rebuilt, attributes } = rebuildPage(await read(holder.file), block)
  const equal = isSamePage(heap, rebuilt)
  const word = linePointer(heap, offset)
  const start = lpOff(word)
  const { infomask, natts, hoff } = readTupleHeader(heap, start)
  const { starts, ends } = newDeformedTuple(attributes.length)
  const bits = infomask & HEAP_HASNULL ? start + SIZE_OF_TUPLE_HEADER : -1
  deformTuple(heap, start, start + lpLen(word), start + hoff, natts, bits, attributes, { starts, ends })
  const parts = [
    { text: ltapText(tuple._ltap), from: start, to: start + hoff },
    ...attributes.map(({ name }, i) => {
      const text = `${name} = ${valueText(tuple[name])}`
      return starts[i]! < 0 ? { text, from: 0, to: 0 } : { text, from: starts[i]!, to: ends[i]! }
    }),
  ]
  const head = ['heap page'.padEnd(HEX_WIDTH), 'Parquet columns'.padEnd(VALUE_WIDTH), 'formed from the columns'].join('  ')
  const lines = parts.flatMap(({ text, from, to }, i) =>
    partLines(heap.subarray(from, to), text, rebuilt.subarray(from, to)).map((line) => paint.series(i, line)))
  const verdict = equal ? paint.good(`all ${thousands(BLOCK_SIZE)} bytes of the page are the same`) : paint.bad('the pages differ')
  return { relation: `${relation.schema}.${relation.name}`, block, offset, equal, lines: [paint.bold(head), ...lines, verdict] }
}

function readPage(path: string, block: number): Uint8Array {
  for (const { page } of readHeapFile(path, block)) return page.slice()
  assert(false, `no block ${block}`)
}

function rebuildPage(file: Uint8Array, block: number): { page: Uint8Array; attributes: readonly Attribute[] } {
  const rebuilder = new PageRebuilder(file)
  let found = new Uint8Array(BLOCK_SIZE)
  rebuilder.rebuild((number, page) => {
    if (number === block) found = page.slice()
  })
  return { page: found, attributes: rebuilder.descriptor.relation.desc.attributes }
}

/** Every byte that Postgres can reach, the checksum too. */
function isSamePage(heap: Uint8Array, rebuilt: Uint8Array): boolean {
  const canonical = newPageBuffer()
  canonicalPage(wordsOf(heap), 0, canonical)
  canonical.bytes.set(heap.subarray(8, 10), 8)
  return firstDifference(canonical.words, 0, wordsOf(rebuilt), 0) < 0
}

function wordsOf(page: Uint8Array): Int32Array {
  return new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4)
}

function partLines(heap: Uint8Array, text: string, rebuilt: Uint8Array): string[] {
  const left = hexLines(heap)
  const right = hexLines(rebuilt)
  const middle = wrapped(text)
  return Array.from({ length: Math.max(left.length, middle.length) }, (_, i) =>
    [(left[i] ?? '').padEnd(HEX_WIDTH), (middle[i] ?? '').padEnd(VALUE_WIDTH), right[i] ?? ''].join('  ').trimEnd())
}

/** At most two lines, broken at a blank if there is one. */
function wrapped(text: string): string[] {
  if (text.length <= VALUE_WIDTH) return [text]
  const blank = text.lastIndexOf(' ', VALUE_WIDTH)
  const end = blank > VALUE_WIDTH / 2 ? blank : VALUE_WIDTH
  const rest = text.slice(end).trimStart()
  return [text.slice(0, end), rest.length > VALUE_WIDTH ? `${rest.slice(0, VALUE_WIDTH - 3)}...` : rest]
}

function hexLines(bytes: Uint8Array): string[] {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const hex = Array.from(bytes.subarray(at, at + BYTES_PER_LINE), (byte) => byte.toString(16).padStart(2, '0')).join('')
    lines.push(hex.replace(/(.{8})(?=.)/g, '$1 '))
  }
  if (lines.length > LINES_PER_COLUMN) {
    lines.length = LINES_PER_COLUMN
    lines[LINES_PER_COLUMN - 1] = `${lines[LINES_PER_COLUMN - 1]!.slice(0, HEX_WIDTH - 3)}...`
  }
  return lines
}

/** Where the tuple is, and what belongs to its page. */
const NOT_OF_THE_TUPLE = ['block', 'offset', 'page_lsn', 'page_crc', 'page_header']

/** The stored members of the tuple's header; a member that is null has its predicted value. */
function ltapText(ltap: Record<string, unknown>): string {
  const stored = Object.entries(ltap).filter(([name, value]) => value !== null && !NOT_OF_THE_TUPLE.includes(name))
  return `_ltap: ${stored.map(([name, value]) => `${name} ${valueText(value)}`).join(', ')}`
}

function valueText(value: unknown): string {
  return value === null ? 'NULL' : typeof value === 'object' ? JSON.stringify(value) : String(value)
}
