import type { StagedObject } from '../state/stage.ts'
import type { AvroValue } from './avro.ts'
import { ADDED, DELETED, EXISTING, encodeManifest, type FormatVersion, type ManifestEntry, type TableSchema } from './manifest.ts'
import type { EntryCount, ManifestFile } from './manifestlist.ts'

/*
 * Which manifests a snapshot has. Those whose entries all stay are kept; the others are written again: what stays in them as EXISTING, what left as
 * DELETED, what is new as ADDED. So a manifest that never changes is never written again. When there are many, small ones are joined.
 */

/** A file that the snapshot has. */
export interface LiveEntry {
  readonly sequence: number
  readonly snapshot: number
  readonly rows: number
  /** Index of the manifest that has its entry; absent for a new file. */
  readonly manifest?: number
  readonly firstRow?: number
  /** Its `data_file`; given the row id of its first row in version 3. */
  file(firstRow: number | undefined): AvroValue
}

/** A file that the snapshot before had. */
export interface GoneEntry {
  readonly sequence: number
  readonly rows: number
  readonly manifest: number
  file(): AvroValue
}

export interface ManifestContext {
  readonly content: 'data' | 'deletes'
  readonly formatVersion: FormatVersion
  readonly schema: TableSchema
  /** Id of the new snapshot. */
  readonly snapshot: number
  readonly sequence: number
  /** Manifests of the snapshot before, of both contents. */
  readonly previous: readonly ManifestFile[]
  /** Version 3, data files: the table's next row id. */
  readonly nextRowId?: number
  newKey(): string
}

export interface ManifestPlan {
  readonly manifests: readonly ManifestFile[]
  /** Place of each live entry, in order: index in `manifests`, and its row id. */
  readonly places: readonly { readonly manifest: number; readonly firstRow?: number }[]
  readonly objects: readonly StagedObject[]
  readonly nextRowId?: number
}

const ENTRIES_MAX = 1000
/** More manifests of one content than this are not kept: those with fewer than half as many entries as there may be are joined. */
const MANIFESTS_MAX = 16

export function planManifests(context: ManifestContext, live: readonly LiveEntry[], gone: readonly GoneEntry[]): ManifestPlan {
  const rewritten = rewrittenManifests(context, live, gone)
  const kept = [...new Set(live.flatMap(({ manifest }) => manifest === undefined || rewritten.has(manifest) ? [] : [manifest]))].sort((a, b) => a - b)
  const manifests = kept.map((index) => context.previous[index]!)
  const places: { manifest: number; firstRow?: number }[] = live.map(({ manifest = -1, firstRow }) => ({
    manifest: kept.indexOf(manifest), ...(firstRow !== undefined && { firstRow }),
  }))
  const writer = new ManifestWriter(context)
  const open = live.map((entry, i) => ({ entry, i })).filter(({ i }) => places[i]!.manifest < 0)
  // What stays comes first, as it was first.
  open.sort((a, b) => Number(a.entry.manifest === undefined) - Number(b.entry.manifest === undefined) || a.i - b.i)
  for (const { entry, i } of open) {
    const firstRow = writer.add(entry)
    places[i] = { manifest: kept.length + writer.manifests.length, ...(firstRow !== undefined && { firstRow }) }
  }
  for (const entry of gone) writer.remove(entry)
  writer.close()
  return {
    manifests: [...manifests, ...writer.manifests], places, objects: writer.objects,
    ...(writer.nextRowId !== undefined && { nextRowId: writer.nextRowId }),
  }
}

/** Indexes of manifests whose live entries go into a new one. */
function rewrittenManifests({ content, previous, nextRowId }: ManifestContext, live: readonly LiveEntry[], gone: readonly GoneEntry[]): Set<number> {
  const rewritten = new Set(gone.map(({ manifest }) => manifest))
  const entries = new Map<number, number>()
  for (const { manifest } of live) if (manifest !== undefined) entries.set(manifest, (entries.get(manifest) ?? 0) + 1)
  // From version 2 to 3: all files get row ids.
  if (content === 'data' && nextRowId !== undefined) previous.forEach(({ firstRow }, i) => firstRow === undefined && rewritten.add(i))
  const kept = [...entries.keys()].filter((index) => !rewritten.has(index))
  if (kept.length >= MANIFESTS_MAX) for (const index of kept) if (entries.get(index)! < ENTRIES_MAX / 2) rewritten.add(index)
  return rewritten
}

const NONE: EntryCount = { files: 0, rows: 0 }

/** Writes entries into as many manifests as they need. */
class ManifestWriter {
  readonly manifests: ManifestFile[] = []
  readonly objects: StagedObject[] = []
  nextRowId: number | undefined
  private readonly context: ManifestContext
  private entries: ManifestEntry[] = []
  private counts: [existing: EntryCount, added: EntryCount, deleted: EntryCount] = [NONE, NONE, NONE]
  private minSequence = Infinity
  /** Row id that the first file without one of its own gets in the open manifest, and the one behind those that got one. */
  private firstRow: number | undefined
  private inherited = 0

  constructor(context: ManifestContext) {
    this.context = context
    this.nextRowId = context.nextRowId
  }

  /** @returns the file's first row id in version 3 */
  add({ sequence, snapshot, rows, manifest, firstRow, file }: LiveEntry): number | undefined {
    this.makeRoom()
    this.minSequence = Math.min(this.minSequence, sequence)
    const inherits = firstRow === undefined && this.firstRow !== undefined
    const found = inherits ? this.inherited : firstRow
    if (inherits) this.inherited += rows
    if (this.nextRowId !== undefined) this.nextRowId += rows
    this.push({ status: manifest === undefined ? ADDED : EXISTING, snapshot, sequence, file: file(inherits ? undefined : firstRow) }, rows)
    return found
  }

  remove({ sequence, rows, file }: GoneEntry): void {
    this.makeRoom()
    this.push({ status: DELETED, snapshot: this.context.snapshot, sequence, file: file() }, rows)
  }

  private push(entry: ManifestEntry, rows: number): void {
    this.entries.push(entry)
    const { files, rows: others } = this.counts[entry.status]
    this.counts[entry.status] = { files: files + 1, rows: others + rows }
  }

  private makeRoom(): void {
    if (this.entries.length === ENTRIES_MAX) this.close()
    if (this.entries.length > 0) return
    this.firstRow = this.nextRowId
    this.inherited = this.nextRowId ?? 0
  }

  close(): void {
    if (this.entries.length === 0) return
    const { content, schema, formatVersion, snapshot, sequence } = this.context
    const key = this.context.newKey()
    const bytes = encodeManifest(content, this.entries, schema, formatVersion)
    const [existing, added, deleted] = this.counts
    this.objects.push({ key, bytes })
    this.manifests.push({
      key, bytes: bytes.length, content, sequence, snapshot, minSequence: Math.min(this.minSequence, sequence), added, existing, deleted,
      ...(this.firstRow !== undefined && { firstRow: this.firstRow }),
    })
    this.entries = []
    this.counts = [NONE, NONE, NONE]
    this.minSequence = Infinity
  }
}
