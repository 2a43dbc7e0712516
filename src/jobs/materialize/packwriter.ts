import type { BlockSet } from '../../common/blockset.ts'
import { parseLsn } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { layerFileJson, type ObjectReference, type PackedFile } from '../../lake/layer.ts'
import { PackBuilder, packPages, type PackRelation } from '../../lake/pack.ts'
import { PACK_BYTES } from '../../lake/packplan.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { parseRelationKey, type StateFile } from '../../lake/state/relationlayers.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import type { PackableResult } from '../tasks/layertask.ts'
import { ObjectOutput } from '../tasks/objectoutput.ts'

/** A pack that is not complete yet. */
interface OpenPack {
  key: string
  builder: PackBuilder
  output: ObjectOutput
}

/** Pages of small relations that are to be packed: those of one relation and one layer. */
export interface Packable extends Pick<PackRelation, 'spcOid' | 'dbOid' | 'relNumber' | 'created' | 'smallest' | 'length'> {
  blocks: BlockSet
  /** End to end, in order of the blocks. */
  pages: Uint8Array
  entry: Omit<PackedFile, 'key' | 'pack' | 'blocks'>
}

/** Gathers pages of many small relations of one commit, so that there are few objects. They are sent as they come: no pack is in memory as a whole. */
export class PackWriter {
  private readonly store: ObjectStore
  private readonly mint: () => string
  private readonly compressor: Compressor
  private open: OpenPack | undefined
  /** The writes so far: one after the other. */
  private written: Promise<void> = Promise.resolve()
  /** Packs that are complete. */
  readonly objects: ObjectReference[] = []

  /** @param mint the key of a new object */
  constructor(store: ObjectStore, mint: () => string, compressor: Compressor) {
    this.store = store
    this.mint = mint
    this.compressor = compressor
  }

  /**
   * What a state says of the pages: it is true once {@link finish} is done.
   * @throws EnvironmentError store.*
   */
  async add({ blocks, pages, entry, ...relation }: Packable): Promise<PackedFile> {
    const { sizes, bytes } = packPages(pagesOf(pages), this.compressor)
    const pack = this.open ??= this.begin()
    const place = pack.builder.add({ ...relation, sizes, index: entry.index })
    this.write(pack, bytes)
    if (pack.builder.bytes >= PACK_BYTES) this.end()
    await this.written
    return { key: pack.key, pack: place, blocks, ...entry }
  }

  /** Completes the last pack. @throws EnvironmentError store.* */
  async finish(): Promise<void> {
    this.end()
    await this.written
  }

  /** Gives up the pack that is not complete. */
  async abort(): Promise<void> {
    const { open } = this
    this.open = undefined
    await this.written.catch(() => {})
    await open?.output.abort()
  }

  private begin(): OpenPack {
    const key = this.mint()
    const builder = new PackBuilder(this.compressor.name)
    const pack = { key, builder, output: new ObjectOutput(this.store, key) }
    this.write(pack, builder.begin())
    return pack
  }

  private write({ output }: OpenPack, bytes: Uint8Array): void {
    this.written = this.written.then(() => output.write(bytes))
    // The caller of `add` or `finish` gets the error.
    this.written.catch(() => {})
  }

  private end(): void {
    const pack = this.open
    if (pack === undefined) return
    this.open = undefined
    this.write(pack, pack.builder.end())
    this.written = this.written.then(async () => void this.objects.push(await pack.output.finish()))
    this.written.catch(() => {})
  }
}

/**
 * Puts the proven pages of one layer into a pack.
 * @param relation its entry in the state @returns what the state says of them
 * @throws EnvironmentError store.*
 */
export async function packLayer(
  packs: PackWriter, relation: EntryKey, layer: Pick<Packable, 'smallest' | 'length' | 'blocks'>, { packable }: PackableResult,
): Promise<StateFile> {
  const { creationLsn, ...locator } = parseRelationKey(relation)
  const { smallest, length, blocks } = layer
  return layerFileJson(await packs.add({ ...locator, created: parseLsn(creationLsn)!, smallest, length, blocks, ...packable }))
}

function* pagesOf(pages: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < pages.length; at += BLOCK_SIZE) yield pages.subarray(at, at + BLOCK_SIZE)
}
