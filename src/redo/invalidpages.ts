import * as v from 'valibot'
import { CorruptionError } from '../common/errors.ts'
import { type BlockNumber, formatWalPosition, type Oid, type WalPosition } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { count, flag, integer, type Schema, unsigned32 } from '../common/validate.ts'

/** A block that a record changes and that is not there: xl_invalid_page (xlogutils.c), with the record's position. Plain data, for JSON. */
export interface InvalidPage extends RelFileLocator {
  fork: number
  block: BlockNumber
  /** True: the block exists and is all zero. False: it lies past the end of its fork. */
  present: boolean
  lsn: WalPosition
}

/** The check of an InvalidPage that was stored as JSON. */
export const INVALID_PAGE: Schema<InvalidPage> = v.strictObject({
  spcOid: unsigned32, dbOid: unsigned32, relNumber: unsigned32, fork: integer(0, 3), block: unsigned32, present: flag, lsn: count,
})

/** How many blocks an error message names. */
const NAMED_MAX = 5

/**
 * Blocks that records change and that are not there (xlogutils.c: log_invalid_page). Before the pages are consistent that is normal: the
 * file was truncated or dropped before it was copied, and the record that did it is still to come. Later it is damage.
 */
export class InvalidPages {
  private readonly pages = new Map<string, InvalidPage>()
  private reached = false

  /** @param known the blocks that redo had found when it was interrupted */
  constructor(known: readonly InvalidPage[]) {
    for (const page of known) this.pages.set(keyOf(page), page)
  }

  /** Whether the pages are consistent, that is, of one LSN: a block that is missing from then on is damage. */
  get consistent(): boolean {
    return this.reached
  }

  /** The blocks that no truncate or drop has explained yet. */
  list(): InvalidPage[] {
    return [...this.pages.values()]
  }

  /** log_invalid_page (xlogutils.c): a repeated reference keeps the first record's position, because that names the cause. */
  add({ spcOid, dbOid, relNumber }: RelFileLocator, fork: number, block: BlockNumber, present: boolean, lsn: WalPosition): void {
    const page = { spcOid, dbOid, relNumber, fork, block, present, lsn }
    // Everything that the copy could miss has happened by now. Postgres panics here for the same reason.
    if (this.reached) throw new CorruptionError('redo.invalid-page', present ? 'the block is all zero' : 'the block does not exist')
    const key = keyOf(page)
    if (!this.pages.has(key)) this.pages.set(key, page)
  }

  /** forget_invalid_pages (xlogutils.c): the fork was truncated to `blocks` blocks, which explains missing blocks from there on. */
  truncated(locator: RelFileLocator, fork: number, blocks: BlockNumber): void {
    this.forget((page) => sameRelation(page, locator) && page.fork === fork && page.block >= blocks)
  }

  /** forget_invalid_pages for every fork: the relation was dropped. */
  dropped(locator: RelFileLocator): void {
    this.forget((page) => sameRelation(page, locator))
  }

  /** forget_invalid_pages_db (xlogutils.c): DROP DATABASE explains missing blocks of all its relations, in every tablespace. */
  databaseDropped(dbOid: Oid): void {
    this.forget((page) => page.dbOid === dbOid)
  }

  /** XLogCheckInvalidPages (xlogutils.c). @throws CorruptionError redo.invalid-page if blocks are left that nothing explained */
  reachedConsistency(): void {
    this.reached = true
    if (this.pages.size === 0) return
    const named = [...this.pages.values()].slice(0, NAMED_MAX).map(({ spcOid, dbOid, relNumber, fork, block, present, lsn }) =>
      `${spcOid}/${dbOid}/${relNumber} fork ${fork} block ${block} (${present ? 'all zero' : 'missing'}, for ${formatWalPosition(lsn)})`)
    const more = this.pages.size > NAMED_MAX ? ` and ${this.pages.size - NAMED_MAX} more` : ''
    throw new CorruptionError('redo.invalid-page', `records change blocks that do not exist: ${named.join(', ')}${more}`)
  }

  private forget(gone: (page: InvalidPage) => boolean): void {
    for (const [key, page] of this.pages) if (gone(page)) this.pages.delete(key)
  }
}

function keyOf({ spcOid, dbOid, relNumber, fork, block }: InvalidPage): string {
  return `${spcOid}/${dbOid}/${relNumber}/${fork}/${block}`
}

function sameRelation(a: RelFileLocator, b: RelFileLocator): boolean {
  return a.relNumber === b.relNumber && a.dbOid === b.dbOid && a.spcOid === b.spcOid
}
