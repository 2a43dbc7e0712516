import { ByteWriter, maxAlign } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { firstDifference, newPageBuffer, type PageBuffer } from '../page/canonical.ts'
import { PAGESIZE_VERSION, PD_FLAGS, PD_LOWER, PD_LSN, PD_PRUNE_XID, PD_SPECIAL, PD_UPPER, SIZE_OF_PAGE_HEADER } from '../page/header.ts'
import { LP_NORMAL } from '../page/linepointer.ts'
import type { Batch } from './batch.ts'
import { PAGE_KIND_DAMAGED, PAGE_KIND_HEADER, PAGE_KIND_ZERO } from './physical.ts'
import { TupleFormer } from './formtuple.ts'
import { type GeneratedFormer, generateFormer, SCRATCH_TUPLE_MAX } from './generateformer.ts'
import { PREDICTED_HINTS } from './predict.ts'

/** Words of pd_lsn, the high half of the LSN first. */
const LSN_HIGH = PD_LSN >> 2
const LSN_LOW = LSN_HIGH + 1

/** Room for the tuples of any page and one absurd tuple more. */
const SCRATCH_SIZE = 65536
/** Fixed-width attributes are written without looking at the bound. */
const SCRATCH_SLACK = 4096

/** What a rebuilt page is: a canonical page, or the verbatim bytes of a damaged one (checksum included). */
export type PageForm = 'canonical' | 'verbatim'

/** Rows → page: rebuilds one block of a batch. pd_checksum is left zero. */
export class PageFormer {
  readonly tuples: TupleFormer
  private readonly batch: Batch
  /** Tuples of the page being formed, one behind the other, each beginning 8-aligned; zero from `used` on. */
  private readonly scratch = new ByteWriter(SCRATCH_SIZE)
  private readonly words: Int32Array
  private readonly generated: GeneratedFormer | undefined
  private used = 0
  private readonly whole = newPageBuffer()

  /** @param generate compile code for the TupleDesc; the interpreter forms what it declines */
  constructor(batch: Batch, generate: boolean) {
    this.batch = batch
    this.tuples = new TupleFormer(batch)
    const { bytes } = this.scratch
    this.words = new Int32Array(bytes.buffer)
    if (generate) this.generated = generateFormer(batch.schema, batch, this.tuples, { bytes, words: this.words, view: this.scratch.view })
  }

  /**
   * Forms the page whose rows are [first, end) into `page`.
   * @throws CorruptionError lake.* if the rows do not describe a page
   */
  form(first: number, end: number, block: number, page: PageBuffer): PageForm {
    const { physical } = this.batch
    page.words.fill(0)
    this.clearScratch()
    this.generated?.refresh()
    if (!physical.pageImage.isNull(first)) return this.formImage(first, page)
    const kind = physical.pageHeader.isNull(first) ? 0 : physical.headerKind.words[first]
    page.words[LSN_HIGH] = physical.pageLsn.words[first * 2 + 1]!
    page.words[LSN_LOW] = physical.pageLsn.words[first * 2]!
    if (kind === PAGE_KIND_ZERO) return 'canonical'
    const special = kind === PAGE_KIND_HEADER ? this.storedHeader(first, page) : BLOCK_SIZE
    const lowest = this.placeTuples(first, end, block, special, page)
    if (kind !== PAGE_KIND_HEADER) this.predictedHeader(end, lowest, page)
    return 'canonical'
  }

  /**
   * Whether {@link form} would make exactly `canonical`, without making it: a canonical page is its header, line pointers, tuples and
   * special area and nothing else, so each is compared where it lies.
   * @throws CorruptionError lake.* as form does
   */
  matches(first: number, end: number, block: number, canonical: PageBuffer): boolean {
    if (this.matchesInPlace(first, end, block, canonical.words)) return true
    this.form(first, end, block, this.whole)
    return firstDifference(this.whole.words, 0, canonical.words, 0) < 0
  }

