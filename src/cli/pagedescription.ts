import { dataView } from '../common/bytes.ts'
import { isPositioned } from '../common/errors.ts'
import { formatLsn } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { pageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage, type PageHeader, readPageHeader, SIZE_OF_PAGE_HEADER } from '../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { hexLines, linePointerState, pageFlagNames } from '../page/pagetext.ts'
import { isSequenceArea } from '../page/specialarea.ts'
import { bitmapLength, readTupleHeader, SIZE_OF_TUPLE_HEADER } from '../tuple/header.ts'
import { HEAP_HASNULL } from '../tuple/infomask.ts'
import { infomask2Names, infomaskNames } from '../tuple/infomasktext.ts'

/** One page as `ltap inspect page --json` writes it. Nothing is refused: what cannot be is named in `problems`. */
export interface PageDescription {
  /** Within the file, and within the relation's fork. */
  block: number
  forkBlock: number
  /** Every byte is zero: never initialised. */
  zero: boolean
  header: Omit<PageHeader, 'lsn' | 'pruneXid'> & { lsn: string; pruneXid: string; flagNames: string[]; checksumState: 'ok' | 'mismatch' | 'none' }
  /** `index` for any page with a special space that is no sequence's: its items are no heap tuples. */
  kind: 'heap' | 'sequence' | 'index'
  problems: string[]
  items: ItemDescription[]
}

export interface ItemDescription {
  /** Line pointer number, from 1. */
  offset: number
  state: string
  off: number
  len: number
  tuple?: TupleDescription
  /** Lines of the item's bytes. */
  hex?: string[]
}

export interface TupleDescription {
  /** Transaction ids are strings in all JSON. */
  xmin: string
  xmax: string
  /** t_cid or t_xvac. */
  field3: number
  ctid: string
  natts: number
  hoff: number
  infomask: number
  infomask2: number
  infomaskNames: string[]
  /** 1 = not null, first attribute first, as pageinspect shows t_bits; null without a bitmap. */
  bits: string | null
}

const MAX_LINE_POINTERS = (BLOCK_SIZE - SIZE_OF_PAGE_HEADER) / 4

/** @param page 8192 bytes @param hex also dump each item */
export function describePage(page: Uint8Array, block: number, forkBlock: number, hex: boolean): PageDescription {
  const header = readPageHeader(dataView(page))
  const zero = isZeroPage(page)
  const computed = pageChecksum(page, forkBlock)
  const checksumState = header.checksum === 0 ? 'none' : header.checksum === computed ? 'ok' : 'mismatch'
  const problems = zero ? [] : findProblems(page)
  if (checksumState === 'mismatch') problems.push(`pd_checksum is ${header.checksum}, computed ${computed}`)
  const kind = pageKind(page, header.special)
  const count = Math.min(linePointerCount(page), MAX_LINE_POINTERS)
  const items = Array.from({ length: count }, (_, i) => describeItem(page, i + 1, kind, hex, problems))
  return {
    block, forkBlock, zero, kind, problems, items,
    header: { ...header, lsn: formatLsn(header.lsn), pruneXid: String(header.pruneXid), flagNames: pageFlagNames(header.flags), checksumState },
  }
}

function findProblems(page: Uint8Array): string[] {
  try {
    checkPageHeader(page)
    checkLinePointers(page)
    return []
  } catch (error) {
    if (isPositioned(error)) return [error.message]
    throw error
  }
}

function pageKind(page: Uint8Array, special: number): PageDescription['kind'] {
  if (special >= BLOCK_SIZE || special === 0) return 'heap'
  return isSequenceArea(page, special) ? 'sequence' : 'index'
}

function describeItem(page: Uint8Array, offset: number, kind: PageDescription['kind'], hex: boolean, problems: string[]): ItemDescription {
  const word = linePointer(page, offset)
  const off = lpOff(word)
  const len = lpLen(word)
  const item: ItemDescription = { offset, state: linePointerState(lpFlags(word)), off, len }
  if (lpFlags(word) !== LP_NORMAL || off + len > BLOCK_SIZE) return item
  if (hex) item.hex = hexLines(page, off, off + len)
  if (kind === 'index' || len < SIZE_OF_TUPLE_HEADER) return item
  item.tuple = describeTuple(page, off, len)
  if (item.tuple.hoff > len || item.tuple.hoff & 7) problems.push(`line pointer ${offset}: impossible t_hoff ${item.tuple.hoff}`)
  return item
}

function describeTuple(page: Uint8Array, off: number, len: number): TupleDescription {
  const header = readTupleHeader(page, off)
  const { infomask, infomask2, natts } = header
  const fits = SIZE_OF_TUPLE_HEADER + bitmapLength(natts) <= len
  return {
    xmin: String(header.xmin),
    xmax: String(header.xmax),
    field3: header.cid,
    ctid: `(${header.ctidBlock},${header.ctidOffset})`,
    natts,
    hoff: header.hoff,
    infomask,
    infomask2,
    infomaskNames: [...infomaskNames(infomask), ...infomask2Names(infomask2)],
    bits: infomask & HEAP_HASNULL && fits ? nullBits(page, off + SIZE_OF_TUPLE_HEADER, natts) : null,
  }
}

function nullBits(page: Uint8Array, start: number, natts: number): string {
  return Array.from({ length: natts }, (_, i) => (page[start + (i >> 3)]! >> (i & 7)) & 1).join('')
}

const ITEM_TITLES = ['lp', 'state', 'lp_off', 'lp_len', 't_xmin', 't_xmax', 't_field3', 't_ctid', 'natts', 't_hoff', 'infomask']

/** The description as lines of text, an empty one at the end. */
export function formatPage({ block, forkBlock, zero, header, kind, problems, items }: PageDescription): string {
  const title = `block ${block}${forkBlock === block ? '' : ` (block ${forkBlock} of the relation)`}`
  if (zero) return `${title}: all zero, never initialised\n\n`
  const size = header.pagesizeVersion & 0xff00
  const version = header.pagesizeVersion & 0xff
  const lines = [
    `${title}: ${kind} page, ${items.length} line pointers, ${header.upper - header.lower} bytes free`,
    `  pd_lsn ${header.lsn}  pd_checksum ${header.checksum} (${header.checksumState})  pd_flags ${header.flagNames.join(' ') || '0'}`,
    `  pd_lower ${header.lower}  pd_upper ${header.upper}  pd_special ${header.special}  pd_prune_xid ${header.pruneXid}` +
      `  page size ${size}  layout version ${version}`,
    ...problems.map((problem) => `  PROBLEM ${problem}`),
    ...itemLines(items),
  ]
  return `${lines.join('\n')}\n\n`
}

function itemLines(items: readonly ItemDescription[]): string[] {
  if (items.length === 0) return []
  const table = [ITEM_TITLES, ...items.map(itemCells)]
  const widths = ITEM_TITLES.map((_, column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)))
  const [titles, ...rows] = table.map((cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd())
  return [titles!, ...rows.flatMap((row, i) => [row, ...(items[i]!.hex ?? []).map((line) => `      ${line}`)])]
}

function itemCells({ offset, state, off, len, tuple }: ItemDescription): string[] {
  const cells = [String(offset), state, String(off), String(len)]
  if (tuple === undefined) return cells
  const { xmin, xmax, field3, ctid, natts, hoff, bits } = tuple
  const nulls = bits === null ? [] : [`t_bits=${bits}`]
  return [...cells, ...[xmin, xmax, field3, ctid, natts, hoff].map(String), [...tuple.infomaskNames, ...nulls].join(' ')]
}
