import type { WalPosition } from '../../common/ids.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { changesOf, type FlushedLines, knownFlushes } from './storechanges.ts'
import { formatFlush } from './storeevents.ts'

/** So many flushes stay apart: rather than to tell these together, the oldest is forgotten. */
const APART = 16

/** A flush and its length in the file. */
interface Sized extends FlushedLines {
  size: number
}

/**
 * A file of events that has at most `most` bytes, unless those of its last flush are more. Of the older flushes two that follow each other are told as
 * one, again and again, so what is long ago is told in few words: a mark between the two gives the changes since the first of them, which are all that
 * are asked for and more. Where that is not enough, the oldest are forgotten: a mark before what is left is refused.
 * @param reached LSN of the last flush @throws CorruptionError pagestore.events
 */
export function shortenEvents(file: Uint8Array, reached: WalPosition, most: number): Uint8Array {
  let kept: Sized[] = knownFlushes(file, reached).map((lines) => ({ ...lines, size: textOf(lines).length }))
  while (kept.length > 1 && kept.reduce((sum, { size }) => sum + size, 0) > most) {
    const merged = kept.length > APART ? mergeOlderHalf(kept) : kept
    kept = merged.length < kept.length ? merged : withoutOldest(kept)
  }
  return utf8Encode(kept.map(textOf).join(''))
}

function textOf({ text, flush, forks }: FlushedLines): string {
  return formatFlush(text, flush.from, flush.lsn, forks.map(({ changed, ...fork }) => ({ ...fork, set: changed })))
}

/**
 * A flush without WAL is not forgotten by itself: a mark of its LSN may have been taken before it, and would be answered with what came after it. It goes to
 * the next flush.
 */
function withoutOldest(flushes: readonly Sized[]): Sized[] {
  const [one, two] = [flushes[0]!, flushes[1]!]
  return one.flush.lsn === one.flush.from ? [mergeTwo(one, two), ...flushes.slice(2)] : flushes.slice(1)
}

/** Two by two, of the older half. */
function mergeOlderHalf(flushes: readonly Sized[]): Sized[] {
  const merged: Sized[] = []
  let at = 0
  while (at < flushes.length >> 1) {
    const [one, two] = [flushes[at]!, flushes[at + 1]!]
    const apart = isMarkOf(two, one)
    merged.push(apart ? one : mergeTwo(one, two))
    at += apart ? 1 : 2
  }
  return [...merged, ...flushes.slice(at)]
}

/**
 * A flush without WAL has the LSN of the one before it, so a mark of that LSN asks for it. It stays by itself or goes to the one that follows: told together
 * with the one before it, it would not be asked for.
 */
function isMarkOf({ flush }: FlushedLines, before: FlushedLines): boolean {
  return flush.lsn === flush.from && before.flush.lsn !== before.flush.from
}

function mergeTwo(one: FlushedLines, two: FlushedLines): Sized {
  const merged = {
    events: [...one.events, ...two.events], text: one.text + two.text, flush: { from: one.flush.from, lsn: two.flush.lsn }, forks: changesOf([one, two]),
  }
  return { ...merged, size: textOf(merged).length }
}
