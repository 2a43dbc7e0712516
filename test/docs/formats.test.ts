/** The pages of docs/formats: their hex dumps decode to what pageinspect, pg_walinspect and hyparquet said of them, and their tables fit dumps and code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetMetadata, type SchemaElement } from 'hyparquet'
import { describe, expect, test } from 'vitest'
import { dataView } from '../../src/common/bytes.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { formatLsn, formatWalPosition } from '../../src/common/ids.ts'
import { parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import { checkLinePointers, checkPageHeader, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff, pageChecksum, readPageHeader } from '../../src/page/index.ts'
import { fileMetaData, readFooter } from '../../src/parquet/footer.ts'
import {
  type AttributeLayout, alignmentOf, decompress, deformTuple, headerLength, isCompressed, isExternal, METHOD_LZ4, newDeformedTuple, payloadStart,
  readToastPointer, readTupleHeader, SIZE_OF_TUPLE_HEADER, varlenaLength,
} from '../../src/tuple/index.ts'
import { IMAGE_PLAIN, WalRecord } from '../../src/wal/record.ts'
import { checkPageHeader as checkWalPageHeader, majorOfMagic, readWalPageHeader } from '../../src/wal/pageheader.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { lakeFileOfDocs, lakeOfDocs } from '../support/docsfile.ts'
import { dumpOf, readDoc, tablesOf } from '../support/docstables.ts'
import type { Dump } from '../support/hexdump.ts'

const HEAP = readDoc('docs/formats/heap-page.md')
const TUPLE = readDoc('docs/formats/tuple.md')
const WAL = readDoc('docs/formats/wal-record.md')
const LAKE = readDoc('docs/formats/lake-file.md')

const bytesOf = (dump: Dump): Uint8Array<ArrayBuffer> => Uint8Array.from(dump.bytes, (byte) => byte!)
/** What a dump says of its fields, by name. */
const said = ({ fields }: Dump): Record<string, string> =>
  Object.fromEntries(fields.filter(({ value }) => value !== '').map(({ name, value }) => [name, value]))

/** Fields of a table with bytes and sizes lie in the dump where the table says, counted from `start`. */
function expectPlaces(markdown: string, heading: string, dump: Dump, start = 0, prefix = ''): void {
  const table = tablesOf(markdown).find((found) => found.heading.startsWith(heading) && found.columns.includes('byte'))!
  expect(table.rows.length).toBeGreaterThan(2)
  for (const { byte, size, field } of table.rows) {
    if (size === '0') continue
    const found = dump.fields.find(({ name }) => name === `${prefix}${field}`)
    expect(found && [found.start - start, found.length], `${prefix}${field}`).toEqual([Number(byte), Number(size)])
  }
}

function heapPageOf(page: Uint8Array): Record<string, string> {
  checkPageHeader(page)
  checkLinePointers(page)
  const h = readPageHeader(dataView(page))
  const fields: Record<string, string> = {
    pd_lsn: formatLsn(h.lsn), pd_checksum: String(h.checksum), pd_flags: String(h.flags), pd_lower: String(h.lower), pd_upper: String(h.upper),
    pd_special: String(h.special), pd_pagesize_version: `${h.pagesizeVersion & 0xff00} | ${h.pagesizeVersion & 0xff}`, pd_prune_xid: String(h.pruneXid),
  }
  for (let offset = 1; offset <= linePointerCount(page); offset++) {
    const word = linePointer(page, offset)
    fields[`pd_linp[${offset}]`] = `lp_off ${lpOff(word)}, lp_flags ${lpFlags(word)}, lp_len ${lpLen(word)}`
  }
  return fields
}

