import type { BlockSet } from '../common/blockset.ts'
import { isPacked, type LayerFile, type PackedFile, storedBytes } from './layer.ts'
import { CurrentRelation, type Layer } from './layerorder.ts'
import { type MergePlan, PIECES_OF_TIER, tierOfBytes } from './mergeplan.ts'

/** A pack takes no more pages once it has so many bytes. */
export const PACK_BYTES: number = 64 << 20
/** A pack with so many bytes of current pages is not merged: four of them would become one that is full. */
const MERGED_BYTES_MAX = PACK_BYTES / PIECES_OF_TIER

/** Packs below so many bytes are of one tier: a request for one costs as much as its bytes. */
const SMALL_BYTES = 64 << 10

/*
 * When packs are merged. A pack has pages of many relations, and it is kept as a whole as long as one relation has pages in it. So its size is that of
 * the pages in it that are current. Four packs of a tier, and all of lower tiers, become one: there are at most three packs of a tier, and a page is
 * copied once a tier, but for those in small packs. Whatever their age: a relation of which a pack has a layer gets all its layers from that one on into
 * the new pack.
 */

/** What packs have of a relation that lies in packs; undefined for one with Parquet files, and for one without any file. */
export function packedFiles(layers: readonly Layer<LayerFile>[]): PackShare[] | undefined {
  const { files } = new CurrentRelation(layers)
  if (files.some(({ file, current }) => current.size > 0 && !isPacked(file))) return undefined
  const shares = files.flatMap(({ file, current }) => (isPacked(file) ? [{ pack: file.key, bytes: currentBytes(file, current) }] : []))
  return shares.length === 0 ? undefined : shares
}

/** Bytes of current pages of one relation in a pack. */
export interface PackShare {
  readonly pack: string
  readonly bytes: number
}

function currentBytes(file: PackedFile, current: BlockSet): number {
  if (current.size === file.blocks.size) return storedBytes(file)
  let bytes = 0
  for (const block of current) bytes += file.pack.sizes[file.blocks.indexOf(block)]!
  return bytes
}

/** The packs of a state: which relations lie in each, and how many bytes of it are current. */
export class PackCensus {
  private readonly packs = new Map<string, { bytes: number; relations: string[] }>()
  /** Packs of relations that have several layers. */
  private readonly spread = new Set<string>()

  /** @param relation key of its entry @param shares of each pack that one of its layers is in @param isSpread it has several layers */
  add(relation: string, shares: readonly PackShare[], isSpread: boolean): void {
    for (const { pack, bytes } of shares) {
      const found = this.packs.get(pack) ?? { bytes: 0, relations: [] }
      this.packs.set(pack, found)
      found.bytes += bytes
      found.relations.push(relation)
      if (isSpread) this.spread.add(pack)
    }
  }

  /** Keys of all packs. */
  get keys(): readonly string[] {
    return [...this.packs.keys()]
  }

  /** Keys of the relations that lie in one of the packs. */
  relationsIn(packs: ReadonlySet<string>): ReadonlySet<string> {
    return new Set([...packs].flatMap((pack) => this.packs.get(pack)?.relations ?? []))
  }

  /** Packs that the tiers say to merge now. After a merge, ask again. */
  full(): ReadonlySet<string> {
    const packs = [...this.packs].filter(([, { bytes }]) => bytes < MERGED_BYTES_MAX)
      .map(([pack, { bytes }]) => ({ pack, tier: tierOfBytes(Math.max(SMALL_BYTES, bytes)) }))
    const tiers = [...new Set(packs.map(({ tier }) => tier))].sort((a, b) => a - b)
    const full = tiers.find((tier) => packs.filter((other) => other.tier === tier).length >= PIECES_OF_TIER) ?? -1
    return new Set(packs.filter(({ tier }) => tier <= full).map(({ pack }) => pack))
  }

  /**
   * Packs that are merged so that all pages in packs are current, each relation has one layer, and there are as few packs as may be: packs that have other
   * pages, packs of relations with several layers, and small ones beside others.
   * @param pageBytes bytes of all pages of each pack; undefined: these relations are some of many, and only become one layer each
   */
  untidy(pageBytes: ReadonlyMap<string, number> | undefined): ReadonlySet<string> {
    if (pageBytes === undefined) return this.spread
    const small = [...this.packs].filter(([, { bytes }]) => bytes < MERGED_BYTES_MAX).map(([pack]) => pack)
    const mixed = [...this.packs].filter(([pack, { bytes }]) => pageBytes.get(pack) !== bytes).map(([pack]) => pack)
    return new Set([...(small.length > 1 ? small : []), ...mixed, ...this.spread])
  }
}

/** Which layers of a relation leave packs that are merged: those from the oldest one in such a pack on. Undefined: none. */
export function planPackMerge(layers: readonly Layer<LayerFile>[], packs: ReadonlySet<string>): MergePlan | undefined {
  let first = layers.findIndex(({ files }) => files.some((file) => isPacked(file) && packs.has(file.key)))
  if (first < 0) return undefined
  const current = new Set(new CurrentRelation(layers).files.filter((file) => file.current.size > 0).map(({ file }) => file))
  // What is superseded as a whole goes for nothing.
  while (first > 0 && !layers[first - 1]!.files.some((file) => current.has(file))) first--
  return { first }
}
