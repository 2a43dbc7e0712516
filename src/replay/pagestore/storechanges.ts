import * as v from 'valibot'
import { BlockSet } from '../../common/blockset.ts'
import { blockSet } from '../../common/blocksetcodec.ts'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import { formatWalPosition, parseLsn, walPosition, type WalPosition } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { type DatabaseDirectory, FORK_NAMES } from '../../common/relpath.ts'
import { byteText } from '../../common/utf8.ts'
import { count, lsnText, oneOf, parseJson, type Persisted, type Schema, unsigned32, validate } from '../../common/validate.ts'

/** What happened to the files of a relation, or to a directory of them; `lsn` is the end of the record that did it. */
export type RelationEvent =
  | { lsn: WalPosition; event: 'create'; relation: RelFileLocator; fork: number }
  | { lsn: WalPosition; event: 'truncate'; relation: RelFileLocator; fork: number; blocks: number }
  /** Disowned: it is an index, and its pages are not kept. */
  | { lsn: WalPosition; event: 'drop' | 'disown'; relation: RelFileLocator }
  | { lsn: WalPosition; event: 'copy-database'; directory: DatabaseDirectory; from: DatabaseDirectory }
  | { lsn: WalPosition; event: 'drop-database'; directory: DatabaseDirectory }

/** A fork that is there now and changed. */
export interface ForkChange extends RelFileLocator {
  fork: number
  /** Its smallest length since, in blocks: 0 if it was not there, was dropped and made again, or came with a copied directory. */
  smallest: number
  /** Its length now. */
  blocks: number
  /** Blocks below `blocks` that may differ: all from `smallest` on, and those that a record changed. */
  changed: BlockSet
}

/** What changed in a page store between two LSNs. */
export interface StoreChanges {
  /** The LSN of a flush at or before the mark; the changes are those after it. */
  from: WalPosition
  /** The LSN of the last flush. */
  to: WalPosition
  /** By relation and fork. A relation that is not there any more is in the events alone. */
  forks: ForkChange[]
  /** In WAL order. */
  events: RelationEvent[]
}

const PERSISTED: Persisted = { code: 'pagestore.events', name: "a line of the page store's events" }

const lsn: Schema<WalPosition> = v.pipe(lsnText as v.GenericSchema<unknown, string>, v.transform((text) => walPosition(parseLsn(text)!)))
const fork: Schema<number> = v.pipe(oneOf(FORK_NAMES) as v.GenericSchema<unknown, string>, v.transform((name) => FORK_NAMES.indexOf(name)))
const relation: Schema<RelFileLocator> = v.pipe(numbers(3, 'tablespace/database/relation'),
  v.transform(([spcOid, dbOid, relNumber]) => ({ spcOid: spcOid!, dbOid: dbOid!, relNumber: relNumber! })))
const directory: Schema<DatabaseDirectory> = v.pipe(numbers(2, 'tablespace/database'), v.transform(([spcOid, dbOid]) => ({ spcOid: spcOid!, dbOid: dbOid! })))

const LINE = v.variant('event', [
  v.strictObject({ lsn, event: v.literal('create'), relation, fork }),
  v.strictObject({ lsn, event: v.literal('truncate'), relation, fork, blocks: unsigned32 }),
  v.strictObject({ lsn, event: v.picklist(['drop', 'disown']), relation }),
  v.strictObject({ lsn, event: v.literal('copy-database'), directory, from: directory }),
  v.strictObject({ lsn, event: v.literal('drop-database'), directory }),
  v.strictObject({
    lsn, event: v.literal('flush'), from: lsn, lines: count, crc: unsigned32,
    forks: v.array(v.pipe(
      v.strictObject({ relation, fork, smallest: unsigned32, blocks: unsigned32, set: blockSet }),
      v.check(({ smallest, blocks }) => smallest <= blocks, 'a fork that is at least as long as it was at its shortest'),
    )),
  }),
])
type Line = v.InferOutput<typeof LINE>

/** The lines of one flush, or of several that follow each other and are told as one. */
export interface FlushedLines {
  events: RelationEvent[]
  /** The lines of the events. */
  text: string
  flush: { from: WalPosition; lsn: WalPosition }
  forks: readonly ForkChange[]
}

/**
 * Changes after a mark, as the file of events tells them.
 * @param file all of it @param reached LSN of the last flush
 * @throws EnvironmentError pagestore.mark; CorruptionError pagestore.events
 */
