import { BlockSet } from '../common/blockset.ts'
import { EnvironmentError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { ToastSource } from '../tuple/toastsource.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { TOAST_MAX_CHUNK_SIZE, type ToastPointer } from '../tuple/toast.ts'
import type { PageSource } from '../page/pagesource.ts'
import { readToastChunk } from '../tuple/toastchunk.ts'
import { firstRun, RUN_BLOCK, RUN_COUNT, RUN_DEAD, RUN_LAST_BLOCK, RUN_OFFSET, RUN_SEQ, RUN_VALUE_ID, RUN_WORDS, type ToastIndex } from './toastindex.ts'

/** Blocks kept: the values of neighbouring rows are neighbours, too. */
const CACHED_BLOCKS = 64

/**
 * Joins out-of-line values from the pages of their TOAST relation, which must be at hand: see {@link PreparedToastReader} for those that are
 * not. Postgres: toast_fetch_datum (detoast.c), heap_fetch_toast_slice (heaptoast.c); it reads by the TOAST index, this by {@link ToastIndex}.
 */
export class ToastReader implements ToastSource {
  private readonly relationId: number
  protected readonly pages: PageSource
  private readonly index: ToastIndex
  private readonly cache = new Uint8Array(CACHED_BLOCKS * BLOCK_SIZE)
  private readonly cachedBlocks = new Int32Array(CACHED_BLOCKS).fill(-1)

  /**
   * @param relationId pg_class oid that pointers name
   * @param pages the main fork of the TOAST relation
   * @param index of the same pages
   */
  constructor(relationId: number, pages: PageSource, index: ToastIndex) {
    this.relationId = relationId
    this.pages = pages
    this.index = index
  }

  fetch(pointer: ToastPointer): Uint8Array | undefined {
    const chunks = Math.ceil(pointer.extSize / TOAST_MAX_CHUNK_SIZE)
    const runs = this.runsOf(pointer)
    // The length word of a pointer may lie: allocate only what the index has chunks for. More live chunks than that fit no server either.
    if (chunks === 0 || countChunks(runs) < chunks || countChunks(runs.filter(({ dead }) => !dead)) > chunks) return undefined
    const value = new Uint8Array(pointer.extSize)
    return this.copyRuns(runs, pointer, value, new Uint8Array(chunks)) === chunks ? value : undefined
  }

  /** The blocks that have chunks of these values. */
  blocksOf(pointers: Iterable<ToastPointer>): BlockSet {
    let blocks = BlockSet.EMPTY
    for (const pointer of pointers) {
      for (const { block, lastBlock } of this.runsOf(pointer)) blocks = blocks.union(BlockSet.range(block, lastBlock - block + 1))
    }
    return blocks
  }

  /** How many chunks of the value there are, live and dead. */
  chunkCount(pointer: ToastPointer): number {
    return countChunks(this.runsOf(pointer))
  }

  /**
   * Copies those chunks that are here and not yet seen.
   * @param value pointer.extSize bytes @param seen 1 for each chunk that is in it
   * @returns how many were copied
   */
  fill(pointer: ToastPointer, value: Uint8Array, seen: Uint8Array): number {
    return this.copyRuns(this.runsOf(pointer), pointer, value, seen)
  }

  private copyRuns(runs: readonly Run[], pointer: ToastPointer, value: Uint8Array, seen: Uint8Array): number {
    let copied = 0
    for (const run of runs) {
      copied += this.readRun(run, pointer, value, seen)
      if (copied === seen.length) break
    }
    return copied
  }

  /** Runs of a value, those of live chunks first: a value id is used again after 2^32 others. */
  private runsOf({ toastRelId, valueId }: ToastPointer): Run[] {
    const found: Run[] = []
    if (toastRelId !== this.relationId) return found
    for (const part of this.index.parts) {
      for (let at = firstRun(part, valueId); at < part.length && part[at + RUN_VALUE_ID]! >>> 0 === valueId; at += RUN_WORDS) {
        const dead = part[at + RUN_DEAD]!
        found.push({
          dead, seq: part[at + RUN_SEQ]!, count: part[at + RUN_COUNT]!, block: part[at + RUN_BLOCK]!, offset: part[at + RUN_OFFSET]!,
          lastBlock: part[at + RUN_LAST_BLOCK]!,
        })
      }
    }
    return found.sort((a, b) => a.dead - b.dead || a.seq - b.seq)
  }

  /** Copies the run's chunks that are still missing; returns how many those were. */
  private readRun(run: Run, pointer: ToastPointer, value: Uint8Array, seen: Uint8Array): number {
    let { block, offset } = run
    let copied = 0
    for (let taken = 0; taken < run.count; ) {
      const page = this.page(block)
      for (const count = linePointerCount(page); offset <= count && taken < run.count; offset++) {
        const item = linePointer(page, offset)
        if (lpFlags(item) !== LP_NORMAL) continue
        copied += this.copyChunk(page, item, run.seq + taken, pointer, value, seen)
        taken++
      }
      block++
      offset = 1
      if (block > this.pages.blocks) {
        throw new EnvironmentError('cluster.changed',
          'the TOAST relation changed while it was read: stop the server, then run the command again')
      }
    }
    return copied
  }

  private copyChunk(page: Uint8Array, item: number, seq: number, pointer: ToastPointer, value: Uint8Array, seen: Uint8Array): number {
    if (seq < 0 || seq >= seen.length || seen[seq] !== 0) return 0
    const chunk = readToastChunk(page, lpOff(item), lpLen(item))
    const at = seq * TOAST_MAX_CHUNK_SIZE
    const wanted = Math.min(TOAST_MAX_CHUNK_SIZE, pointer.extSize - at)
    if (!chunk || chunk.valueId !== pointer.valueId || chunk.seq !== seq || chunk.end - chunk.start !== wanted) return 0
    value.set(page.subarray(chunk.start, chunk.end), at)
    seen[seq] = 1
    return 1
  }

  private page(block: number): Uint8Array {
    const slot = block % CACHED_BLOCKS
    const page = this.cache.subarray(slot * BLOCK_SIZE, (slot + 1) * BLOCK_SIZE)
    if (this.cachedBlocks[slot] !== block) {
      this.cachedBlocks[slot] = -1
      page.set(this.pages.read(block))
      this.cachedBlocks[slot] = block
    }
    return page
  }
}

/** Reads a TOAST relation whose pages have to be fetched. Before tuples are decoded, the pointers in them must be given to {@link prepare}. */
export class PreparedToastReader extends ToastReader {
  async prepare(pointers: readonly ToastPointer[]): Promise<void> {
    await this.pages.prepare(this.blocksOf(pointers))
  }
}

function countChunks(runs: readonly Run[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0)
}

interface Run {
  dead: number
  seq: number
  count: number
  block: number
  offset: number
  lastBlock: number
}
