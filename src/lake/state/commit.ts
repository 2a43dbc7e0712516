import { assert, EnvironmentError, isPositioned, type PositionedError } from '../../common/errors.ts'
import { parseLsn } from '../../common/ids.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { type EntryKey, entryId, stateEntries } from './entries.ts'
import { fold, foldAll } from './fold.ts'
import type { Head, LogEdit, OpenJob } from './head.ts'
import type { ChangeKind } from './madeby.ts'
import { parseObjectName } from './names.ts'
import { objectsOf } from './objects.ts'
import { PagePacker, type Stage, type StagedObject } from './stage.ts'
import type { StateRoot } from './stateroot.ts'

/** A position of a cluster. */
export interface StatePosition {
  readonly timeline: number
  /** End position, `16/B374D848`. */
  readonly lsn: string
  /** Microseconds since 1970; absent where the source does not say. */
  readonly time?: number
}

/** What a change makes of a state. */
export interface Transition {
  /** Absent: the state stays where it is, as with a merge. */
  readonly position?: StatePosition
  /** Without a value the entry is removed. */
  readonly edits: readonly (EntryKey & { readonly value?: unknown })[]
  /** The job whose results these are: it ends with the commit. */
  readonly job?: string
  readonly published?: string
  readonly archived?: string
  /** Every page of the state is rewritten, so that no object has bytes of what the state does not have (foldAll). */
  readonly rewrites?: true
  /** The state says the same of the cluster as the one before, in whose place it is retained. */
  readonly amends?: true
}

/** The state that a change is applied to. */
export interface StateView {
  readonly state: StatePosition & { readonly sequence: number }
  readonly jobs: readonly OpenJob[]
  /** The value of an entry that {@link Change.reads} names. */
  get(entry: EntryKey): unknown
}

/**
 * A function of the state. If another commit comes first, it is applied once more, to the state after that commit. It depends on the state alone.
 */
export interface Change {
  /** Absent: another one. */
  readonly kind?: ChangeKind
  readonly reads: readonly EntryKey[]
  /** @throws EnvironmentError if the change no longer fits the state: it alone is refused */
  apply(view: StateView): Transition
}

/** Whose commit it is. */
export interface CommitAs {
  readonly sequence: number
  /** The lowest sequence of any other work in flight, or the one behind the commit's. */
  readonly low: number
  /** Nonce of the HEAD that is made. */
  readonly commit: string
  /** Sequences under which the changes' objects were named: no other object becomes part of the lake by this commit. */
  readonly works: readonly number[]
  /** Key of a new object. */
  readonly mint: () => string
  /** The lake's compressor, for pages. */
  readonly compressor?: Compressor
}

export interface StagedCommit {
  /** To put before HEAD is written. */
  readonly objects: readonly StagedObject[]
  /** Undefined if every change was refused: then nothing is written. */
  readonly head: Head | undefined
  /** For each change why it was refused; undefined if it is in. */
  readonly refused: readonly (PositionedError | undefined)[]
}

