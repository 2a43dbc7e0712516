import * as v from 'valibot'
import type { RelFileLocator } from '../../common/rel.ts'
import { lsnText, type Schema, unsigned32 } from '../../common/validate.ts'
import { type EntryKey, parseEntry } from './entries.ts'
import { objectKey } from './page.ts'

/** A file of a layer as a state has it. `key` is its object; `objects` are further ones that belong to it. What else it has is of the layer's format. */
export interface StateFile {
  readonly key: string
  readonly objects?: readonly string[]
  readonly [member: string]: unknown
}

/** The complete content of the blocks of one relation that changed since the layer before. */
export interface StateLayer {
  /** The state's LSN when it was written; a merge has that of the state it started from. */
  readonly lsn: string
  /** The smallest length in blocks since the layer before: it supersedes each block from there on. */
  readonly smallest: number
  /** The length in blocks at `lsn`. */
  readonly length: number
  readonly files: readonly StateFile[]
}

/** The layers of one relation, the oldest first: for one block the newest one counts. */
export interface RelationLayers {
  readonly layers: readonly StateLayer[]
}

const LAYER = v.strictObject({
  lsn: lsnText, smallest: unsigned32, length: unsigned32,
  files: v.array(v.looseObject({ key: objectKey, objects: v.exactOptional(v.array(objectKey)) })),
})
const RELATION: Schema<RelationLayers> = v.strictObject({ layers: v.array(LAYER) }) as Schema<RelationLayers>

/** Relation numbers are reused, so that its creation LSN belongs to what a relation is. */
export function relationKey({ spcOid, dbOid, relNumber }: RelFileLocator, creationLsn: string): EntryKey {
  return { tree: 'layers', key: `${dbOid}/${relNumber}/${spcOid}@${creationLsn}` }
}

/** @throws CorruptionError lake.state with the member */
export function parseRelation(value: unknown, entry: EntryKey): RelationLayers {
  return parseEntry(RELATION, value, entry)
}
