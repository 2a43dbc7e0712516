import { EnvironmentError } from '../../common/errors.ts'
import { addReference, removeReference } from '../../engine/references.ts'
import type { Lease, Registration } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import type { NewReference } from './branches.ts'
import { durationOf } from './keepwish.ts'
import { openLayeredLake, openState } from './openlake.ts'
import { pointOf } from './pointof.ts'
import { type StateSummary, summaryOf } from './statesummary.ts'

/** What pins a state besides the branch that has it. */
export type PinKind = 'tags' | 'leases'

/** A tag or a lease, and the state that it keeps. */
export interface PinSummary extends StateSummary {
  name: string
  branch: string
  /** When a lease is over, in milliseconds since 1970; null: never. */
  until: number | null
}

/**
 * A tag keeps a state until it is deleted, a lease until then or until it is over.
 * @param lasts of a lease: a duration, `2h`
 * @throws EnvironmentError lake.*, store.*; UnsupportedError, CorruptionError lake.*
 */
export async function createPin(kind: PinKind, { lake: place, name, at, branch = MAIN_BRANCH }: NewReference, lasts?: string): Promise<PinSummary> {
  const lake = await openLayeredLake(place)
  const until = lasts === undefined ? undefined : lake.ports.clock.now() + durationOf(lasts)
  const { state } = await openState(lake, await pointOf(lake, at, branch), branch)
  const { entry } = await addReference(lake, branch, kind, name, { sequence: state.sequence }, undefined, until)
  return pinOf(entry, branch)
}

/** @throws as {@link createPin} */
export async function listPins(kind: PinKind, place: string, branch: string = MAIN_BRANCH): Promise<PinSummary[]> {
  const lake = await openLayeredLake(place)
  return (await lake.head(branch))[kind].map((entry) => pinOf(entry, branch))
}

/** Several leases may have one name: all of them go. @returns how many */
export async function deletePin(kind: PinKind, place: string, name: string, branch: string = MAIN_BRANCH): Promise<number> {
  const lake = await openLayeredLake(place)
  const found = (await lake.head(branch))[kind].filter((entry) => entry.name === name)
  if (found.length === 0) throw new EnvironmentError(kind === 'tags' ? 'lake.no-tag' : 'lake.no-lease', `branch ${branch} has no ${kind.slice(0, -1)} ${name}`)
  for (const { id } of found) await removeReference(lake, branch, kind, id)
  return found.length
}

function pinOf(entry: Registration | Lease, branch: string): PinSummary {
  return { name: entry.name, branch, ...summaryOf(entry.state), until: 'until' in entry ? entry.until ?? null : null }
}
