import { forEachAtMost } from '../../common/atonce.ts'
import { equalJson } from '../../common/equaljson.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { deleteObjects } from '../../engine/deleteobjects.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog } from '../../engine/statecatalog.ts'
import type { BranchWriter } from '../../engine/writer.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import type { ClusterInfo } from '../../lake/clusterinfo.ts'
import {
  BEHIND_MAX, type FormatName, isLogKey, LOG_NAMES, logKey, type LogName, parsePublished, type PublicationSettings, publishedKey, SETTINGS_ENTRY,
  settingsEdit, type WantedSettings,
} from '../../lake/publishedentry.ts'
import type { Change } from '../../lake/state/commit.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { partKey } from '../../lake/state/names.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import type { TableFormat } from '../../lake/tableformat.ts'
import { lakeRelationName } from '../lake.ts'
import { PartWriter } from '../materialize/partwriter.ts'
import { type Candidate, publicationCandidates } from './candidates.ts'
import { putCommit } from './commitpoints.ts'
import { findLostFiles, type LostFiles } from './lostfiles.ts'
import { confirmationKey, confirmedPublication, type PublishedState, readPublished, readRecord } from './publishedstate.ts'
import { LogStaging } from './logstaging.ts'
import { type PreparedTable, Staging } from './staging.ts'
import { withdraw } from './withdraw.ts'

/** What a publication did. */
export interface PublishedTables {
  /** Tables with a new snapshot, tables that had it already, and those that are no longer there. */
  tables: number
  unchanged: number
  gone: number
  /** Tables whose pages are in packs (--pack-below): they have no files that engines read. */
  packed: number
  /** Bytes of what was written beside data files. */
  bytes: number
  /** Number of files of published tables that were missing, and are there again as they were. */
  remade: number
  /** Tables whose earlier snapshots are gone, since objects of them were deleted. */
  restarted: string[]
  /** Tables that engines see as they were before, or not at all. */
  left: { table: string; reason: string }[]
}

/** Nothing yet. */
export function noPublication(): PublishedTables {
  return { tables: 0, unchanged: 0, gone: 0, packed: 0, bytes: 0, remade: 0, restarted: [], left: [] }
}

/** What a publication does beside what each one does. */
export interface PublishExtras {
  /** Looks for missing objects: it lists the whole lake. */
  readonly looksForLost?: boolean
  /** Which logs have files merged. Default: those that got rows, where size tiers say so. */
  readonly mergesLogs?: 'tiers' | 'all'
}

/** A commit has so many tables: what is to be put behind it is in memory. */
const TABLES_OF_COMMIT = 1000
/** Tables at a time: each has the block indexes of its files in memory. */
const TABLES_AT_ONCE = 4

/**
 * Shows the newest state of a branch to foreign engines: each table that changed gets a snapshot in each format. A thousand of them are one commit of the
 * lake; then their commit points are put, which are functions of what was committed. So what was killed in between is completed by the next publication.
 */
export class PublishJob {
  /** So far. */
  readonly published: PublishedTables = noPublication()
  private readonly lake: Lake
  private readonly writer: BranchWriter
  private readonly settings: WantedSettings
  private readonly all: ReadonlyMap<FormatName, TableFormat>
  private readonly wanted: ReadonlyMap<FormatName, TableFormat>
  private folders = new Set<string>()
  /** The publication before was not confirmed. */
  private isCompleting = false
  /** By key of entries that will be there: when their oldest snapshot is no longer to be listed. */
  private readonly expiry = new Map<string, number | undefined>()
  /** Folders in which another program stands in the way. */
  private readonly blocked = new Set<string>()
  /** Keys of the entries of tables that are not published at the LSN of the state. */
  private readonly behind = new Set<string>()

  /** Objects that are missing, by key of the table's entry. */
  private lost: LostFiles['lost'] = new Map()
  /** Logs that got rows. */
  private readonly grown = new Set<LogName>()
  private readonly extras: PublishExtras

  /** @param formats all that there are, those of the settings among them */
  constructor(
    { lake, writer }: { lake: Lake; writer: BranchWriter }, settings: WantedSettings, formats: ReadonlyMap<FormatName, TableFormat>, extras: PublishExtras = {},
  ) {
    this.extras = extras
    this.lake = lake
    this.writer = writer
    this.settings = settings
    this.all = formats
    this.wanted = new Map([...formats].filter(([name]) => settings.formats.includes(name)))
  }