  /** For pages of predicted headers; false also where tuples overlap. */
  private matchesInPlace(first: number, end: number, block: number, words: Int32Array): boolean {
    const { physical, schema } = this.batch
    if (!physical.pageHeader.isNull(first) || !physical.pageImage.isNull(first) || physical.offset.words[first] === 0) return false
    this.clearScratch()
    this.generated?.refresh()
    const count = physical.offset.words[end - 1]!
    const lowest = this.matchTuples(first, end, block, words)
    return (
      lowest >= 0 && words[LSN_HIGH] === physical.pageLsn.words[first * 2 + 1] && words[LSN_LOW] === physical.pageLsn.words[first * 2] &&
      words[PD_FLAGS >> 2] === (schema.context.pageFlags << 16) && words[PD_LOWER >> 2] === ((SIZE_OF_PAGE_HEADER + 4 * count) | (lowest << 16)) &&
      words[PD_SPECIAL >> 2] === (BLOCK_SIZE | (PAGESIZE_VERSION << 16)) && words[PD_PRUNE_XID >> 2] === 0
    )
  }

  /** Returns the lowest lp_off as placeTuples does, or -1 if a line pointer or tuple differs, or one is missing. */
  private matchTuples(first: number, end: number, block: number, page: Int32Array): number {
    const { offset, lp, lpState, lpOff, lpLen } = this.batch.physical
    let previous = BLOCK_SIZE
    let lowest = BLOCK_SIZE
    for (let row = first, expected = 1; row < end; row++, expected++) {
      const number = offset.words[row]!
      if (number !== expected) return -1
      const word = page[SIZE_OF_PAGE_HEADER / 4 + number - 1]!
      const stored = !lp.isNull(row)
      if (stored && lpState.words[row] !== LP_NORMAL) {
        if (word !== (lpOff.words[row]! | (lpState.words[row]! << 15) | (lpLen.words[row]! << 17))) return -1
        continue
      }
      const start = this.used
      const length = this.formTuple(row, block, start)
      const off = stored ? lpOff.words[row]! : previous - maxAlign(length)
      if ((stored && lpLen.words[row] !== length) || word !== (off | (LP_NORMAL << 15) | (length << 17))) return -1
      if (!this.matchTuple(start, length, off, page)) return -1
      previous = off
      if (off < lowest) lowest = off
    }
    return lowest
  }

  /** The scratch is zero behind a tuple up to its last word's end, and so must the page be. */
  private matchTuple(start: number, length: number, off: number, page: Int32Array): boolean {
    const { words } = this
    const shift = (off - start) >> 2
    for (let w = start >> 2, end = (start + length + 3) >> 2; w < end; w++) if (words[w] !== page[w + shift]) return false
    return true
  }

  private formImage(first: number, page: PageBuffer): PageForm {
    const { pageImage, pageHeader, headerKind } = this.batch.physical
    const start = pageImage.start(first)
    if (pageImage.end(first) - start !== BLOCK_SIZE) throw new CorruptionError('lake.page-image', `${pageImage.end(first) - start} bytes`)
    page.bytes.set(pageImage.data.bytes.subarray(start, start + BLOCK_SIZE))
    return !pageHeader.isNull(first) && headerKind.words[first] === PAGE_KIND_DAMAGED ? 'verbatim' : 'canonical'
  }

  /** Line pointers and tuples; returns the lowest lp_off of a NORMAL item, else `special`. */
  private placeTuples(first: number, end: number, block: number, special: number, page: PageBuffer): number {
    const { offset, lp, lpState, lpOff, lpLen } = this.batch.physical
    let previous = special
    let lowest = special
    for (let row = first; row < end; row++) {
      const number = offset.words[row]!
      if (number === 0) continue
      const at = SIZE_OF_PAGE_HEADER / 4 + number - 1
      if (number < 0 || at >= BLOCK_SIZE / 4) throw new CorruptionError('lake.page', `offset number ${number}`)
      const stored = !lp.isNull(row)
      if (stored && lpState.words[row] !== LP_NORMAL) {
        page.words[at] = lpOff.words[row]! | (lpState.words[row]! << 15) | (lpLen.words[row]! << 17)
        continue
      }
      const start = this.used
      const length = this.formTuple(row, block, start)
      const off = stored ? lpOff.words[row]! : previous - maxAlign(length)
      if (stored && lpLen.words[row] !== length) throw new CorruptionError('lake.tuple', `formed ${length} bytes where lp_len is ${lpLen.words[row]}`)
      if (off < 0 || off & 7 || off + length > BLOCK_SIZE) throw new CorruptionError('lake.tuple', `tuple of ${length} bytes at ${off}`)
      page.words[at] = off | (LP_NORMAL << 15) | (length << 17)
      this.copyTuple(start, length, off, page)
      previous = off
      if (off < lowest) lowest = off
    }
    return lowest
  }

