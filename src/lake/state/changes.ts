import { EnvironmentError } from '../../common/errors.ts'
import type { Change, StatePosition } from './commit.ts'
import type { EntryKey } from './entries.ts'
import { parseRelation, type RelationLayers, type StateInfo, type StateLayer } from './relationlayers.ts'

/** What becomes of one relation: a layer more, other information, or both; without either the relation is gone. */
export interface RelationChange {
  readonly relation: EntryKey
  /** Absent: as before. */
  readonly info?: StateInfo
  readonly layer?: StateLayer
}

/** What one materialization makes: all layers up to one LSN, and what became of transactions. */
export interface Materialized {
  /** Where the state was whose blocks the changes were compared with: no two states have different bytes at one position. */
  readonly from: Pick<StatePosition, 'timeline' | 'lsn'>
  readonly position: StatePosition
  readonly relations: readonly RelationChange[]
  /** Entries of transactions (statusEdit), and of small files of the cluster. */
  readonly others: readonly (EntryKey & { readonly value?: unknown })[]
  /** Id of the open job whose results the layers are; it ends with the commit. */
  readonly job?: string
}

/** @returns the change that adds the layers; it is refused once another one was committed since `from` */
export function materialize({ from, position, relations, others, job }: Materialized): Change {
  return {
    reads: relations.map(({ relation }) => relation),
    apply: ({ state, get }) => {
      if (!isAt(state, from)) throw stale(`it was at LSN ${from.lsn} of timeline ${from.timeline} and is at LSN ${state.lsn} of timeline ${state.timeline}`)
      if (isAt(state, position) && relations.length > 0) throw stale(`it has LSN ${state.lsn} already`)
      const edits = relations.map(({ relation, info: newInfo, layer }) => {
        if (layer === undefined && newInfo === undefined) return relation
        const before = get(relation)
        const { info: oldInfo, layers }: RelationLayers = before === undefined ? { layers: [] } : parseRelation(before, relation)
        const info = newInfo ?? oldInfo
        return { ...relation, value: { ...info && { info }, layers: layer === undefined ? layers : [...layers, layer] } }
      })
      return { position, edits: [...edits, ...others], ...job !== undefined && { job } }
    },
  }
}

/** Fewer layers in place of some of one relation, with the same content. */
export interface Merge {
  readonly relation: EntryKey
  /** Keys of the files of the layers that are merged: neighbours of the state that the merge started from. */
  readonly inputs: readonly string[]
  readonly output: StateLayer
}

/** @returns the change that puts the output in the place of its inputs: before every layer that was committed since */
export function mergeLayers({ relation, inputs, output }: Merge): Change {
  return {
    reads: [relation],
    apply: ({ get }) => {
      const value = get(relation)
      if (value === undefined) throw stale(`relation ${relation.key} is gone`)
      const { info, layers } = parseRelation(value, relation)
      const wanted = new Set(inputs)
      const isInput = ({ files }: StateLayer): boolean => files.some(({ key }) => wanted.has(key))
      const first = layers.findIndex(isInput)
      const last = layers.findLastIndex(isInput)
      const run = layers.slice(first, last + 1)
      const found = run.flatMap(({ files }) => files.map(({ key }) => key))
      if (first < 0 || found.length !== inputs.length || !found.every((key) => wanted.has(key))) {
        throw stale(`layers of relation ${relation.key} that the merge read are no longer in it`)
      }
      return { edits: [{ ...relation, value: { ...info && { info }, layers: [...layers.slice(0, first), output, ...layers.slice(last + 1)] } }] }
    },
  }
}

function isAt(state: StatePosition, { timeline, lsn }: Pick<StatePosition, 'timeline' | 'lsn'>): boolean {
  return state.timeline === timeline && state.lsn === lsn
}

function stale(why: string): EnvironmentError {
  return new EnvironmentError('commit.stale', `the lake changed since the work began: ${why}; begin again from the lake's newest state`)
}
