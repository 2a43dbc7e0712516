import { CorruptionError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { missingObject } from '../../engine/pagereader.ts'
import { decodeManifest, decodeManifestList, type ListedManifest, type ManifestedFile } from '../../lake/iceberg/manifestreader.ts'
import type { IcebergRecord, IcebergSnapshot } from '../../lake/iceberg/record.ts'
import { KeptBytes } from '../keptbytes.ts'

const KEPT_BYTES_MAX = 128 << 20
/** Avro becomes about so many times its bytes in memory. */
const DECODED_SIZE = 8

/** The files of one snapshot. */
export interface SnapshotFiles {
  /** In the order of the manifests. */
  readonly data: readonly ManifestedFile[]
  /** The delete file of a data file, by the URI of that one. */
  readonly deletes: ReadonlyMap<string, ManifestedFile>
}

/** Manifests as readers find them; they never change. */
export class Manifests {
  private readonly store: ObjectStore
  private readonly kept = new KeptBytes<{ readonly files: readonly ManifestedFile[] }>(KEPT_BYTES_MAX)
  private readonly lists = new KeptBytes<{ readonly manifests: readonly ListedManifest[] }>(KEPT_BYTES_MAX / 8)

  constructor(store: ObjectStore) {
    this.store = store
  }

  /** @throws CorruptionError lake.manifest, lake.missing-object; EnvironmentError store.* */
  async filesOf({ root }: IcebergRecord, { list }: IcebergSnapshot): Promise<SnapshotFiles> {
    const { manifests } = await this.lists.get(list, async () => {
      const bytes = await this.get(list)
      const found = decodeManifestList(bytes, { code: 'lake.manifest', name: `the manifest list ${list}` })
      return { value: { manifests: found }, bytes: bytes.length * DECODED_SIZE }
    })
    const files = (await Promise.all(manifests.map((manifest) => this.manifest(root, manifest)))).flat()
    const deletes = new Map<string, ManifestedFile>()
    for (const file of files) {
      if (file.content !== 'deletes') continue
      if (deletes.has(file.of!)) throw new CorruptionError('lake.manifest', `the snapshot of ${list} has two delete files of ${file.of!}`)
      deletes.set(file.of!, file)
    }
    return { data: files.filter(({ content }) => content === 'data'), deletes }
  }

  private async manifest(root: string, listed: ListedManifest): Promise<readonly ManifestedFile[]> {
    const { path } = listed
    if (!path.startsWith(`${root}/`)) throw new CorruptionError('lake.manifest', `the manifest ${path} does not lie below ${root}`)
    const key = path.slice(root.length + 1)
    const { files } = await this.kept.get(key, async () => {
      const bytes = await this.get(key)
      const decoded = decodeManifest(bytes, listed, { code: 'lake.manifest', name: `the manifest ${key}` })
      return { value: { files: decoded }, bytes: bytes.length * DECODED_SIZE }
    })
    return files
  }

  private async get(key: string): Promise<Uint8Array> {
    const found = await this.store.get(key)
    if (found === undefined) throw missingObject(this.store, key)
    return found.bytes
  }
}