describe('heap page', () => {
  const dump = dumpOf(HEAP, 'page')
  const page = bytesOf(dump)

  test('the decoder sees what pageinspect saw', () => {
    expect(heapPageOf(page)).toEqual(said(dump))
    expect(pageChecksum(page, 0)).toBe(readPageHeader(dataView(page)).checksum)
    expectPlaces(HEAP, 'Header', dump)
  })

  test('tuples lie where the line pointers say', () => {
    const tuples = dump.fields.filter(({ name }) => name.startsWith('tuple '))
    for (const { name, start, length } of tuples) {
      const word = linePointer(page, Number(name.slice('tuple '.length)))
      expect([lpFlags(word), lpOff(word), lpLen(word)], name).toEqual([LP_NORMAL, start, length])
    }
    expect(tuples.length).toBe(4)
  })

  test('the table of line pointers has their bits', () => {
    const { rows } = tablesOf(HEAP).find(({ columns }) => columns.includes('bits'))!
    const decoders: Record<string, (word: number) => number> = { lpOff, lpFlags, lpLen }
    for (const { bits = '', symbol = '' } of rows) {
      const [from, to] = bits.split(' to ').map(Number) as [number, number]
      const ones = 2 ** (to - from + 1) - 1
      expect(decoders[symbol]!(ones * 2 ** from), symbol).toBe(ones)
      expect(decoders[symbol]!(~(ones * 2 ** from) >>> 0), symbol).toBe(0)
    }
  })

  test('a changed bit is seen', () => {
    for (const { start, name } of dump.fields.filter(({ value }) => value !== '')) {
      const changed = page.slice()
      changed[start]! ^= 1
      const fields = (() => {
        try {
          return heapPageOf(changed)
        } catch {
          return 'refused'
        }
      })()
      expect(fields, name).not.toEqual(said(dump))
    }
  })
})

describe('tuple', () => {
  const dump = dumpOf(TUPLE, 'tuple')
  const bytes = bytesOf(dump)
  const NAMES = ['flag', 'id', 'none', 'short', 'plain', 'packed', 'out']
  const text: AttributeLayout = { len: -1, align: alignmentOf('i'), plain: false }
  const layouts: AttributeLayout[] = [
    { len: 1, align: alignmentOf('c'), plain: true }, { len: 4, align: alignmentOf('i'), plain: true }, text, text, text, text, text,
  ]

  function bitsOf(natts: number): string {
    const all = Array.from({ length: Math.ceil(natts / 8) * 8 }, (_, i) => (bytes[SIZE_OF_TUPLE_HEADER + (i >> 3)]! >> (i & 7)) & 1)
    return all.join('')
  }

  /** As the dump says it: the form, its header and what the header tells. */
  function varlena(name: string, at: number, end: number): Record<string, string> {
    const first = bytes[at]!
    if (isExternal(first)) {
      const { rawSize, extSize, valueId, toastRelId } = readToastPointer(bytes, at)
      return {
        [`${name}.va_header`]: '1B_E', [`${name}.va_tag`]: String(bytes[at + 1]), [`${name}.va_rawsize`]: String(rawSize + 4), [`${name}.va_extinfo`]: String(extSize),
        [`${name}.va_valueid`]: String(valueId), [`${name}.va_toastrelid`]: String(toastRelId),
      }
    }
    const length = varlenaLength(bytes, at, end)
    if (!isCompressed(first)) return { [`${name}.va_header`]: `${payloadStart(bytes, at) === at + 1 ? '1B' : '4B_U'}, ${length} bytes` }
    const method = dataView(bytes).getUint32(at + 4, true) >>> 30 === METHOD_LZ4 ? 'lz4' : 'pglz'
    return { [`${name}.va_header`]: `4B_C, ${length} bytes`, [`${name}.va_tcinfo`]: `${decompress(bytes, at + 4, at + length).length} bytes, ${method}` }
  }

  test('the decoder sees what pageinspect saw', () => {
    const h = readTupleHeader(bytes, 0)
    const out = newDeformedTuple(layouts.length)
    deformTuple(bytes, 0, bytes.length, h.hoff, h.natts, SIZE_OF_TUPLE_HEADER, layouts, out)
    const fields: Record<string, string> = {
      t_xmin: String(h.xmin), t_xmax: String(h.xmax), t_cid: String(h.cid), t_ctid: `(${h.ctidBlock},${h.ctidOffset})`, t_infomask2: String(h.infomask2),
      t_infomask: String(h.infomask), t_hoff: String(h.hoff), t_bits: bitsOf(h.natts),
      flag: String(bytes[out.starts[0]!] === 1), id: String(dataView(bytes).getInt32(out.starts[1]!, true)),
    }
    for (let i = 3; i < NAMES.length; i++) Object.assign(fields, varlena(NAMES[i]!, out.starts[i]!, out.ends[i]!))
    expect(fields).toEqual(said(dump))
    expect(headerLength(h.natts, true)).toBe(h.hoff)
    for (const [i, name] of NAMES.entries()) {
      const first = dump.fields.find((field) => field.name === name || field.name.startsWith(`${name}.`))
      if (first) expect(out.starts[i], name).toBe(first.start)
    }
  })

  test('the tables say where fields are', () => {
    expectPlaces(TUPLE, 'Header', dump)
    expectPlaces(TUPLE, 'TOAST', dump, dump.fields.find(({ name }) => name === 'out.va_header')!.start, 'out.')
  })
})

