import { BytesVector, type Vector, WordVector } from '../vector/vector.ts'
import { BlockSet } from '../common/blockset.ts'
import { equalJson } from '../common/equaljson.ts'
import { CorruptionError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import { type CompositeHeader, PLAIN_COMPOSITE_HEADER } from '../datum/typedef.ts'
import { canonicalPage, newPageBuffer } from '../page/canonical.ts'
import { checkPageHeader, isZeroPage, PD_FLAGS } from '../page/header.ts'
import { checkLinePointers } from '../page/linepointer.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { Batch } from './batch.ts'
import { PageDecoder, type RowVisibility } from './decodepage.ts'
import { TupleDecoder } from './decodetuple.ts'
import { TupleFormer } from './formtuple.ts'
import { relationSchema, type SchemaContext } from './schema.ts'

/** What a look at a few pages of a file decides before its first row group is written. */
export interface SampleFindings {
  /** Most frequent display scale per numeric attribute, by attnum: goes to the footer. */
  displayScales: Record<number, number>
  /** Most frequent pd_flags. */
  pageFlags: number
  /** Most frequent headers of composite values, by type, where they are not plain. */
  compositeHeaders: Record<Oid, CompositeHeader>
  /** Names of user columns with too many different values for a dictionary to pay. */
  highCardinality: Set<string>
}

const SAMPLE_BLOCKS_MAX = 24

/** A dictionary pays where values repeat this often: measured on keys of 10,000 and 25,000 values in 100,000 rows. */
const DICTIONARY_PAYS = 8

/** Blocks worth looking at: evenly spread, the same for the same set. */
export function sampleBlocks(blocks: BlockSet): BlockSet {
  const count = Math.min(SAMPLE_BLOCKS_MAX, Math.ceil(blocks.size / 8))
  return BlockSet.of(Array.from({ length: count }, (_, i) => blocks.at(Math.floor((i * blocks.size) / count))))
}

/** No row is visible and none is live: a sample then neither hides rows nor reads out-of-line values. */
const INDIFFERENT: RowVisibility = { isVisible: () => false, isDead: () => true, nextXid: { low: 0, epoch: 0 } }

/**
 * Looks at sample pages; damaged ones are passed over, transcoding will meet them again.
 * @param pages each begins at word `base` of `words`
 * @param rowsExpected rows of a row group, against which distinct values are held
 */
export function samplePages(
  context: Omit<SchemaContext, 'displayScales' | 'pageFlags'>, pages: Iterable<{ words: Int32Array; base: number; block: number }>, rowsExpected: number,
): SampleFindings {
  const headers = new HeaderCounts()
  const schema = relationSchema({ ...context, displayScales: {}, pageFlags: 0, onCompositeHeader: (type, header) => headers.add(type, header) })
  const batch = new Batch(schema)
  const former = new TupleFormer(batch)
  const decoder = new PageDecoder(batch, new TupleDecoder(batch, former, undefined, false), INDIFFERENT, () => {})
  const canonical = newPageBuffer()
  const flags = new Map<number, number>()
  const pageEnds: number[] = []
  for (const { words, base, block } of pages) {
    const rows = batch.rows
    try {
      const page = new Uint8Array(words.buffer, words.byteOffset + base * 4, BLOCK_SIZE)
      if (isZeroPage(page)) continue
      checkPageHeader(page)
      checkLinePointers(page)
      canonicalPage(words, base, canonical)
      count(flags, canonical.bytes[PD_FLAGS]!)
      decoder.decode(canonical, block, false)
      pageEnds.push(batch.rows)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      batch.truncate(rows)
    }
  }
  const displayScales: Record<number, number> = {}
  const highCardinality = new Set<string>()
  for (const { attribute, column } of schema.attributes) {
    if (!column) continue
    const vector = batch.columns[column.index]!
    if (column.numeric) {
      const { numeric } = column
      const scaleAt = (row: number): number => former.displayScale(attribute.attnum, row) ?? numeric.predictScale(vector, row)
      displayScales[attribute.attnum] = mostFrequentScale(vector, scaleAt)
    }
    if (estimateDistinct(vector, pageEnds, rowsExpected) > rowsExpected / DICTIONARY_PAYS) highCardinality.add(schema.columns[column.index]!.name)
  }
  return { displayScales, pageFlags: mostFrequent(flags), compositeHeaders: headers.mostFrequent(), highCardinality }
}

/** Counts headers of composite values by type. */
class HeaderCounts {
  private readonly counts = new Map<Oid, Map<string, { header: CompositeHeader; times: number }>>()

  add(type: Oid, header: CompositeHeader): void {
    let ofType = this.counts.get(type)
    if (ofType === undefined) this.counts.set(type, ofType = new Map())
    const key = `${header.typmod} ${header.block} ${header.offset} ${header.infomask}`
    const found = ofType.get(key)
    if (found) found.times++
    else ofType.set(key, { header, times: 1 })
  }

  /** Takes the first that was seen of those that are equally frequent. */
  mostFrequent(): Record<Oid, CompositeHeader> {
    const best: Record<Oid, CompositeHeader> = {}
    for (const [type, ofType] of this.counts) {
      const { header } = [...ofType.values()].reduce((most, one) => (one.times > most.times ? one : most))
      if (!equalJson(header, PLAIN_COMPOSITE_HEADER)) best[type] = header
    }
    return best
  }
}

function mostFrequentScale(vector: Vector, scaleAt: (row: number) => number): number {
  const seen = new Map<number, number>()
  for (let row = 0; row < vector.length; row++) {
    if (vector.isNull(row)) continue
    count(seen, scaleAt(row))
  }
  return mostFrequent(seen)
}

function count(seen: Map<number, number>, value: number): void {
  seen.set(value, (seen.get(value) ?? 0) + 1)
}

/** The smallest of the most frequent values; 0 without values. */
function mostFrequent(seen: ReadonlyMap<number, number>): number {
  let best = 0
  for (const [value, times] of seen) {
    const rival = seen.get(best) ?? 0
    if (times > rival || (times === rival && value < best)) best = value
  }
  return best
}

/**
 * How many different values a row group has. What repeats inside a page says how many a page has; what repeats across pages, how
 * large the stock is they are drawn from (birthday estimate): a sorted key repeats in its page and never again.
 */
function estimateDistinct(vector: Vector, pageEnds: readonly number[], rowsExpected: number): number {
  const seen = new Set<number>()
  let drawn = 0
  let row = 0
  for (const end of pageEnds) {
    const page = new Set<number>()
    for (; row < end; row++) if (!vector.isNull(row)) page.add(hashValue(vector, row))
    drawn += page.size
    for (const hash of page) seen.add(hash)
  }
  if (row === 0) return 0
  const repeats = drawn - seen.size
  const stock = repeats === 0 ? Infinity : (drawn * drawn) / (2 * repeats)
  return Math.min(stock, (drawn / row) * rowsExpected)
}

function hashValue(vector: Vector, row: number): number {
  let hash = 0x811c9dc5
  if (vector instanceof WordVector) {
    for (let w = row * vector.wordsPerValue; w < (row + 1) * vector.wordsPerValue; w++) hash = Math.imul(hash ^ vector.words[w]!, 0x9e3779b1) ^ (hash >>> 15)
  } else if (vector instanceof BytesVector) {
    for (let i = vector.start(row); i < vector.end(row); i++) hash = Math.imul(hash ^ vector.data.bytes[i]!, 0x01000193)
  } else {
    return 0
  }
  return hash
}