/** Several changes as one commit, in their order: all that are not refused are in, or none of them. */
export function* stageCommit(head: Head, changes: readonly Change[], as: CommitAs): Stage<StagedCommit> {
  const replaced: ReadonlyMap<string, unknown> = yield* stateEntries(head, head.state, changes.flatMap(({ reads }) => reads))
  const entries = new Map(replaced)
  // Objects of an entry as the replaced state has it, and as changes before this one left it.
  const known = (entry: EntryKey): string[] => [replaced, entries].flatMap((from) => objectsOf(entry, from.get(entryId(entry))))
  const { job: _before, made: _made, ...before } = head.state
  let next: Head = { ...head, state: before }
  const edits: LogEdit[] = []
  let rewrites = false
  let amends = true
  const refused = changes.map((change): PositionedError | undefined => {
    try {
      const view = { state: next.state, jobs: next.jobs, get: (entry: EntryKey): unknown => entries.get(entryId(entry)) }
      const transition = change.apply(view)
      next = applied(next, transition)
      rewrites ||= transition.rewrites === true
      amends &&= transition.amends === true
      const isPublication = transition.edits.some(({ tree }) => tree === 'published')
      const ofAll = isPublication ? new Set(change.reads.flatMap(known)) : undefined
      for (const edit of transition.edits) {
        checkReferences(edit, ofAll ?? new Set(known(edit)), head, as.works, transition.job)
        entries.set(entryId(edit), edit.value)
        edits.push({ sequence: as.sequence, ...edit })
      }
      return undefined
    } catch (error) {
      if (isPositioned(error)) return error
      throw error
    }
  })
  if (refused.every((error) => error !== undefined)) return { objects: [], head: undefined, refused }
  const packer = new PagePacker(as.mint, as.compressor)
  const { log: _, ...newest } = next.state
  const { job, made } = head.state
  const state = amends ? { ...newest, ...job !== undefined && { job }, ...made && { made } } : newest
  const committed: Head = {
    ...next, commit: as.commit, low: as.low, state: { ...state, sequence: as.sequence }, inline: [...head.inline, ...edits],
    epochs: [...head.epochs.slice(0, -1), { ...head.epochs.at(-1)!, sequence: as.sequence }], retained: amends ? head.retained : withState(head),
  }
  if (!rewrites) {
    const folded = yield* fold(committed, packer)
    return { objects: packer.objects(), head: folded, refused }
  }
  const older = new PagePacker(as.mint, as.compressor)
  const folded = yield* foldAll(committed, packer, older)
  return { objects: [...packer.objects(), ...older.objects()], head: folded, refused }
}

/**
 * A commit refers to objects of the state that it replaces, and to those that its own epoch or its job named: any other may be deleted at any time.
 * @param known objects of the edit's entry before; of a publication, of all entries that it was made from: a merge that goes with it may have replaced them
 */
function checkReferences(
  edit: EntryKey & { readonly value?: unknown }, known: ReadonlySet<string>, head: Head, works: readonly number[], job: string | undefined,
): void {
  for (const key of objectsOf(edit, edit.value)) {
    const name = parseObjectName(key)
    const isOwn = name !== undefined && name.branch === head.branch.id
      && ('job' in name ? name.job === job : name.epoch === head.epoch && works.includes(name.sequence))
    assert(isOwn || known.has(key), `a commit to branch ${head.branch.name} refers to ${key}, which its epoch did not name`)
  }
}

/** Adds the state to the retained ones, unless it is the empty state before the first commit or lies below `keepFrom`. */
function withState({ retained, state, keepFrom }: Head): readonly StateRoot[] {
  return state.sequence === 0 || state.sequence < keepFrom ? retained : [...retained, state]
}

function applied(head: Head, { position, job, published, archived }: Transition): Head {
  if (position !== undefined) checkForward(head.state, position)
  if (job !== undefined && !head.jobs.some(({ id }) => id === job)) {
    throw new EnvironmentError('commit.job-gone', `job ${job} is no longer open in branch ${head.branch.name}: plan it again`)
  }
  const { time: _, ...state } = head.state
  return {
    ...head, state: { ...position === undefined ? head.state : { ...state, ...position }, ...job !== undefined && { job } },
    jobs: head.jobs.filter(({ id }) => id !== job),
    ...published !== undefined && { published }, ...archived !== undefined && { archived },
  }
}

/** @throws EnvironmentError commit.past */
function checkForward(state: StatePosition, { timeline, lsn }: StatePosition): void {
  if (timeline >= state.timeline && parseLsn(lsn)! >= parseLsn(state.lsn)!) return
  throw new EnvironmentError('commit.past', `the lake is at LSN ${state.lsn} of timeline ${state.timeline}; LSN ${lsn} of timeline ${timeline} is before that`)
}