  /** @throws EnvironmentError commit.*, store.*, publish.foreign; CorruptionError of the lake's state */
  async run(): Promise<PublishedTables> {
    const { lake, writer } = this
    const snapshot = Snapshot.of(lake, writer.head, writer.head.state)
    const before = await readPublished(snapshot, this.settings.branch)
    await this.complete(before)
    if (this.extras.looksForLost) {
      const { lost, remade } = await findLostFiles(lake, before, this.wanted)
      this.lost = lost
      this.published.remade = remade.length
    }
    const catalog = await readCatalog(snapshot)
    const candidates = await publicationCandidates(snapshot, catalog)
    const gone = this.gone(before, candidates)
    this.published.gone = gone.filter(({ key }) => !isLogKey(key)).length
    for (const [key, { expiresMs }] of before.entries) this.expiry.set(key, expiresMs)
    this.folders = new Set([...before.entries.values()].map(({ folder }) => folder))
    const wanted = this.wanted.size === 0 ? [] : candidates
    for (let start = 0; start < wanted.length || start === 0; start += TABLES_OF_COMMIT) {
      const isLast = start + TABLES_OF_COMMIT >= wanted.length
      await this.group(wanted.slice(start, start + TABLES_OF_COMMIT), {
        before, cluster: catalog.cluster, gone: isLast ? gone : [], isLast,
        stageLogs: (staging) => (isLast && this.wanted.size > 0 ? this.stageLogs((name) => new LogStaging(staging, candidates).add(name), staging) : undefined),
      })
    }
    await this.mergeLogs(catalog.cluster)
    return this.published
  }

  /** One commit, and what it puts before readers. */
  private async group(
    tables: readonly Candidate[],
    { before, cluster, gone, isLast, stageLogs }: {
      before: PublishedState; cluster: ClusterInfo; gone: readonly EntryKey[]; isLast: boolean; stageLogs: (staging: Staging) => Promise<void> | undefined
    },
  ): Promise<void> {
    const { lake, writer, settings, wanted: formats } = this
    const snapshot = Snapshot.of(lake, writer.head, writer.head.state)
    const publication = lake.ports.random.nonce()
    const work = writer.begin()
    try {
      const parts = new PartWriter(lake.ports.store, () => partKey(work.name()))
      const staging = new Staging({
        lake, branch: { id: settings.branch, name: writer.branch }, snapshot, cluster, before, publication, settings, formats, parts, work,
        folders: this.folders, lost: this.lost,
      })
      const packed: EntryKey[] = []
      await forEachAtMost(TABLES_AT_ONCE, tables, async (table) => {
        if (await this.stage(table, staging) === 'packed' && before.entries.has(publishedKey(table).key)) packed.push(publishedKey(table))
      })
      await stageLogs(staging)
      // A table whose files no longer say what it is must not be found as it was.
      const withdrawn = [...gone, ...packed]
      const edits = [...staging.edits, ...withdrawn]
      const after = this.settingsAfter(edits, publication, isLast ? snapshot.state.lsn : undefined)
      if (edits.length === 0 && (!isLast || this.isAsBefore(before, after))) {
        work.end()
        if (isLast && before.settings !== undefined) await this.confirmCompleted(before.settings, snapshot.state)
        return
      }
      await parts.finish()
      await stopIfEnding()
      const written = [...edits, settingsEdit(after)]
      await this.refuseFenced()
      // Killed behind this, the same is done once more.
      await this.withdraw(before, withdrawn, isLast)
      await writer.commit(publishedChange(snapshot.state, written, staging.reads, isLast), work)
      await this.refuseFenced()
      await this.put(staging.prepared, settings.root)
      if (this.blocked.size === 0) await this.confirm(publication, snapshot.state, isLast && this.published.left.length === 0)
    } catch (error) {
      await stopIfEnding()
      work.end()
      throw error
    }
  }