describe('WAL', () => {
  const MAJOR = 17
  const END = 0x1000000

  function pageFields(bytes: Uint8Array): Record<string, string> {
    const { magic, info, timeline, pageAddress, remaining, long } = readWalPageHeader(dataView(bytes), 0)
    return {
      xlp_magic: `0x${magic.toString(16)}`, xlp_info: `0x${info.toString(16).padStart(4, '0')}`, xlp_tli: String(timeline), xlp_pageaddr: formatWalPosition(pageAddress),
      xlp_rem_len: String(remaining), xlp_sysid: String(long?.systemIdentifier), xlp_seg_size: String(long?.segmentSize), xlp_xlog_blcksz: String(long?.pageSize),
    }
  }

  function recordFields(bytes: Uint8Array): Record<string, string> {
    const record = new WalRecord()
    record.decode(bytes, dataView(bytes), 0, END, END + bytes.length, MAJOR)
    const block = record.block(0)!
    const flags = ['main', ...(block.hasImage ? ['BKPBLOCK_HAS_IMAGE'] : []), ...(block.hasData ? ['BKPBLOCK_HAS_DATA'] : [])]
    expect([block.imageCompression, block.fork, record.blockCount]).toEqual([IMAGE_PLAIN, 0, 1])
    return {
      xl_tot_len: String(record.length), xl_xid: String(record.xid), xl_prev: formatWalPosition(record.prev), xl_info: `0x${hex2(record.info)}`,
      xl_rmid: String(record.rmgr), xl_crc: `0x${record.crc.toString(16)}`, 'block.id': String(block.id), 'block.fork_flags': flags.join(', '),
      'block.data_length': String(block.dataLength),
      ...(block.hasImage && {
        'image.length': String(block.imageLength), 'image.hole_offset': String(block.holeOffset),
        'image.bimg_info': [...(block.holeLength > 0 ? ['HAS_HOLE'] : []), ...(block.applyImage ? ['APPLY'] : [])].join(', '),
      }),
      'block.spcOid': String(block.spcOid), 'block.dbOid': String(block.dbOid), 'block.relNumber': String(block.relNumber), 'block.block': String(block.block),
      'main.id': '255', 'main.data_length': String(record.mainLength),
    }
  }

  const hex2 = (value: number): string => value.toString(16).padStart(2, '0')

  /** The reader takes a record only with a sound CRC. It is put on the first page of a later segment, since xl_prev must be smaller. */
  function isSound(bytes: Uint8Array): boolean {
    const header = bytesOf(dumpOf(WAL, 'page'))
    const { pageAddress, timeline, long } = readWalPageHeader(dataView(header), 0)
    const { segmentSize } = long!
    const start = pageAddress + segmentSize
    const page = new Uint8Array(8192)
    page.set(header)
    page.set(bytes, header.length)
    dataView(page).setBigUint64(8, BigInt(start), true)
    const reader = new WalReader({ major: MAJOR, start, timeline, segmentSize })
    reader.feed(page)
    return reader.next()?.length === bytes.length
  }

  test('page header', () => {
    const dump = dumpOf(WAL, 'page')
    const bytes = bytesOf(dump)
    expect(pageFields(bytes)).toEqual(said(dump))
    expectPlaces(WAL, 'Page header', dump)
    const { magic, pageAddress, long } = readWalPageHeader(dataView(bytes), 0)
    expect(majorOfMagic(magic)).toBe(MAJOR)
    expect(checkWalPageHeader(dataView(bytes), 0, pageAddress, 1, { major: MAJOR, segmentSize: long!.segmentSize, timeline: 1, systemIdentifier: undefined })).toBeUndefined()
  })

  test.each(['image', 'data'])('record with %s', (name) => {
    const dump = dumpOf(WAL, name)
    const bytes = bytesOf(dump)
    expect(recordFields(bytes)).toEqual(said(dump))
    expectPlaces(WAL, 'Record header', dump)
    expectPlaces(WAL, 'Block header', dump, dump.fields.find((field) => field.name === 'block.id')!.start)
    const record = new WalRecord()
    record.decode(bytes, dataView(bytes), 0, END, END, MAJOR)
    const place = (field: string): unknown => dump.fields.find((found) => found.name === field)
    expect(place('main data')).toMatchObject({ start: record.mainStart, length: record.mainLength })
    const block = record.block(0)!
    if (block.hasImage) expect(place('image')).toMatchObject({ start: block.imageStart, length: block.imageLength })
    else expect(place('block data')).toMatchObject({ start: block.dataStart, length: block.dataLength })
    expect(isSound(bytes)).toBe(true)
    bytes[bytes.length - 1]! ^= 1
    expect(isSound(bytes)).toBe(false)
  })
})

