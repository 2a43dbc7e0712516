import type { BlockSet } from '../../common/blockset.ts'
import { blockSetText } from '../../common/blocksetcodec.ts'
import { crc32c } from '../../common/crc32c.ts'
import { formatWalPosition, type WalPosition } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { DatabaseDirectory } from '../../common/relpath.ts'
import { FORK_NAMES } from '../../common/relpath.ts'

/*
 * ltap/events.ndjson: what happened to relation files, in WAL order. One line of JSON each; `lsn` is the end of the record that did it:
 *
 *   {"lsn":"0/1A2B3C8","event":"create","relation":"1663/5/16384","fork":"main"}
 *   {"lsn":"0/1A2B410","event":"truncate","relation":"1663/5/16384","fork":"main","blocks":7}
 *   {"lsn":"0/1A2B4D0","event":"drop","relation":"1663/5/16384"}
 *   {"lsn":"0/1A2B4D8","event":"disown","relation":"1663/5/16385"}
 *   {"lsn":"0/1A2B500","event":"copy-database","directory":"1663/16390","from":"1663/1"}
 *   {"lsn":"0/1A2B580","event":"drop-database","directory":"1663/16390"}
 *
 * Each flush ends its lines with one that names the forks that changed since the flush before it. `smallest` is the smallest length in that time, 0 for a
 * fork that was not there; `set` is the blocks below `blocks` that are new or were changed (common/blocksetcodec.ts):
 *
 *   {"lsn":"0/1A2B580","event":"flush","from":"0/1A2B300","forks":[
 *     {"relation":"1663/5/16384","fork":"main","smallest":7,"blocks":9,"set":"AQ8A"}],"lines":120,"crc":305419896}
 *
 * `crc` is the CRC-32C of the `lines` bytes before this line, which the same flush wrote, and of this line up to `,"crc"`. Where the file became too long,
 * one line stands for several flushes that followed each other, with the events of all of them before it, and older flushes are gone (shortenevents.ts).
 */
export const EVENTS_FILE = 'ltap/events.ndjson'

/** What a flush changes of a fork that is there after it. */
export interface FlushedFork extends RelFileLocator {
  fork: number
  smallest: number
  blocks: number
  set: BlockSet
}

/** Events since the last flush. */
export class StoreEvents {
  /** End of the record that is being applied. */
  lsn: WalPosition = 0
  private lines: string[] = []

  get count(): number {
    return this.lines.length
  }

  create(locator: RelFileLocator, fork: number): void {
    this.add('create', { relation: relationText(locator), fork: FORK_NAMES[fork] })
  }

  truncate(locator: RelFileLocator, fork: number, blocks: number): void {
    this.add('truncate', { relation: relationText(locator), fork: FORK_NAMES[fork], blocks })
  }

  drop(locator: RelFileLocator): void {
    this.add('drop', { relation: relationText(locator) })
  }

  /** It is an index: its pages are not kept. */
  disown(locator: RelFileLocator): void {
    this.add('disown', { relation: relationText(locator) })
  }

  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    this.add('copy-database', { directory: directoryText(to), from: directoryText(from) })
  }

  dropDatabase(directory: DatabaseDirectory): void {
    this.add('drop-database', { directory: directoryText(directory) })
  }

  /** The lines to be appended to the file by a flush that goes from one LSN to another. */
  bytes(from: WalPosition, lsn: WalPosition, forks: readonly FlushedFork[]): Uint8Array {
    return utf8Encode(formatFlush(this.lines.join(''), from, lsn, forks))
  }

  flushed(): void {
    this.lines = []
  }

  private add(event: string, more: Record<string, string | number | undefined>): void {
    this.lines.push(`${JSON.stringify({ lsn: formatWalPosition(this.lsn), event, ...more })}\n`)
  }
}

/** The lines of a flush, its own the last. @param events the lines before it */
export function formatFlush(events: string, from: WalPosition, lsn: WalPosition, forks: readonly FlushedFork[]): string {
  const line = JSON.stringify({
    lsn: formatWalPosition(lsn), event: 'flush', from: formatWalPosition(from),
    forks: forks.map((fork) => ({
      relation: relationText(fork), fork: FORK_NAMES[fork.fork], smallest: fork.smallest, blocks: fork.blocks, set: blockSetText(fork.set),
    })),
    lines: events.length,
  }).slice(0, -1)
  return `${events}${line},"crc":${crc32c(utf8Encode(events + line))}}\n`
}

function relationText({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

function directoryText({ spcOid, dbOid }: DatabaseDirectory): string {
  return `${spcOid}/${dbOid}`
}
