import { readI32, readU16, readU32 } from '../common/bytes.ts'
import { CorruptionError, withPosition } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import { checkPageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import type { PageSource } from '../page/pagesource.ts'
import { checkTupleHeader, deformTuple, newDeformedTuple, type DeformedTuple } from '../tuple/deform.ts'
import { readTupleHeader, SIZE_OF_TUPLE_HEADER, type TupleHeader } from '../tuple/header.ts'
import { HEAP_HASNULL } from '../tuple/infomask.ts'
import { decompress, readToastPointer, type ToastPointer } from '../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart } from '../tuple/varlena.ts'
import type { CatalogLayout } from './layout.ts'

/** Where a catalog's out-of-line values come from: its TOAST relation is another set of pages. Must find the value or throw. */
export interface CatalogToast {
  fetch(pointer: ToastPointer): Uint8Array
}

/** One row version of a catalog, on the page it was found on: valid only during the visit. Readers throw CorruptionError catalog.value. */
export class CatalogTuple {
  private bytes: Uint8Array = new Uint8Array(0)
  private readonly layout: CatalogLayout
  private readonly deformed: DeformedTuple
  private readonly toast: CatalogToast | undefined
  header!: TupleHeader

  constructor(layout: CatalogLayout, toast: CatalogToast | undefined) {
    this.layout = layout
    this.toast = toast
    this.deformed = newDeformedTuple(layout.attributes.length)
  }

  /** @returns false if `wanted` refuses the header */
  load(page: Uint8Array, start: number, length: number, wanted: (header: TupleHeader) => boolean): boolean {
    this.bytes = page
    this.header = readTupleHeader(page, start)
    if (!wanted(this.header)) return false
    const { natts, hoff, infomask } = this.header
    const hasNull = (infomask & HEAP_HASNULL) !== 0
    checkTupleHeader(hoff, natts, hasNull, length)
    const bits = hasNull ? start + SIZE_OF_TUPLE_HEADER : -1
    deformTuple(page, start, start + length, start + hoff, natts, bits, this.layout.attributes, this.deformed)
    return true
  }

  isNull(column: number): boolean {
    return this.deformed.starts[column]! < 0
  }

  /** Stored in the catalog's TOAST relation. */
  isExternal(column: number): boolean {
    const start = this.deformed.starts[column]!
    return start >= 0 && isExternal(this.bytes[start]!)
  }

  oid(column: number): Oid {
    return readU32(this.bytes, this.fixed(column, 4))
  }

  int4(column: number): number {
    return readI32(this.bytes, this.fixed(column, 4))
  }

  int2(column: number): number {
    return (readU16(this.bytes, this.fixed(column, 2)) << 16) >> 16
  }

  /** IEEE single, exact as a double. */
  float4(column: number): number {
    const at = this.fixed(column, 4)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 4).getFloat32(0, true)
  }

  bool(column: number): boolean {
    const byte = this.bytes[this.fixed(column, 1)]!
    if (byte > 1) throw this.corrupt(column, `bool ${byte}`)
    return byte === 1
  }

  /** "char"; the empty string for the zero byte. */
  char(column: number): string {
    const byte = this.bytes[this.fixed(column, 1)]!
    return byte === 0 ? '' : String.fromCharCode(byte)
  }

  /** The bytes of a name up to its NUL: a copy. */
  name(column: number): Uint8Array {
    const start = this.fixed(column, 64)
    const end = this.bytes.indexOf(0, start)
    if (end < 0 || end >= start + 64) throw this.corrupt(column, 'a name without NUL')
    return this.bytes.slice(start, end)
  }

  /** The payload of a varlena, expanded: a copy. */
  payload(column: number): Uint8Array {
    const start = this.deformed.starts[column]!
    if (start < 0) throw this.corrupt(column, 'NULL')
    const end = this.deformed.ends[column]!
    const first = this.bytes[start]!
    if (isExternal(first)) return this.fetch(column, start)
    return isCompressed(first) ? decompress(this.bytes, start + 4, end) : this.bytes.slice(payloadStart(this.bytes, start), end)
  }

  private fetch(column: number, start: number): Uint8Array {
    if (this.toast === undefined) throw this.corrupt(column, 'an out-of-line value in a catalog without TOAST relation')
    const pointer = readToastPointer(this.bytes, start)
    const stored = this.toast.fetch(pointer)
    return pointer.compressed ? decompress(stored, 0, stored.length) : stored
  }

  private fixed(column: number, length: number): number {
    const start = this.deformed.starts[column]!
    if (start < 0) throw this.corrupt(column, 'NULL')
    if (this.deformed.ends[column]! - start !== length) throw this.corrupt(column, `${this.deformed.ends[column]! - start} bytes`)
    return start
  }

  private corrupt(column: number, reason: string): CorruptionError {
    return new CorruptionError('catalog.value', `${this.layout.name}, attribute ${column + 1}: ${reason}`)
  }
}

/** The main fork of a catalog. */
export interface OpenCatalog {
  /** For error messages: `shop.pg_catalog.pg_class`. */
  name: string
  /** All blocks are prepared, or at hand. */
  pages: PageSource
  /** The pages carry checksums. */
  checksums: boolean
}

export interface CatalogScan {
  source: OpenCatalog
  layout: CatalogLayout
  /** Which row versions to deform. */
  wanted: (header: TupleHeader) => boolean
  toast?: CatalogToast
  /** Called for a damaged page or tuple, which is passed over. Without it the error is thrown. */
  onDamage?: OnDamage
}

export type OnDamage = (error: CorruptionError) => void

/** Runs `body`; damage goes to `onDamage`, if it is there. */
export function orDamage<T>(onDamage: OnDamage | undefined, body: () => T): T | undefined {
  try {
    return body()
  } catch (error) {
    if (onDamage === undefined || !(error instanceof CorruptionError)) throw error
    onDamage(error)
    return undefined
  }
}

/**
 * Visits the wanted row versions of a catalog in physical order.
 * @throws CorruptionError page.*, tuple.*, catalog.* with relation, block and offset
 */
export function scanCatalog({ source, layout, wanted, toast, onDamage }: CatalogScan, visit: (tuple: CatalogTuple) => void): void {
  const tuple = new CatalogTuple(layout, toast)
  const { name, pages, checksums } = source
  for (let block = 0; block < pages.blocks; block++) {
    const place = { ...(pages.file !== undefined && { file: pages.file }), relation: name, block }
    orDamage(onDamage, () => withPosition(place, () => {
      const page = pages.read(block)
      if (isZeroPage(page)) return
      checkPageHeader(page)
      if (checksums) checkPageChecksum(page, block)
      checkLinePointers(page)
      scanPage(page, tuple, wanted, visit, onDamage && ((error) => onDamage(error.at(place))))
    }))
  }
}

function scanPage(
  page: Uint8Array, tuple: CatalogTuple, wanted: CatalogScan['wanted'], visit: (tuple: CatalogTuple) => void, onDamage: OnDamage | undefined,
): void {
  const count = linePointerCount(page)
  for (let offset = 1; offset <= count; offset++) {
    const word = linePointer(page, offset)
    if (lpFlags(word) !== LP_NORMAL) continue
    orDamage(onDamage, () => withPosition({ offset }, () => {
      if (tuple.load(page, lpOff(word), lpLen(word), wanted)) visit(tuple)
    }))
  }
}
