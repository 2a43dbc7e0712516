import { BlockSet } from '../../common/blockset.ts'
import { assert, EnvironmentError } from '../../common/errors.ts'
import type { BlockNumber } from '../../common/ids.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../../common/rel.ts'
import { FORK_NAMES, forkFileName } from '../../common/relpath.ts'
import type { PageSource } from '../../page/pagesource.ts'
import { setChecksum } from './storeddatabase.ts'

/** What a {@link StoredPages} reads of a fork: its pages as they are now. */
export interface CopiedFork {
  readonly blocks: number
  copy(block: BlockNumber, into: Uint8Array): void
  /** The page is of memory alone, and its checksum is not made yet. */
  isDirty(block: BlockNumber): boolean
}

/**
 * A fork of a store for reading. Prepared pages are copies: they take no frame of the cache, however many they are, and redo may change the
 * store's own meanwhile.
 */
export class StoredPages implements PageSource {
  readonly file: string
  private readonly locator: RelFileLocator
  private readonly fork: number
  private readonly find: () => CopiedFork | undefined
  private readonly checksums: boolean
  private prepared = BlockSet.EMPTY
  private pages = new Uint8Array(0)

  /** @param find the fork as the store has it now */
  constructor(locator: RelFileLocator, fork: number, find: () => CopiedFork | undefined, checksums: boolean) {
    this.locator = { ...locator }
    this.fork = fork
    this.find = find
    this.checksums = checksums
    this.file = forkFileName(locator.relNumber, fork)
  }

  /** As the last record left it; 0 if the fork is no more. */
  get blocks(): number {
    return this.find()?.blocks ?? 0
  }

  /** @throws EnvironmentError pagestore.gone if replay has dropped or cut the fork; CorruptionError relation.short-read */
  prepare(set: BlockSet): Promise<void> {
    return new Promise((done) => {
      this.take(set)
      done()
    })
  }

  read(block: BlockNumber): Uint8Array {
    const at = this.prepared.indexOf(block)
    assert(at >= 0, `page store: block ${block} was not prepared`)
    return this.pages.subarray(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE)
  }

  close(): void {
    this.prepared = BlockSet.EMPTY
    this.pages = new Uint8Array(0)
  }

  private take(set: BlockSet): void {
    this.prepared = BlockSet.EMPTY
    if (this.pages.length < set.size * BLOCK_SIZE) this.pages = new Uint8Array(set.size * BLOCK_SIZE)
    const found = this.find()
    let at = 0
    for (const block of set) {
      if (found === undefined || block >= found.blocks) throw this.gone(block)
      const page = this.pages.subarray(at, at + BLOCK_SIZE)
      found.copy(block, page)
      // A page that is only in memory has the checksum that redo found; a flush would set it.
      if (this.checksums && found.isDirty(block)) setChecksum(page, block)
      at += BLOCK_SIZE
    }
    this.prepared = set
  }

  private gone(block: BlockNumber): EnvironmentError {
    const { spcOid, dbOid, relNumber } = this.locator
    return new EnvironmentError('pagestore.gone', 'replay has dropped or truncated the relation since; ask the catalog again', {
      relation: `${spcOid}/${dbOid}/${relNumber}`, fork: FORK_NAMES[this.fork]!, block,
    })
  }
}