export function changesSince(file: Uint8Array, mark: WalPosition, reached: WalPosition): StoreChanges {
  const known = knownFlushes(file, reached)
  const start = known[0]?.flush.from ?? reached
  if (mark < start || mark > reached) {
    const reason = `changes are known after ${formatWalPosition(start)} and up to ${formatWalPosition(reached)}, not after ${formatWalPosition(mark)}; `
      + 'take all blocks, and a mark of now for the next time'
    throw new EnvironmentError('pagestore.mark', reason)
  }
  // A flush without WAL is of the same LSN as the one before it. A mark does not say which of the two it was taken after.
  const wanted = known.filter(({ flush }) => flush.lsn > mark || (flush.lsn === mark && flush.from === mark))
  return { from: wanted[0]?.flush.from ?? reached, to: reached, forks: changesOf(wanted), events: wanted.flatMap(({ events }) => events) }
}

/** What flushes that follow each other changed together. */
export function changesOf(flushes: readonly FlushedLines[]): ForkChange[] {
  const changes = new Map<string, ForkChange>()
  for (const { events, forks } of flushes) {
    for (const event of events) forget(changes, event)
    for (const change of forks) merge(changes, change)
  }
  return [...changes].sort(([a], [b]) => a < b ? -1 : 1).map(([, change]) => change)
}

/** The newest flushes that follow each other up to the last one. An older ltap tells nothing of its flushes, so there may be gaps. */
export function knownFlushes(file: Uint8Array, reached: WalPosition): FlushedLines[] {
  let known: FlushedLines[] = []
  for (const lines of flushesOf(file)) {
    if (known.at(-1)?.flush.lsn !== lines.flush.from) known = []
    known.push(lines)
  }
  return known.at(-1)?.flush.lsn === reached ? known : []
}

/** In order, each one checked against its CRC. */
function* flushesOf(file: Uint8Array): Generator<FlushedLines> {
  const text = byteText(file)
  let last = 0
  for (let start = 0, end = text.indexOf('\n'); end >= 0; start = end + 1, end = text.indexOf('\n', start)) {
    const line = text.slice(start, end)
    if (!line.includes('"event":"flush"')) continue
    const flush = parseLine(line, start)
    if (flush.event !== 'flush') throw damaged('a flush has no event of its own', start)
    const first = start - flush.lines
    const crcAt = line.lastIndexOf(',"crc":')
    if (first < last || crc32c(file, first, start + crcAt) !== flush.crc) throw damaged('wrong CRC', start)
    const events: RelationEvent[] = []
    const lines = text.slice(first, start)
    for (const event of lines.split('\n').slice(0, -1)) {
      const parsed = parseLine(event, first)
      if (parsed.event === 'flush') throw damaged('a flush within another one', start)
      events.push(parsed)
    }
    const forks = flush.forks.map(({ relation, set, ...fork }) => ({ ...relation, ...fork, changed: set }))
    yield { events, text: lines, flush, forks }
    last = end + 1
  }
}

function parseLine(line: string, byte: number): Line {
  return withPosition({ byte }, () => validate(LINE, parseJson(line, PERSISTED), PERSISTED))
}

/** Forgets forks that are gone after the event. A fork that is made once more has its own flush line. */
function forget(forks: Map<string, ForkChange>, event: RelationEvent): void {
  const gone = event.event === 'drop' || event.event === 'disown' ? `${keyOf(event.relation)}/`
    : event.event === 'copy-database' || event.event === 'drop-database' ? `${event.directory.spcOid}/${event.directory.dbOid}/` : undefined
  if (gone === undefined) return
  for (const key of forks.keys()) if (key.startsWith(gone)) forks.delete(key)
}

function merge(forks: Map<string, ForkChange>, later: ForkChange): void {
  const { blocks } = later
  const key = `${keyOf(later)}/${later.fork}`
  const before = forks.get(key)
  const smallest = Math.min(later.smallest, before?.smallest ?? blocks)
  const known = (before?.changed ?? BlockSet.EMPTY).union(later.changed).intersect(BlockSet.range(0, blocks))
  const changed = known.union(BlockSet.range(smallest, blocks - smallest))
  forks.set(key, { ...later, smallest, changed })
}

function keyOf({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

function numbers(length: number, what: string): v.GenericSchema<unknown, number[]> {
  const isRight = (value: unknown): boolean => {
    const parts = typeof value === 'string' ? value.split('/') : []
    return parts.length === length && parts.every((part) => /^\d{1,10}$/.test(part) && Number(part) <= 0xffffffff)
  }
  return v.pipe(v.custom<string>(isRight, what), v.transform((text) => text.split('/').map(Number)))
}

function damaged(reason: string, byte: number): CorruptionError {
  return new CorruptionError('pagestore.events', `the page store's events are damaged: ${reason}; seed the page store again`, { byte })
}
