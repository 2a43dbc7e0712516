import { ByteWriter } from '../common/bytes.ts'
import { EnvironmentError } from '../common/errors.ts'
import { parseLsn } from '../common/ids.ts'
import { utf8Decode } from '../common/utf8.ts'
import { MICROS_PER_DAY, POSTGRES_EPOCH_JULIAN, UNIX_TO_POSTGRES_DAYS, writeClock, writeDate } from '../datum/text/calendar.ts'
import type { Head } from '../lake/state/head.ts'
import { pinnedStates, retainedStates } from '../lake/state/registrations.ts'
import type { Stage } from '../lake/state/stage.ts'
import type { StateRoot } from '../lake/state/stateroot.ts'
import type { Lake } from './lake.ts'
import { Snapshot } from './snapshot.ts'

/** Which state of a branch is meant: the newest, one at exactly this LSN, the last one at or before a time (microseconds since 1970), or that of a tag. */
export type LakePoint = 'newest' | { readonly lsn: string } | { readonly time: number } | { readonly tag: string }

/** @throws EnvironmentError lake.no-state if the branch does not retain what is meant, lake.no-tag, lake.no-branch */
export async function snapshotAt(lake: Lake, branch: string, point: LakePoint): Promise<Snapshot> {
  return await lake.runHead(branch, function* (head): Stage<Snapshot> {
    return Snapshot.of(lake, head, yield* stateAt(head, point))
  })
}

/** The state of `head` that is meant. @throws EnvironmentError lake.no-state, lake.no-tag */
export function* stateAt(head: Head, point: LakePoint): Stage<StateRoot> {
  if (point === 'newest') return head.state
  if ('tag' in point) return taggedState(head, point.tag)
  const states = [...pinnedStates(head), ...yield* retainedStates(head)].filter(({ sequence }) => sequence > 0).sort((a, b) => a.sequence - b.sequence)
  return 'lsn' in point ? stateAtLsn(states, point.lsn) : stateAtTime(states, point.time)
}

function taggedState({ branch, tags }: Head, tag: string): StateRoot {
  const found = tags.find(({ name }) => name === tag)
  if (found) return found.state
  const names = tags.map(({ name }) => name).join(', ')
  throw new EnvironmentError('lake.no-tag', `branch ${branch.name} has no tag ${tag}; it has ${names || 'none'}`)
}

/** Between two states nothing is known of pages: which rows were visible there does not follow from them. */
function stateAtLsn(states: readonly StateRoot[], lsn: string): StateRoot {
  const wanted = parseLsn(lsn)!
  const before = states.findLast((state) => parseLsn(state.lsn)! <= wanted)
  if (before !== undefined && parseLsn(before.lsn) === wanted) return before
  throw noState(`at LSN ${lsn}`, before, states.find((state) => parseLsn(state.lsn)! > wanted))
}

function stateAtTime(states: readonly StateRoot[], time: number): StateRoot {
  const wanted = `at or before ${timeText(time)}`
  const first = states.find((state) => state.time !== undefined && state.time > time)
  const last = first === undefined ? states.at(-1) : states.findLast(({ sequence }) => sequence < first.sequence)
  if (last === undefined) throw noState(wanted, undefined, first)
  if (last.time !== undefined) return last
  throw new EnvironmentError('lake.no-state',
    `the state at LSN ${last.lsn} does not say of what time it is, so which one was the last ${wanted} is not known: ask for an LSN`)
}

function noState(wanted: string, before: StateRoot | undefined, after: StateRoot | undefined): EnvironmentError {
  const text = ({ lsn, time }: StateRoot): string => `LSN ${lsn}${time === undefined ? '' : ` (${timeText(time)})`}`
  const known = before && after ? `the nearest are ${text(before)} before it and ${text(after)} behind it: ask for one of these`
    : before ? `its newest one is at ${text(before)}` : after ? `its oldest one is at ${text(after)}` : 'it has none yet: ltap transcode writes one'
  return new EnvironmentError('lake.no-state', `the lake has no state ${wanted}; ${known}`)
}

/** `2026-01-31 12:00:00.5Z`. @param time microseconds since 1970 */
export function timeText(time: number): string {
  const day = Math.floor(time / MICROS_PER_DAY)
  const out = new ByteWriter(32)
  const isBC = writeDate(day + POSTGRES_EPOCH_JULIAN - UNIX_TO_POSTGRES_DAYS, out)
  out.u8(0x20)
  writeClock(time - day * MICROS_PER_DAY, out)
  return `${utf8Decode(out.take())}Z${isBC ? ' BC' : ''}`
}
