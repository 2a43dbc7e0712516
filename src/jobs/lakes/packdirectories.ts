import { bytesEqual } from '../../common/bytes.ts'
import { equalJson } from '../../common/equaljson.ts'
import { CorruptionError } from '../../common/errors.ts'
import { RecentlyUsed } from '../../common/recentlyused.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { missingObject, readPiece, readTail } from '../../engine/pagereader.ts'
import type { PackedFile } from '../../lake/layer.ts'
import { PACK_HEAD_LENGTH, PACK_TAIL_LENGTH, type PackDirectory, packDirectoryRange, type PackedRelation, parsePackDirectory } from '../../lake/pack.ts'
import type { ExpectedFile } from '../lake.ts'

/** So many directories are kept: the relations of a pack are asked for one after the other. */
const DIRECTORIES_KEPT = 4

interface OpenedDirectory {
  readonly compressor: string
  /** By the byte at which their pages begin; of those without pages one is left. */
  readonly relations: ReadonlyMap<number, PackedRelation>
}

/** What packs say of themselves, to hold it against what a state says of them. */
export class PackDirectories {
  private readonly store: ObjectStore
  private readonly opened = new RecentlyUsed<string, Promise<OpenedDirectory>>(DIRECTORIES_KEPT)

  constructor(store: ObjectStore) {
    this.store = store
  }

  /** @throws CorruptionError lake.pack if the pack says something else, lake.missing-object, lake.block-index; EnvironmentError store.* */
  async check({ key, pack, index }: PackedFile, { spcOid, dbOid, relNumber, blocks }: ExpectedFile): Promise<void> {
    const { compressor, relations } = await this.opened.get(key, () => this.read(key))
    const found = relations.get(pack.start)
    if (found === undefined || found.spcOid !== spcOid || found.dbOid !== dbOid || found.relNumber !== relNumber) {
      const what = found === undefined ? 'no relation' : `relation ${found.spcOid}/${found.dbOid}/${found.relNumber}`
      throw different(key, `it has ${what} at byte ${pack.start}, the lake says ${spcOid}/${dbOid}/${relNumber}`)
    }
    if (compressor !== pack.compressor || found.length !== blocks || !equalJson(found.sizes, pack.sizes) || !bytesEqual(found.index, index)) {
      throw different(key, `what its directory says of relation ${spcOid}/${dbOid}/${relNumber} is not what the lake says`)
    }
  }

  private async read(key: string): Promise<OpenedDirectory> {
    const { compressor, relations } = await readPackDirectory(this.store, key)
    return { compressor, relations: new Map(relations.map((relation) => [relation.start, relation])) }
  }
}

/** Bytes of all pages of a pack, by one request. @throws CorruptionError lake.pack, lake.missing-object; EnvironmentError store.* */
export async function packPageBytes(store: ObjectStore, key: string): Promise<number> {
  return (await directoryRange(store, key)).start - PACK_HEAD_LENGTH
}

/** The directory of a pack, by two requests. @throws CorruptionError lake.pack, lake.missing-object, lake.block-index; EnvironmentError store.* */
export async function readPackDirectory(store: ObjectStore, key: string): Promise<PackDirectory> {
  const { start, size } = await directoryRange(store, key)
  return parsePackDirectory(await readPiece(store, { key, start, length: size - start }), start)
}

async function directoryRange(store: ObjectStore, key: string): Promise<{ start: number; size: number }> {
  const tail = await readTail(store, key, PACK_TAIL_LENGTH)
  if (tail === undefined) throw missingObject(store, key)
  return { start: packDirectoryRange(tail.bytes, tail.size).start, size: tail.size }
}

function different(key: string, problem: string): CorruptionError {
  return new CorruptionError('lake.pack', `the pack ${key} is not the one that the lake means: ${problem}`)
}
