import type { RelFileLocator } from '../common/rel.ts'
import { assert } from '../common/errors.ts'
import { parseLsn, type WalPosition, walPosition } from '../common/ids.ts'
import { type LayerFile, layerFileJson, parseLayerFile } from './layer.ts'
import type { Layer } from './layerorder.ts'
import { parseRelationInfo, type RelationInfo } from './relationinfo.ts'
import type { EntryKey } from './state/entries.ts'
import { parseRelation, parseRelationKey, type StateLayer } from './state/relationlayers.ts'

/** A relation with pages as a state has it. */
export interface StateRelation {
  /** Names its entry. */
  readonly entry: EntryKey
  readonly locator: RelFileLocator
  readonly info: RelationInfo
  /** Oldest first; CurrentRelation says which blocks of their files are current. */
  readonly layers: readonly Layer<LayerFile>[]
}

/**
 * @param key of an entry of the tree `layers` @param value of it
 * @throws CorruptionError lake.state with the member; UnsupportedError lake.state for what this ltap does not know
 */
export function parseStateRelation(key: string, value: unknown): StateRelation {
  const entry: EntryKey = { tree: 'layers', key }
  const { creationLsn: _, ...locator } = parseRelationKey(entry)
  const { info, layers } = parseRelation(value, entry)
  const persisted = { code: 'lake.state', name: `the entry ${key} of layers` }
  return {
    entry, locator, info: parseRelationInfo(info, entry), layers: layers.map(({ lsn, smallest, length, files }, i) => ({
      lsn: lsnOf(lsn), smallest, length, files: files.map((file, j) => parseLayerFile(file, persisted, `layers[${i}].files[${j}]`)),
    })),
  }
}

/** A layer as a state keeps it. @param lsn as text, `16/B374D848` */
export function stateLayer({ smallest, length, files }: Omit<Layer<LayerFile>, 'lsn'>, lsn: string): StateLayer {
  return { lsn, smallest, length, files: files.map(layerFileJson) }
}

function lsnOf(text: string): WalPosition {
  const lsn = parseLsn(text)
  assert(lsn !== undefined, 'a schema lets only LSNs pass')
  return walPosition(lsn)
}
