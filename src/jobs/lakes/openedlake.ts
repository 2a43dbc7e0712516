import { join } from 'node:path'
import type { BlockRun } from '../../common/blockset.ts'
import type { Lake } from '../../engine/lake.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { isPacked } from '../../lake/layer.ts'
import type { LakeRelation, Manifest } from '../../lake/manifest.ts'
import { type ExpectedFile, expectedFile, readManifest } from '../lake.ts'
import type { FileOfLake, PackedOfLake } from '../lakefile.ts'
import { FetchedObjects, type OpenLakeOptions } from './fetchedobjects.ts'
import { filesOf, readPacked } from './layerfiles.ts'
import { openLake, refuseBranch } from './openlake.ts'
import { readStateAt, type StateManifest } from './statemanifest.ts'

/** A file of a relation that has blocks which count. */
export interface FileToRead {
  readonly expected: ExpectedFile
  /** How many blocks count. */
  readonly blocks: number
  /** These: `runs` of a BlockSet; undefined for all. */
  readonly current: readonly BlockRun[] | undefined
  /** @throws CorruptionError lake.missing-object, lake.object; EnvironmentError store.*, file.* */
  open(): Promise<{ file: FileOfLake | PackedOfLake; release: () => void }>
}

/** A lake of either format, at one state, for jobs that go through its files. */
export interface OpenedLake {
  readonly manifest: Manifest
  files(relation: LakeRelation): Promise<readonly FileToRead[]>
  /** Removes what was fetched. */
  close(): void
}

/**
 * @param wanted the LSN of the state that is asked for, given the newest one; of a lake of format 1 there is one
 * @throws EnvironmentError lake.missing, store.*; CorruptionError, UnsupportedError lake.*
 */
export async function openAnyLake(place: string, options: OpenLakeOptions, wanted: (newest: Manifest) => string | undefined): Promise<OpenedLake> {
  const lake = await openLake(place)
  if (lake !== undefined) return new StateLake(lake, await readStateAt(lake, options.branch, wanted), options)
  refuseBranch(place, options.branch)
  return new FolderLake(place)
}

class FolderLake implements OpenedLake {
  readonly manifest: Manifest
  private readonly folder: string

  constructor(folder: string) {
    this.folder = folder
    this.manifest = readManifest(folder)
  }

  async files(relation: LakeRelation): Promise<readonly FileToRead[]> {
    return relation.files.map((file): FileToRead => {
      const { path, bytes, crc32, blockCount: blocks } = file
      return {
        expected: expectedFile(this.manifest, relation, file), blocks, current: undefined,
        open: async () => ({ file: { path: join(this.folder, path), bytes, crc32 }, release: () => {} }),
      }
    })
  }

  close(): void {}
}

class StateLake implements OpenedLake {
  readonly manifest: Manifest
  private readonly state: StateManifest
  private readonly objects: FetchedObjects
  private readonly store: ObjectStore

  constructor({ ports: { store } }: Lake, state: StateManifest, options: OpenLakeOptions) {
    this.state = state
    this.manifest = state.manifest
    this.store = store
    this.objects = new FetchedObjects(store, options)
  }

  async files(relation: LakeRelation): Promise<readonly FileToRead[]> {
    const found = await this.state.relation(relation)
    if (found === undefined) return []
    return filesOf(found, this.manifest.systemIdentifier).filter(({ current }) => current.size > 0).map(({ file, current, expected }): FileToRead => ({
      expected, blocks: current.size, current: current.runs,
      open: async () => {
        if (isPacked(file)) return { file: { packed: await readPacked(this.store, file, this.manifest.checksums), name: file.key }, release: () => {} }
        const { path, release } = await this.objects.open(file)
        return { file: { path, bytes: file.bytes, name: file.key }, release }
      },
    }))
  }

  close(): void {
    this.objects.close()
  }
}