describe('lake file', () => {
  const dump = dumpOf(LAKE, 'file')
  const file = readFileSync(lakeFileOfDocs())
  const footer = readFooter(file)
  const metadata = parquetMetadata(file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer)
  const entry = footer.metadata.get('ltap')!

  test('the dump is of the file, and its fields are those of the footer', () => {
    expect(dump.bytes.length).toBe(file.length)
    expect(dump.bytes.map((byte, at) => byte ?? file[at])).toEqual([...file])
    const shown = said(dump)
    expect(shown['version']).toBe(String(metadata.version))
    expect(shown['footer_length']).toBe(String(fileMetaData(file).length))
    expect(dump.fields.find(({ name }) => name === 'version field')!.start).toBe(file.length - 8 - fileMetaData(file).length)
    expect(entry.startsWith(shown['value']!)).toBe(true)
    expect(shown['value_length']).toBe(String(Buffer.byteLength(entry)))
    expect([shown['magic'], shown['end_magic'], shown['key'], footer.rows]).toEqual(['PAR1', 'PAR1', 'ltap', Number(metadata.num_rows)])
    expect(parseFileDescriptor(entry).relation.name).toBe('orders')
  })

  test('crc32c is of the text without it', () => {
    const [, crc, rest] = /^\{"crc32c":"([0-9a-f]{8})",(.*)$/s.exec(entry)!
    expect(crc32c(Buffer.from(`{${rest}`))).toBe(parseInt(crc!, 16))
  })

  const member = (table: string): Map<string, string> => {
    const { rows } = tablesOf(LAKE).find(({ columns }) => columns[0] === table)!
    return new Map(rows.map((row) => [row[table]!, row['meaning']!]))
  }

  /** Every member that is there has a row, and every row that is not optional is there. */
  function expectMembers(found: object, rows: ReadonlyMap<string, string>): void {
    expect(Object.keys(found).filter((name) => !rows.has(name))).toEqual([])
    expect([...rows].filter(([name, meaning]) => !meaning.startsWith('optional') && !(name in found)).map(([name]) => name)).toEqual([])
  }

  test('the tables of members are those of the file and of the manifest', () => {
    const manifest = JSON.parse(readFileSync(join(lakeOfDocs(), 'ltap.json'), 'utf8')) as { relations: object[] }
    const descriptor = JSON.parse(entry) as { relation: object }
    expectMembers(descriptor, member('member'))
    expectMembers(manifest, tableAfter('The manifest', 'member'))
    for (const relation of manifest.relations) expectMembers(relation, member('member of a relation'))
    expect(() => expectMembers({ ...manifest, other: 1 }, tableAfter('The manifest', 'member'))).toThrow()
    for (const name of Object.keys(descriptor.relation)) expect(member('member').get('relation')).toContain(`\`${name}\``)
  })

  function tableAfter(heading: string, column: string): Map<string, string> {
    const { rows } = tablesOf(LAKE).find((table) => table.heading.startsWith(heading) && table.columns[0] === column)!
    return new Map(rows.map((row) => [row[column]!, row['meaning']!]))
  }

  test('the field ids of _ltap are those that hyparquet finds', () => {
    const { rows } = tablesOf(LAKE).find(({ columns }) => columns[0] === 'child of `_ltap`')!
    const documented = new Set(rows.flatMap((row) => [...`${row['field id']} ${row['meaning']}`.matchAll(/\b10000\d\d\b/g)].map(([id]) => Number(id))))
    const ids = metadata.schema.map((element: SchemaElement) => element.field_id).filter((id) => id !== undefined && id >= 1_000_000 && id < 2_000_000)
    expect([...documented].sort()).toEqual([...new Set(ids)].sort())
    for (const row of rows) {
      const element = metadata.schema.find((found: SchemaElement) => found.field_id === Number(row['field id']))
      expect(element?.name, row['field id']).toBe(row['child of `_ltap`'])
    }
  })
})
