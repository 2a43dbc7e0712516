import { BlockSet } from '../common/blockset.ts'
import { CorruptionError } from '../common/errors.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { readTupleHeader, type TupleHeader } from '../tuple/header.ts'
import type { Snapshot } from '../xact/snapshot.ts'
import { type PageSource, READ_BLOCKS } from '../page/pagesource.ts'
import { readToastChunk, type ToastChunk } from '../tuple/toastchunk.ts'

/**
 * Where the chunks of each value are, found by one scan: Postgres's own btree index may not be there (a rebuilt or replayed data
 * directory has none to trust). A *run* is chunks of one value that follow each other in the file; most values are one run.
 * Runs are Int32 records, sorted by (value id, dead, first seq):
 */
export const RUN_WORDS = 7
export const RUN_VALUE_ID = 0
export const RUN_DEAD = 1
export const RUN_SEQ = 2
export const RUN_COUNT = 3
export const RUN_BLOCK = 4
export const RUN_OFFSET = 5
/** The block of its last chunk. */
export const RUN_LAST_BLOCK = 6

/** Runs sorted within each part; shared between worker threads. */
export interface ToastIndex {
  parts: readonly Int32Array[]
}

/** What is asked of the transactions of chunks. */
export type ChunkStates = Pick<Snapshot, 'xminStatus' | 'isDead'>

/** Runs per part: sorting needs a second array of that size for a moment. */
const PART_RUNS = 1 << 20

/**
 * Indexes the live and dead chunks of a TOAST relation whose inserter did not abort. Damaged pages are passed over: transcoding the TOAST
 * relation itself reports them, and a value that misses their chunks is found missing.
 * @param pages its main fork, which is read from end to end, 1 MiB at a time
 * @returns of a value's chunks 28 bytes for each run of them
 */
export async function indexToast(pages: PageSource, snapshot: ChunkStates): Promise<ToastIndex> {
  const runs = new RunCollector()
  for (const piece of BlockSet.range(0, pages.blocks).pieces(READ_BLOCKS)) {
    await pages.prepare(piece)
    for (const block of piece) indexPage(pages, block, snapshot, runs)
  }
  return { parts: runs.finish() }
}

/** {@link indexToast} of pages that need no preparation. */
export function buildToastIndex(pages: PageSource, snapshot: ChunkStates): ToastIndex {
  const runs = new RunCollector()
  for (let block = 0; block < pages.blocks; block++) indexPage(pages, block, snapshot, runs)
  return { parts: runs.finish() }
}

function indexPage(pages: PageSource, block: number, snapshot: ChunkStates, runs: RunCollector): void {
  try {
    const page = pages.read(block)
    if (isZeroPage(page)) return
    checkPageHeader(page)
    checkLinePointers(page)
    const count = linePointerCount(page)
    for (let offset = 1; offset <= count; offset++) {
      const pointer = linePointer(page, offset)
      if (lpFlags(pointer) === LP_NORMAL) indexTuple(page, block, offset, lpOff(pointer), lpLen(pointer), snapshot, runs)
    }
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    runs.interrupt()
  }
}

function indexTuple(
  page: Uint8Array, block: number, offset: number, off: number, len: number, snapshot: ChunkStates, runs: RunCollector,
): void {
  const state = stateOf(readTupleHeader(page, off), snapshot)
  const chunk = state === 'aborted' ? undefined : soundChunk(page, off, len)
  if (chunk) runs.add(chunk.valueId, state === 'dead' ? 1 : 0, chunk.seq, block, offset)
  else runs.interrupt()
}

/**
 * A chunk counts even if the status of its transactions is lost or impossible, because HeapTupleSatisfiesToast (heapam_visibility.c) asks for no
 * status. Chunks with a known status come before it, as live chunks come before dead ones.
 */
function stateOf({ xmin, xmax, infomask, cid }: TupleHeader, snapshot: ChunkStates): 'live' | 'dead' | 'aborted' {
  try {
    if (snapshot.xminStatus(xmin, infomask, cid) === 'aborted') return 'aborted'
    return snapshot.isDead(xmin, xmax, infomask, cid) ? 'dead' : 'live'
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return 'dead'
  }
}

/** Undefined for a chunk whose varlena header is wrong. The other chunks of its page count. */
function soundChunk(page: Uint8Array, off: number, len: number): ToastChunk | undefined {
  try {
    return readToastChunk(page, off, len)
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return undefined
  }
}

/** Joins chunks into runs as they come. */
class RunCollector {
  private readonly parts: Int32Array[] = []
  private runs = new Int32Array(1024 * RUN_WORDS)
  private count = 0
  /** The last tuple continues the last run. */
  private open = false

  add(valueId: number, dead: number, seq: number, block: number, offset: number): void {
    const last = (this.count - 1) * RUN_WORDS
    const { runs } = this
    if (
      this.open && runs[last + RUN_VALUE_ID]! >>> 0 === valueId && runs[last + RUN_DEAD] === dead &&
      runs[last + RUN_SEQ]! + runs[last + RUN_COUNT]! === seq
    ) {
      runs[last + RUN_COUNT]!++
      runs[last + RUN_LAST_BLOCK] = block
      return
    }
    this.begin(valueId, dead, seq, block, offset)
  }

  /** A tuple that no run may reach across. */
  interrupt(): void {
    this.open = false
  }

  private begin(valueId: number, dead: number, seq: number, block: number, offset: number): void {
    if (this.count === PART_RUNS) this.endPart()
    const at = this.count++ * RUN_WORDS
    if (at === this.runs.length) {
      const grown = new Int32Array(this.runs.length * 2)
      grown.set(this.runs)
      this.runs = grown
    }
    this.runs.set([valueId, dead, seq, 1, block, offset, block], at)
    this.open = true
  }

  private endPart(): void {
    this.parts.push(sortRuns(this.runs, this.count))
    this.count = 0
    this.open = false
  }

  finish(): Int32Array[] {
    if (this.count > 0) this.endPart()
    return this.parts
  }
}

function sortRuns(runs: Int32Array, count: number): Int32Array {
  const order = Uint32Array.from({ length: count }, (_, run) => run)
  const key = (run: number, word: number): number => runs[run * RUN_WORDS + word]!
  order.sort(
    (a, b) =>
      (key(a, RUN_VALUE_ID) >>> 0) - (key(b, RUN_VALUE_ID) >>> 0) || key(a, RUN_DEAD) - key(b, RUN_DEAD) || key(a, RUN_SEQ) - key(b, RUN_SEQ) || a - b,
  )
  const bytes = count * RUN_WORDS * 4
  // A web page without cross-origin isolation has no SharedArrayBuffer. ltap starts no threads there.
  const sorted = new Int32Array(typeof SharedArrayBuffer === 'undefined' ? new ArrayBuffer(bytes) : new SharedArrayBuffer(bytes))
  for (let i = 0; i < count; i++) {
    const from = order[i]! * RUN_WORDS
    for (let word = 0; word < RUN_WORDS; word++) sorted[i * RUN_WORDS + word] = runs[from + word]!
  }
  return sorted
}

/** Position of the first run of `valueId` in a part, in words; the part's end if it has none. */
export function firstRun(part: Int32Array, valueId: number): number {
  let low = 0
  let high = part.length / RUN_WORDS
  while (low < high) {
    const middle = (low + high) >>> 1
    if (part[middle * RUN_WORDS + RUN_VALUE_ID]! >>> 0 < valueId) low = middle + 1
    else high = middle
  }
  return low * RUN_WORDS
}
