import { assert, CorruptionError } from '../common/errors.ts'
import { type WalPosition, formatWalPosition, parseLsn, walPosition } from '../common/ids.ts'

/*
 * A timeline history file, `00000003.history` (timeline.c): one line per ancestor, oldest first. Each says up to where, exclusive,
 * the ancestor is the one to read.
 *
 *     1<tab>0/1C35420<tab>no recovery target specified
 *     2<tab>0/3000098<tab>before 2024-05-06 07:08:09+00
 *
 * Blank lines and lines that begin with # are allowed; what follows the LSN is for people.
 */
export interface TimelineEntry {
  timeline: number
  /** First byte of the WAL that is on this timeline. */
  begin: WalPosition
  /** The byte after the last one; Infinity for the newest timeline. */
  end: WalPosition
}

/** A timeline and its ancestors, oldest first, without gaps. */
export type TimelineHistory = readonly TimelineEntry[]

/** The history of a timeline that has no history file: it is the first one. */
export function firstTimelineHistory(timeline: number): TimelineHistory {
  return [{ timeline, begin: 0, end: Infinity }]
}

/**
 * readTimeLineHistory (timeline.c).
 * @param timeline whose history the text is
 * @throws CorruptionError wal.history, UnsupportedError lsn.range
 */
export function parseTimelineHistory(text: string, timeline: number): TimelineHistory {
  const entries: TimelineEntry[] = []
  let begin = 0
  let last = 0
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const match = /^\s*(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s|$)/.exec(line)
    const lsn = match === null ? undefined : parseLsn(match[2]!)
    if (match === null || lsn === undefined) throw corrupt(timeline, i, `no timeline and LSN in '${line.slice(0, 60)}'`)
    const ancestor = Number(match[1])
    if (ancestor > 0xffffffff) throw corrupt(timeline, i, `timeline ${ancestor}`)
    const end = walPosition(lsn)
    if (ancestor <= last) throw corrupt(timeline, i, `timeline ${ancestor} after ${last}`)
    if (end < begin) throw corrupt(timeline, i, `timeline ${ancestor} ends at ${match[2]}, before it begins at ${formatWalPosition(begin)}`)
    entries.push({ timeline: ancestor, begin, end })
    begin = end
    last = ancestor
  }
  if (last >= timeline) throw corrupt(timeline, entries.length, `timeline ${last} is no ancestor of ${timeline}`)
  entries.push({ timeline, begin, end: Infinity })
  return entries
}

/** tliOfPointInHistory: the timeline of the byte at `position`. */
export function timelineAt(timelineHistory: TimelineHistory, position: WalPosition): TimelineEntry {
  const found = timelineHistory.find(entry => entry.begin <= position && position < entry.end)
  assert(found !== undefined, `no timeline at ${formatWalPosition(position)}`)
  return found
}

/**
 * Whether a page that begins at `position` may say that it is of `timeline`. A page that the ancestor began keeps the ancestor's number. Before the first
 * ancestor that is known there may be others.
 */
export function isPageOf(timelineHistory: TimelineHistory, timeline: number, position: WalPosition): boolean {
  const entry = timelineAt(timelineHistory, position)
  return timeline === entry.timeline || (entry === timelineHistory[0] && timeline < entry.timeline)
}

function corrupt(timeline: number, line: number, reason: string): CorruptionError {
  return new CorruptionError('wal.history', `history of timeline ${timeline}, line ${line + 1}: ${reason}`)
}
