import * as v from 'valibot'
import { CorruptionError } from '../../common/errors.ts'
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

/** What a state says of a relation beside its layers (src/lake/relationinfo.ts). `objects` are those that belong to it. */
export interface StateInfo {
  readonly objects?: readonly string[]
  readonly [member: string]: unknown
}

/** A relation in a state. */
export interface RelationLayers {
  /** As of the newest state; absent in the states of a simulation. */
  readonly info?: StateInfo
  /** Layers, the oldest first. For a block the newest layer that has it counts. */
  readonly layers: readonly StateLayer[]
}

const LAYER = v.strictObject({
  lsn: lsnText, smallest: unsigned32, length: unsigned32,
  files: v.array(v.looseObject({ key: objectKey, objects: v.exactOptional(v.array(objectKey)) })),
})
const RELATION: Schema<RelationLayers> = v.strictObject({
  info: v.exactOptional(v.looseObject({ objects: v.exactOptional(v.array(objectKey)) })), layers: v.array(LAYER),
}) as Schema<RelationLayers>

/** Relation numbers are reused, so that its creation LSN belongs to what a relation is: of a source without WAL, the LSN of the first state that has it. */
export function relationKey({ spcOid, dbOid, relNumber }: RelFileLocator, creationLsn: string): EntryKey {
  return { tree: 'layers', key: `${dbOid}/${relNumber}/${spcOid}@${creationLsn}` }
}

/** What {@link relationKey} was given. @throws CorruptionError lake.state */
export function parseRelationKey(entry: EntryKey): RelFileLocator & { creationLsn: string } {
  const [, dbOid, relNumber, spcOid, creationLsn] = /^(\d{1,10})\/(\d{1,10})\/(\d{1,10})@([0-9A-F]{1,8}\/[0-9A-F]{1,8})$/.exec(entry.key) ?? []
  if (creationLsn === undefined) throw new CorruptionError('lake.state', `the entry ${entry.key} of ${entry.tree} is damaged: its key names no relation`)
  return { dbOid: Number(dbOid), relNumber: Number(relNumber), spcOid: Number(spcOid), creationLsn }
}

/** @throws CorruptionError lake.state with the member */
export function parseRelation(value: unknown, entry: EntryKey): RelationLayers {
  return parseEntry(RELATION, value, entry)
}