  /** Forms a row's tuple at `start` of the scratch; returns its length. */
  private formTuple(row: number, block: number, start: number): number {
    const { scratch, tuples } = this
    if (start + SCRATCH_TUPLE_MAX + SCRATCH_SLACK > SCRATCH_SIZE) throw new CorruptionError('lake.page', 'more tuples than a page can hold')
    // If forming throws, any part of the scratch may be dirty.
    this.used = SCRATCH_SIZE
    let end = -1
    if (this.generated && !tuples.needsInterpreter(row)) {
      const formed = this.generated.form(row, start)
      end = formed >> 2
      if (formed >= 0) {
        const { infomask } = this.batch.physical
        const hints = infomask.isNull(row) ? (formed & 3) | PREDICTED_HINTS : infomask.words[row]!
        tuples.writeHeader(row, block, start, this.batch.schema.attributes.length, hints, scratch)
      } else {
        scratch.bytes.fill(0, start)
      }
    }
    if (end < 0) end = this.interpretTuple(row, block, start)
    this.used = maxAlign(end)
    return end - start
  }

  private interpretTuple(row: number, block: number, start: number): number {
    const { scratch } = this
    const { bytes } = scratch
    scratch.length = start
    this.tuples.form(row, block, scratch)
    if (scratch.bytes !== bytes) {
      scratch.bytes = bytes
      throw new CorruptionError('lake.tuple', `a tuple of ${scratch.length - start} bytes`)
    }
    return scratch.length
  }

  private clearScratch(): void {
    this.words.fill(0, 0, this.used >> 2)
    this.used = 0
  }

  private copyTuple(start: number, length: number, off: number, page: PageBuffer): void {
    const { words, scratch } = this
    const from = start >> 2
    const to = off >> 2
    const whole = length >> 2
    for (let w = 0; w < whole; w++) page.words[to + w] = words[from + w]!
    for (let i = whole * 4; i < length; i++) page.bytes[off + i] = scratch.bytes[start + i]!
  }

  /** page_header given: bytes 8 to 23 and the special area as they were. Returns pd_special. */
  private storedHeader(first: number, page: PageBuffer): number {
    const { headerBytes, headerSpecial } = this.batch.physical
    const header = headerBytes.isNull(first) ? new Uint8Array(0) : headerBytes.view(first)
    if (header.length !== 16) throw new CorruptionError('lake.page-header', `${header.length} header bytes`)
    page.bytes.set(header, 8)
    const special = header[PD_SPECIAL - 8]! | (header[PD_SPECIAL - 7]! << 8)
    const area = headerSpecial.isNull(first) ? new Uint8Array(0) : headerSpecial.view(first)
    if (special + area.length !== BLOCK_SIZE) throw new CorruptionError('lake.page-header', `pd_special ${special} with ${area.length} bytes`)
    page.bytes.set(area, special)
    return special
  }

  private predictedHeader(end: number, lowest: number, page: PageBuffer): void {
    const count = this.batch.physical.offset.words[end - 1]!
    setU16(page.bytes, PD_FLAGS, this.batch.schema.context.pageFlags)
    setU16(page.bytes, PD_LOWER, SIZE_OF_PAGE_HEADER + 4 * count)
    setU16(page.bytes, PD_UPPER, lowest)
    setU16(page.bytes, PD_SPECIAL, BLOCK_SIZE)
    setU16(page.bytes, PD_SPECIAL + 2, PAGESIZE_VERSION)
  }
}

function setU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
}
