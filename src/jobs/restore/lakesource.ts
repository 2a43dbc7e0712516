import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError, isPositioned, UnsupportedError } from '../../common/errors.ts'
import { parseLsn } from '../../common/ids.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { type ClusterInfo, parseCatalogEntry } from '../../lake/clusterinfo.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { type NotRead, notReadText } from '../../lake/notread.ts'
import { type ClusterFile, filePath, parseFile } from '../../lake/state/files.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { ClusterEntry } from '../../io/datadir/lakefiles.ts'
import { openLake, openState } from '../lakes/openlake.ts'
import { pointOf } from '../lakes/pointof.ts'
import { readObject } from '../tasks/lakeobject.ts'
import type { RestoreRelation, RestoreSource } from './restoresource.ts'

/**
 * A state of a lake of layers as what a data directory is made from.
 * @param place URL or folder of the lake @param to LSN of a state, time or tag; default: the newest state
 * @throws EnvironmentError lake.*, restore.incomplete, store.*; UnsupportedError restore.format, restore.damaged; CorruptionError lake.*
 */
export async function openLakeSource(place: string, to?: string): Promise<RestoreSource> {
  const lake = await openLake(place)
  if (lake === undefined) {
    throw new UnsupportedError('restore.format', `${place} has no lake of layers, which keeps all that a server needs: make one with ltap transcode; a lake in `
      + 'one folder has heaps only, and ltap rebuild writes them into a copy of the data directory')
  }
  return await lakeSource(await openState(lake, await pointOf(lake, to)), lake.ports.store)
}

/** @throws as {@link openLakeSource} */
async function lakeSource(snapshot: Snapshot, store: ObjectStore): Promise<RestoreSource> {
  const { timeline, lsn } = snapshot.state
  const cluster = await readClusterInfo(snapshot, store)
  const files = new Map<string, ClusterFile>()
  await snapshot.scan('files', (key, value) => void files.set(filePath({ key }), parseFile(value, { tree: 'files', key })))
  const relations: StateRelation[] = []
  await snapshot.scan('layers', (key, value) => void relations.push(parseStateRelation(key, value)))
  const pieces = new Pieces(store)
  return {
    major: cluster.major, lsn: parseLsn(lsn)!, timeline,
    async *entries() {
      for (const [path, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) yield entryOf(path, file)
    },
    read: async (path) => {
      const file = files.get(path)
      if (file?.kind !== 'file') throw new CorruptionError('restore.file', 'the state has no such file', { file: path })
      return file.content === undefined ? new Uint8Array(0) : await pieces.read(file.content)
    },
    async *relations() {
      for (const relation of relations) yield relationOf(store, relation)
    },
  }
}

/** Parents come before what is in them: `/` is before every character of a name but a few that no file of a data directory begins with. */
function entryOf(path: string, file: ClusterFile): ClusterEntry {
  if (file.kind === 'link') return { kind: 'link', path, target: file.target }
  if (file.kind === 'folder') return { kind: 'folder', path, mode: file.mode }
  return { kind: 'file', path, mode: file.mode, bytes: file.content?.length ?? 0 }
}

async function readClusterInfo(snapshot: Snapshot, { url }: ObjectStore): Promise<ClusterInfo> {
  const [value] = await snapshot.get([{ tree: 'catalog', key: 'cluster' }])
  const entry = parseCatalogEntry('cluster', value)
  if (entry.kind !== 'cluster') throw new CorruptionError('lake.state', 'the entry cluster of catalog is of another kind')
  const { cluster } = entry
  if (!cluster.complete) throw incomplete(`the lake in ${url} was made with --database or --table`)
  const missing = await readLeftOut(snapshot)
  if (missing !== undefined) throw incomplete(`the lake in ${url} lacks ${notReadText(missing)}`)
  if (cluster.guessed || (cluster.damage ?? []).length > 0) {
    const reason = 'was made of a damaged cluster: no server is started on what was guessed; read it with ltap query'
    throw new UnsupportedError('restore.damaged', `the lake in ${url} ${reason}`)
  }
  return cluster
}

/** The first relation with a heap that is not in the state. What has another access method has no heap: it is listed when it is restored. */
async function readLeftOut(snapshot: Snapshot): Promise<NotRead | undefined> {
  let found: NotRead | undefined
  await snapshot.scan('catalog', (key, value) => {
    const entry = parseCatalogEntry(key, value)
    if (entry.kind === 'notread' && entry.notRead.why !== 'access-method' && entry.notRead.why !== 'foreign-table') found ??= entry.notRead
  })
  return found
}

function incomplete(why: string): EnvironmentError {
  return new EnvironmentError('restore.incomplete', `${why}, so no server can run on what it has; transcode the whole cluster into a lake`)
}

function relationOf(store: ObjectStore, { locator, info, layers }: StateRelation): RestoreRelation {
  const current = new CurrentRelation(layers)
  return {
    locator, name: `${info.schema}.${info.name}`, blocks: current.length,
    pages: async (sink) => {
      // Arrow and parquet-wasm are loaded when they are needed.
      const { PageRebuilder } = await import('../../columnar/rebuild.ts')
      for (const { file, current: wanted } of current.files) {
        if (wanted.size === 0) continue
        try {
          new PageRebuilder(await readObject(store, file)).rebuild((block, page) => {
            if (wanted.has(block)) sink(block, page)
          })
        } catch (error) {
          throw isPositioned(error) ? error.at({ file: file.key }) : error
        }
      }
    },
  }
}

/** Small files lie together in objects: the last one that was read is kept. */
class Pieces {
  private readonly store: ObjectStore
  private last: { key: string; bytes: Uint8Array } | undefined

  constructor(store: ObjectStore) {
    this.store = store
  }

  /** @throws CorruptionError lake.object */
  async read({ key, start, length, crc }: PieceRef): Promise<Uint8Array> {
    if (this.last?.key !== key) {
      const found = await this.store.get(key)
      if (found === undefined) throw new CorruptionError('lake.object', `the lake refers to the object ${key}, which is not in ${this.store.url}`)
      this.last = { key, bytes: found.bytes }
    }
    const bytes = this.last.bytes.subarray(start, start + length)
    if (bytes.length === length && crc32c(bytes) === crc) return bytes
    throw new CorruptionError('lake.object', `the piece at ${start} of the object ${key} in ${this.store.url} has not the bytes that were written`)
  }
}