  /** What the lake is to say of the publication as a whole. */
  private settingsAfter(edits: readonly (EntryKey & { readonly value?: unknown })[], publication: string, lsn: string | undefined): PublicationSettings {
    for (const { key, value } of edits) {
      if (value === undefined) this.expiry.delete(key)
      else {
        const found = parsePublished(key, value)
        if (found.kind !== 'settings') this.expiry.set(key, found.entry.expiresMs)
      }
    }
    let expiresMs = Infinity
    for (const own of this.expiry.values()) expiresMs = Math.min(expiresMs, own ?? Infinity)
    const left = this.published.left.length
    const isWhole = lsn !== undefined && this.behind.size <= BEHIND_MAX
    return {
      ...this.settings, publication, ...(expiresMs < Infinity && { expiresMs }), ...(left > 0 && { left }),
      ...(isWhole && { lsn }), ...(isWhole && this.behind.size > 0 && { behind: [...this.behind].sort() }),
    }
  }

  /** Nothing is to be said of the lake as a whole. */
  private isAsBefore({ settings }: PublishedState, after: PublicationSettings): boolean {
    const { head: { published, state } } = this.writer
    return settings !== undefined && published === state.lsn && equalJson({ ...after, publication: settings.publication }, settings)
  }

  /** What is wrong with one table leaves the others as they are. */
  private async stage(table: Candidate, staging: Staging): Promise<'packed' | undefined> {
    try {
      if (staging.carry(publishedKey(table), this.blocked)) {
        this.behind.add(publishedKey(table).key)
        return undefined
      }
      const bytes = await staging.add(table)
      if (bytes === undefined) this.published.unchanged++
      else this.published.tables++
      if (bytes !== undefined && this.lost.has(publishedKey(table).key)) this.published.restarted.push(lakeRelationName(table))
      this.published.bytes += bytes ?? 0
    } catch (error) {
      if (!isPositioned(error) || error.code.startsWith('store.')) throw error
      if (error.code === 'publish.pack') {
        this.published.packed++
        return 'packed'
      }
      this.behind.add(publishedKey(table).key)
      this.published.left.push({ table: lakeRelationName(table), reason: error.message })
    }
    return undefined
  }

  /** Tables of ltap itself; what is wrong with one of them leaves it as it is. */
  private async stageLogs(stage: (name: LogName) => Promise<number | undefined>, staging: Staging, names: Iterable<LogName> = LOG_NAMES): Promise<void> {
    for (const name of names) {
      try {
        if (staging.carry(logKey(name), this.blocked)) this.behind.add(logKey(name).key)
        else {
          const bytes = await stage(name)
          if (bytes !== undefined) this.grown.add(name)
          this.published.bytes += bytes ?? 0
          if (bytes !== undefined && staging.context.lost.has(logKey(name).key)) this.published.restarted.push(`ltap.${name}`)
        }
      } catch (error) {
        if (!isPositioned(error) || error.code.startsWith('store.')) throw error
        this.behind.add(logKey(name).key)
        this.published.left.push({ table: `ltap.${name}`, reason: error.message })
      }
    }
  }

  /** A snapshot of its own, behind the one that added rows: so it says of itself that no row differs. */
  private async mergeLogs(cluster: ClusterInfo): Promise<void> {
    const { lake, writer, settings: { branch }, extras: { mergesLogs } } = this
    const names = LOG_NAMES.filter((name) => (mergesLogs !== undefined || this.grown.has(name)) && !this.behind.has(logKey(name).key))
    // The next run completes the tables of the newest publication: a further publication would take blocked tables out of it.
    if (names.length === 0 || this.wanted.size === 0 || this.blocked.size > 0) return
    const before = await readPublished(Snapshot.of(lake, writer.head, writer.head.state), branch, [SETTINGS_ENTRY, ...names.map(logKey)])
    this.lost = new Map()
    await this.group([], {
      before, cluster, gone: [], isLast: true,
      stageLogs: (staging) => this.stageLogs((name) => new LogStaging(staging, []).merge(name, mergesLogs === 'all'), staging, names),
    })
  }

  private gone({ entries }: PublishedState, candidates: readonly Candidate[]): EntryKey[] {
    const all = [...candidates.map(publishedKey), ...LOG_NAMES.map(logKey)]
    const there = new Set(this.wanted.size === 0 ? [] : all.map(({ key }) => key))
    return [...entries.keys()].filter((key) => !there.has(key)).map((key) => ({ tree: 'published', key }))
  }

