import { equalJson } from '../../common/equaljson.ts'
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
    kind: 'layers',
    reads: relations.map(({ relation }) => relation),
    apply: ({ state, get }) => {
      if (!isAt(state, from)) throw stale(`it was at LSN ${from.lsn} of timeline ${from.timeline} and is at LSN ${state.lsn} of timeline ${state.timeline}`)
      if (isAt(state, position) && relations.length > 0) throw stale(`it has LSN ${state.lsn} already`)
      const edits = relations.map(({ relation, info: newInfo, layer }) => {
        if (layer === undefined && newInfo === undefined) return relation
        const before = get(relation)
        const { info: oldInfo, layers }: RelationLayers = before === undefined ? { layers: [] } : parseRelation(before, relation)
        const info = newInfo ?? oldInfo
        return { ...relation, value: { ...info && { info }, layers: layer === undefined ? layers : withLayer(layers, layer) } }
      })
      return { position, edits: [...edits, ...others], ...job !== undefined && { job } }
    },
  }
}

/** Layers with one more: if that has each block of the relation, the older ones are no longer needed. */
function withLayer(layers: readonly StateLayer[], layer: StateLayer): readonly StateLayer[] {
  return layer.smallest === 0 ? [layer] : [...layers, layer]
}

/** Fewer layers in place of some of one relation, with the same content. */
export interface Merge {
  readonly relation: EntryKey
  /** The layers that are merged, as the state has them that the merge started from: neighbours. */
  readonly inputs: readonly StateLayer[]
  /** Its LSN is that of this state, or below. */
  readonly output: StateLayer
}

/**
 * @returns the change that puts the output of each merge in the place of its inputs: before every layer that was committed since. A merge whose inputs are
 * no longer there is passed over: its relation is gone, or another merge was first. Refused if nothing is left
 */
export function mergeLayers(merges: readonly Merge[]): Change {
  return {
    kind: 'merge',
    reads: merges.map(({ relation }) => relation),
    apply: ({ get }) => {
      const edits = merges.flatMap(({ relation, inputs, output }) => {
        const value = get(relation)
        if (value === undefined) return []
        const { info, layers } = parseRelation(value, relation)
        const first = layers.findIndex((_, i) => inputs.every((input, j) => equalJson(layers[i + j], input)))
        if (first < 0) return []
        return [{ ...relation, value: { ...info && { info }, layers: [...layers.slice(0, first), output, ...layers.slice(first + inputs.length)] } }]
      })
      if (edits.length === 0) throw stale('the layers that were merged are no longer in it')
      return { edits }
    },
  }
}

function isAt(state: StatePosition, { timeline, lsn }: Pick<StatePosition, 'timeline' | 'lsn'>): boolean {
  return state.timeline === timeline && state.lsn === lsn
}

function stale(why: string): EnvironmentError {
  return new EnvironmentError('commit.stale', `the lake changed since the work began: ${why}; begin again from the lake's newest state`)
}
