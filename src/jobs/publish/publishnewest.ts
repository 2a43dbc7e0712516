import { equalJson } from '../../common/equaljson.ts'
import { isPositioned, UnsupportedError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import { publicationSettings } from '../../engine/publicationsettings.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import type { BranchWriter } from '../../engine/writer.ts'
import { storeUri } from '../../io/objectstore/storeuri.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import {
  DEFAULT_WINDOW, type FormatName, type PublicationSettings, type PublishedWindow, type WantedSettings,
} from '../../lake/publishedentry.ts'
import type { Head } from '../../lake/state/head.ts'
import { tableFormats } from './formats.ts'
import { noPublication, type PublishExtras, PublishJob, type PublishedTables } from './publishjob.ts'
import { confirmedPublication } from './publishedstate.ts'

/** How a lake is to be published. */
export interface PublishOptions {
  /** Default: as before, of a lake that was not published yet all formats that its type profile lets; none: tables are no longer published. */
  formats?: readonly FormatName[]
  /** Default: as before, at first 2. */
  icebergVersion?: 2 | 3
  /** Which snapshots readers may ask for. Default: as before, at first DEFAULT_WINDOW. */
  window?: Partial<PublishedWindow>
}

export interface Publication {
  published: PublishedTables
  /** Why tables are not published, though the state is in the lake; null if nothing stood against it. */
  publishProblem: string | null
}

/** What was not asked for. */
export const NOT_PUBLISHED: Publication = { published: noPublication(), publishProblem: null }

/** Publishes the newest state of the writer's branch. @throws as PublishJob.run */
export async function publishNewest(lake: Lake, writer: BranchWriter, options: PublishOptions, extras: PublishExtras = {}): Promise<PublishedTables> {
  const settings = wantedSettings(lake, writer.head, await settingsOf(lake, writer.head), options)
  return await new PublishJob({ lake, writer }, settings, tableFormats(settings), extras).run()
}

/** As {@link publishNewest}, behind a commit that is in the lake already: what stands against it is no failure of the commit. */
export async function publishAfter(lake: Lake, writer: BranchWriter, options: PublishOptions, extras: PublishExtras = {}): Promise<Publication> {
  try {
    return { published: await publishNewest(lake, writer, options, extras), publishProblem: null }
  } catch (error) {
    await stopIfEnding()
    if (!isPositioned(error)) throw error
    return { published: noPublication(), publishProblem: error.message }
  }
}

/** Whether the newest state of a branch is not published yet as it is asked for, a table was left, or a snapshot is no longer to be listed. */
export async function isPublicationDue(lake: Lake, head: Head, options: PublishOptions): Promise<boolean> {
  const before = await settingsOf(lake, head)
  const wanted = wantedSettings(lake, head, before, options)
  if (before === undefined) return wanted.formats.length > 0
  const { publication, expiresMs = Infinity, left = 0, lsn: _, behind = [], ...told } = before
  return head.published !== head.state.lsn || !equalJson(wanted, told) || left > 0 || behind.length > 0 || lake.ports.clock.now() >= expiresMs
    || await confirmedPublication(lake, head.branch.name) !== publication
}

async function settingsOf(lake: Lake, head: Head): Promise<PublicationSettings | undefined> {
  return await publicationSettings(Snapshot.of(lake, head, head.state), head.branch.id)
}

function wantedSettings(
  lake: Lake, head: Head, before: PublicationSettings | undefined, { formats, icebergVersion, window }: PublishOptions,
): WantedSettings {
  const { profile } = lake.format
  if (icebergVersion === 2 && before?.icebergVersion === 3) {
    throw new UnsupportedError('publish.version',
      'the tables are Iceberg tables of version 3, and the format has no way back to 2: publish with --publish none first, then again')
  }
  return {
    formats: formats ?? before?.formats ?? (profile === 'iceberg' ? ['iceberg'] : ['iceberg', 'delta']),
    icebergVersion: icebergVersion ?? before?.icebergVersion ?? 2, branch: head.branch.id, root: storeUri(lake.ports.store.url),
    window: { ...DEFAULT_WINDOW, ...before?.window, ...window },
  }
}