  /** Completes the publication before, which may have been killed behind its commit. */
  private async complete({ settings, entries }: PublishedState): Promise<void> {
    const { lake, writer, wanted } = this
    if (settings === undefined || await confirmedPublication(lake, writer.branch) === settings.publication) return
    this.isCompleting = true
    const last = [...entries.values()].filter(({ publication }) => publication === settings.publication)
    await forEachAtMost(TABLES_AT_ONCE, last, async (entry) => (
      await this.putTable({ folder: entry.folder, record: await readRecord(lake, entry, wanted), isFirst: entry.first === true, obsolete: [] }, settings.root)))
  }

  /** Says that the publication before, which was not confirmed, is before readers now. */
  private async confirmCompleted({ publication }: PublicationSettings, state: StateRoot): Promise<void> {
    if (this.isCompleting && this.blocked.size === 0) await this.confirm(publication, state, this.published.left.length === 0)
  }

  private async put(prepared: readonly PreparedTable[], root: string): Promise<void> {
    await forEachAtMost(TABLES_AT_ONCE, prepared, (table) => this.putTable(table, root))
  }

  /** A table in whose way another program stands is left: it is tried again the next time. */
  private async putTable({ folder, record, isFirst, obsolete }: PreparedTable, root: string): Promise<void> {
    const { store, clock } = this.lake.ports
    const commits = await Promise.all([...this.wanted].flatMap(([name, format]) => (
      record[name] === undefined ? [] : [format.commit(record[name], { root, folder })])))
    try {
      for (const commit of commits) await putCommit(store, clock, commit)
    } catch (error) {
      if (!(isPositioned(error) && error.code === 'publish.foreign')) throw error
      if (!isFirst) {
        this.published.left.push({ table: folder, reason: error.message })
        this.blocked.add(folder)
        return
      }
      await withdraw(store, folder, this.all.values())
      for (const commit of commits) await putCommit(store, clock, commit)
    }
    await deleteObjects(store, obsolete)
  }

  /** What readers are not to find any more: tables that are gone, and formats that were published before. */
  private async withdraw({ settings, entries }: PublishedState, gone: readonly EntryKey[], isLast: boolean): Promise<void> {
    const { lake: { ports: { store } }, all, wanted } = this
    const left = new Set(gone.map(({ key }) => key))
    const dropped = (isLast ? settings?.formats ?? [] : []).filter((name) => !wanted.has(name)).map((name) => all.get(name)!)
    await forEachAtMost(TABLES_AT_ONCE, entries, async ([key, { folder }]) => {
      if (left.has(key)) await withdraw(store, folder, all.values())
      else if (dropped.length > 0) await withdraw(store, folder, dropped)
    })
  }

  /** Another process may have opened the branch: what it put must not be replaced. @throws EnvironmentError commit.fenced */
  private async refuseFenced(): Promise<void> {
    const { lake, writer: { branch, epoch } } = this
    if ((await lake.head(branch)).epoch === epoch) return
    throw new EnvironmentError('commit.fenced', `another process opened branch ${branch} for writing while its tables were published: that one publishes them`)
  }

  /** Tells of the newest publication whose every table is before readers. */
  private async confirm(publication: string, { lsn, timeline, time }: StateRoot, isWhole: boolean): Promise<void> {
    const { store, clock } = this.lake.ports
    const at = isWhole ? { timeline, lsn, ...(time !== undefined && { time }) } : {}
    const text = JSON.stringify({ publication, ...at, publishedMs: clock.now() })
    await store.put(confirmationKey(this.writer.branch), utf8Encode(text))
  }
}

/** @param state whose tables the edits are of: another one may have other tables */
function publishedChange(state: StateRoot, edits: readonly (EntryKey & { readonly value?: unknown })[], reads: readonly EntryKey[], isLast: boolean): Change {
  return {
    kind: 'published', reads: [...edits, ...reads],
    apply: ({ state: { sequence } }) => {
      if (sequence !== state.sequence) {
        throw new EnvironmentError('commit.stale', `the lake was published as of commit ${state.sequence}, and has ${sequence} now: run ltap publish again`)
      }
      return { edits, ...isLast && { published: state.lsn }, amends: true }
    },
  }
}
