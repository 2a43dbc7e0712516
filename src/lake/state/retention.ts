import { parseLsn } from '../../common/ids.ts'
import { entryId } from './entries.ts'
import type { Head, Lease, LogEdit, Registration } from './head.ts'
import { keepFrom, registeredStates, retainedStates } from './registrations.ts'
import type { Stage } from './stage.ts'
import type { StateRoot } from './stateroot.ts'

/** From where on a branch keeps its states: from the newest one that is at or before an LSN, or a time in microseconds since 1970. */
export type KeepWish = { readonly lsn: string } | { readonly time: number }

/** What a wish makes of a branch. */
export interface RetentionPlan {
  /** States that stay, the oldest first; the newest state is always among them. */
  readonly kept: readonly StateRoot[]
  /** States that go, but for what pins one of them. */
  readonly gone: readonly StateRoot[]
  /** Leases that are over. */
  readonly ended: readonly Lease[]
}

/**
 * What goes. A state that does not say its time counts as newer than the last one before it that does: nothing goes because a time is not known.
 * @param wish undefined: all states stay
 * @param now milliseconds since 1970, for leases
 */
export function* planRetention(head: Head, wish: KeepWish | undefined, now: number): Stage<RetentionPlan> {
  const states = (yield* retainedStates(head)).filter(({ sequence }) => sequence > 0 || sequence === head.state.sequence)
  const first = wish === undefined ? -1 : 'lsn' in wish ? lastAtLsn(states, wish.lsn) : lastAtTime(states, wish.time)
  const cut = Math.max(first, 0)
  return { kept: states.slice(cut), gone: states.slice(0, cut), ended: endedLeases(head, now) }
}

function lastAtLsn(states: readonly StateRoot[], lsn: string): number {
  const wanted = parseLsn(lsn)!
  return states.findLastIndex((state) => parseLsn(state.lsn)! <= wanted)
}

function lastAtTime(states: readonly StateRoot[], time: number): number {
  const later = states.findIndex((state) => state.time !== undefined && state.time > time)
  const before = later < 0 ? states : states.slice(0, later)
  return before.findLastIndex((state) => state.time !== undefined)
}

/** HEAD with what a plan leaves of it. @param commit nonce of the HEAD that is made @returns undefined if nothing changes */
export function retained(head: Head, { kept, ended }: RetentionPlan, commit: string): Head | undefined {
  const left = ended.length === 0 ? head : { ...head, leases: head.leases.filter((lease) => !ended.includes(lease)) }
  const next = keepFrom(left, kept[0]!.sequence, commit) ?? left
  const inline = neededEdits(next)
  const { states, ...withoutStates } = next
  // The tree of states has older ones than HEAD itself.
  const isTreeGone = states !== undefined && kept[0]!.sequence >= (next.retained[0] ?? next.state).sequence
  if (next === head && inline.length === head.inline.length && !isTreeGone) return undefined
  return { ...isTreeGone ? withoutStates : next, commit, inline }
}

/** Edits in HEAD that a state needs: of several for one key, for each state without a log of its own the last one up to it. */
function neededEdits(head: Head): readonly LogEdit[] {
  const sequences = registeredStates(head).filter(({ log }) => log === undefined).map(({ sequence }) => sequence)
  const next = new Map<string, number>()
  return head.inline.toReversed().filter((edit) => {
    const end = next.get(entryId(edit)) ?? Infinity
    next.set(entryId(edit), edit.sequence)
    return sequences.some((sequence) => sequence >= edit.sequence && sequence < end)
  }).reverse()
}

function endedLeases({ leases }: Head, now: number): Lease[] {
  return leases.filter(({ until }) => until !== undefined && until <= now)
}

/** A state that is kept for something else than the branch's own retention. */
export interface Pin {
  readonly kind: 'branch' | 'tag' | 'lease' | 'job'
  readonly entry: Registration
}

/** What pins states that the branch itself does not keep. */
export function pinsOf(head: Head, { kept, ended }: RetentionPlan): Pin[] {
  const own = new Set(kept.map(({ sequence }) => sequence))
  const pins: Pin[] = [
    ...head.branches.map((entry): Pin => ({ kind: 'branch', entry })), ...head.tags.map((entry): Pin => ({ kind: 'tag', entry })),
    ...head.leases.filter((lease) => !ended.includes(lease)).map((entry): Pin => ({ kind: 'lease', entry })),
    ...head.jobs.map((entry): Pin => ({ kind: 'job', entry })),
  ]
  return pins.filter(({ entry: { state } }) => !own.has(state.sequence))
}
