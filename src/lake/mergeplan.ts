import type { BlockSet } from '../common/blockset.ts'
import { isPacked, type LayerFile, type ParquetFile, storedBytes } from './layer.ts'
import { type CurrentFile, CurrentRelation, type Layer } from './layerorder.ts'

/**
 * When layers are merged. A layer of b bytes is of tier ⌊log4 b⌋. Layers at the end of a relation's list, all of tier t or below and four of them of tier
 * t, become one: so a relation has at most three layers of a tier, and a byte that was written is copied at most 4/3 times a tier, 4/3 · log4(bytes of
 * the relation) times in all. Beside that, a relation of which more than a quarter is superseded becomes one layer: readers pass over those rows, and
 * a byte that was written pays for four more.
 */
const TIER_BASE = 4
/** So many layers, or packs, of a tier become one. */
export const PIECES_OF_TIER = 4
/** Superseded blocks, as a part of the current ones, above which all layers become one: scans stay within 1.3 times of a lake that is new. */
const SUPERSEDED_MAX = 0.25
/** Fewer superseded blocks cost no reader much: 4 MiB. */
const SUPERSEDED_MIN = 512
/** Layers that are merged at once: a row group of each is in memory. */
export const MERGED_LAYERS_MAX = 10

/** The layers that `first` and those behind it are, to the newest one. */
export interface MergePlan {
  readonly first: number
}

/**
 * Which layers of a relation to merge now: the newest ones, from `first` on. Undefined: none. After a merge, ask again.
 * Undefined for a packed relation, too: its layers are merged with the packs that they lie in (packplan.ts).
 * @param all merge whatever the tiers say, until one layer is left
 */
export function planMerge(layers: readonly Layer<LayerFile>[], all = false): MergePlan | undefined {
  if (layers.length < 2 || new CurrentRelation(layers).files.some(({ file, current }) => isPacked(file) && current.size > 0)) return undefined
  const first = all || isSuperseded(layers) ? 0 : firstOfFullTier(layers)
  return first === undefined ? undefined : { first: Math.max(first, layers.length - MERGED_LAYERS_MAX) }
}

function isSuperseded(layers: readonly Layer<LayerFile>[]): boolean {
  const written = layers.reduce((sum, { files }) => sum + files.reduce((blocks, file) => blocks + file.blocks.size, 0), 0)
  const { length } = new CurrentRelation(layers)
  return written - length > Math.max(SUPERSEDED_MIN, length * SUPERSEDED_MAX)
}

/** Where the layers begin that the lowest full tier makes one. */
function firstOfFullTier(layers: readonly Layer<LayerFile>[]): number | undefined {
  const tiers = layers.map(tierOf)
  for (const tier of [...new Set(tiers)].sort((a, b) => a - b)) {
    const first = tiers.findLastIndex((other) => other > tier) + 1
    if (tiers.slice(first).filter((other) => other === tier).length >= PIECES_OF_TIER) return first
  }
  return undefined
}

function tierOf({ files }: Layer<LayerFile>): number {
  return tierOfBytes(files.reduce((sum, file) => sum + storedBytes(file), 0))
}

/** ⌊log4 bytes⌋; 0 for nothing. */
export function tierOfBytes(bytes: number): number {
  return bytes === 0 ? 0 : Math.floor(Math.log(bytes) / Math.log(TIER_BASE))
}

/** What layers from `first` to the newest become: the blocks that are current, and what the relation was cut to. */
export interface MergedLayer<File extends { blocks: BlockSet } = ParquetFile> {
  readonly smallest: number
  readonly length: number
  /** Files that have blocks which count, with these. */
  readonly files: readonly CurrentFile<File>[]
}

/** @param layers all of the relation's layers, the oldest first: of some alone nobody could tell which blocks count */
export function mergedLayer<File extends { blocks: BlockSet }>(layers: readonly Layer<File>[], first: number): MergedLayer<File> {
  const merged = layers.slice(first)
  const inputs = new Set(merged.flatMap(({ files }) => files))
  return {
    smallest: Math.min(...merged.map(({ smallest }) => smallest)), length: merged.at(-1)!.length,
    files: new CurrentRelation(layers).files.filter(({ file, current }) => inputs.has(file) && current.size > 0),
  }
}
