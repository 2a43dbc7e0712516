import { EnvironmentError } from '../../common/errors.ts'
import { parseLsn } from '../../common/ids.ts'
import { editsOf } from './entries.ts'
import { EPOCHS_MAX, type Head, type OpenJob, type Registration, STATES_TREE } from './head.ts'
import type { Stage } from './stage.ts'
import { STATE_ROOT, type StateRoot } from './stateroot.ts'
import { scanTree } from './tree.ts'
import { validate } from '../../common/validate.ts'

/*
 * Roots that HEAD has besides its own state. Each is added to HEAD before it is used, and each change is idempotent by the root's id: a change whose
 * reply was lost can be repeated without harm.
 */

/** Lists of roots that are registered in a HEAD. */
const REGISTERED: readonly RegistrationKind[] = ['branches', 'tags', 'leases', 'jobs']
export type RegistrationKind = 'branches' | 'tags' | 'leases' | 'jobs'

/** All states from which objects of this HEAD's branch, and of those it came from, are reached; but not those of the tree of states. */
export function registeredStates(head: Head): StateRoot[] {
  return [head.state, ...head.retained, ...REGISTERED.flatMap((kind) => head[kind].map(({ state }) => state))]
}

/** States that a tag or a lease pins: a reader may open them as those that the branch retains. */
export function pinnedStates({ tags, leases }: Head): StateRoot[] {
  return [...tags, ...leases].map(({ state }) => state)
}

/** Each state that the branch retains, its own last; those that only a registration pins are not among them. */
export function* retainedStates(head: Head): Stage<StateRoot[]> {
  const states = yield* olderStates(head)
  return [...states, ...head.retained, head.state].filter(({ sequence }) => sequence === head.state.sequence || sequence >= head.keepFrom)
}

/** The retained states for which HEAD has no room. @param enter false for a page that was visited */
export function* olderStates(head: Head, enter?: Parameters<typeof scanTree>[3]): Stage<StateRoot[]> {
  const states: StateRoot[] = []
  yield* scanTree(STATES_TREE, head.states, (entries) => {
    for (const [key, value] of entries) {
      const state = validate(STATE_ROOT, value, { code: 'lake.state', name: `the state ${key}` })
      if (state.sequence >= head.keepFrom) states.push(state)
    }
  }, enter)
  return states
}

/** Where a registration begins: the state of that sequence, which a tag or a lease may pin, or the newest one at or before an LSN, or the branch's newest. */
export type StateWish = { readonly sequence: number } | { readonly lsn: string } | 'newest'

/** @throws EnvironmentError lake.not-retained if the branch has no such state any more */
export function* findState(head: Head, wish: StateWish): Stage<StateRoot> {
  if (wish === 'newest') return head.state
  const states = yield* retainedStates(head)
  const found = 'sequence' in wish ? [...states, ...pinnedStates(head)].find(({ sequence }) => sequence === wish.sequence)
    : states.findLast(({ lsn }) => parseLsn(lsn)! <= parseLsn(wish.lsn)!)
  if (found) return found
  const what = 'sequence' in wish ? `state ${wish.sequence}` : `a state at or before LSN ${wish.lsn}`
  const first = states[0]!
  throw new EnvironmentError('lake.not-retained',
    `branch ${head.branch.name} does not retain ${what}: its oldest one is at LSN ${first.lsn}, its newest one at LSN ${head.state.lsn}`)
}

/** What to register; a job also says what it reads, a lease when it is over. */
export type NewRegistration = {
  readonly id: string
  readonly name: string
  readonly at: StateWish
  readonly source?: OpenJob['source']
  readonly until?: number
}

/** @param commit nonce of the HEAD that is made @returns undefined if it is registered already */
export function* register(head: Head, kind: RegistrationKind, { id, name, at, source, until }: NewRegistration, commit: string): Stage<Head | undefined> {
  refuseDropped(head)
  if (head[kind].some((entry) => entry.id === id)) return undefined
  if (kind !== 'leases' && head[kind].some((entry) => entry.name === name)) {
    throw new EnvironmentError('lake.name-taken',
      `branch ${head.branch.name} has ${kind} of the name ${name} already: choose another name, or delete that one first`)
  }
  const state = yield* findState(head, at)
  const entry = { id, name, state, ...source !== undefined && { source }, ...until !== undefined && { until } }
  return { ...head, commit, [kind]: [...head[kind], entry] }
}

/** @returns undefined if it is not registered any more */
export function unregister(head: Head, kind: RegistrationKind, id: string, commit: string): Head | undefined {
  if (!head[kind].some((entry) => entry.id === id)) return undefined
  return { ...head, commit, [kind]: (head[kind] as readonly Registration[]).filter((entry) => entry.id !== id) }
}

/** States before `sequence` are no longer retained, but for the branch's own newest one. @returns undefined if that is so already */
export function keepFrom(head: Head, sequence: number, commit: string): Head | undefined {
  const from = Math.min(sequence, head.state.sequence)
  if (from <= head.keepFrom) return undefined
  return { ...head, commit, keepFrom: from, retained: head.retained.filter((state) => state.sequence >= from) }
}

/** The last HEAD of a branch: no writer goes on with it. @returns undefined if it is dropped already */
export function dropped(head: Head, writer: string, commit: string): Head | undefined {
  if (head.dropped) return undefined
  const held = REGISTERED.find((kind) => kind !== 'tags' && head[kind].length > 0)
  if (held) {
    throw new EnvironmentError('lake.branch-used',
      `branch ${head.branch.name} has ${held} of its own (${head[held].map(({ name }) => name).join(', ')}): delete them first`)
  }
  return { ...raised(head, writer, commit), dropped: true, inline: [], tags: [], retained: [], keepFrom: head.state.sequence }
}

/** The next epoch: from here on the writer before is fenced. */
export function raised(head: Head, writer: string, commit: string): Head {
  const epoch = head.epoch + 1
  const { sequence } = head.state
  return { ...head, commit, epoch, epochs: [...head.epochs.slice(1 - EPOCHS_MAX), { epoch, writer, sequence: 0 }], low: sequence + 1 }
}

/** @throws EnvironmentError lake.branch-dropped */
export function refuseDropped(head: Head): void {
  if (head.dropped) throw new EnvironmentError('lake.branch-dropped', `branch ${head.branch.name} was deleted`)
}

/** The first HEAD of a branch, on the state that `registration` pins in the HEAD of `parent`. Its edits are inline. */
export function* firstHead(parent: Head, { id, name, state }: Registration, commit: string): Stage<Head> {
  const { log: _, ...own } = state
  const inline = yield* editsOf(parent, state)
  return { ...emptyHead({ id, name }, commit), state: own, inline, low: own.sequence + 1, keepFrom: own.sequence }
}

/** HEAD of a branch without a commit. */
export function emptyHead(branch: Head['branch'], commit: string): Head {
  return {
    branch, commit, epoch: 0, epochs: [], low: 1, state: { sequence: 0, timeline: 0, lsn: '0/0', roots: {} }, inline: [], retained: [], keepFrom: 0,
    branches: [], tags: [], leases: [], jobs: [],
  }
}

