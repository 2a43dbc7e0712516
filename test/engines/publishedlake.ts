/** Where readers find a table of a lake in a folder: what a person would look for, without ltap. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Question } from './engine.ts'

export interface PublishedPlace {
  /** Path of the newest metadata.json, as version-hint.text says it. */
  readonly metadata: string
  /** Id of the current Iceberg snapshot. */
  readonly snapshot: string
  /** Folder of the table. */
  readonly folder: string
  /** Newest version of its Delta log. */
  readonly version: string
  /** Two fields of its newest Delta schema have one physical name. */
  readonly hasEqualNames: boolean
}

/** @returns undefined for a table that is not published */
export function publishedPlace(lake: string, database: string, oid: number): PublishedPlace | undefined {
  const name = existsSync(join(lake, database)) ? readdirSync(join(lake, database)).find((entry) => entry.endsWith(`-${oid}`)) : undefined
  if (name === undefined) return undefined
  const folder = join(lake, database, name)
  const hint = join(folder, 'metadata/version-hint.text')
  if (!existsSync(hint)) return undefined
  const metadata = join(folder, `metadata/v${readFileSync(hint, 'utf8').trim()}.metadata.json`)
  const snapshot = /"current-snapshot-id":\s*(\d+)/.exec(readFileSync(metadata, 'utf8'))![1]!
  const versions = readdirSync(join(folder, '_delta_log')).flatMap((entry) => /^(\d{20})\.json$/.exec(entry)?.[1] ?? [])
  versions.sort()
  return { metadata, snapshot, folder, version: String(Number(versions.at(-1))), hasEqualNames: hasEqualNames(folder, versions) }
}

/** The schema is that of the newest version which says one. */
function hasEqualNames(folder: string, versions: readonly string[]): boolean {
  for (const version of versions.toReversed()) {
    const log = readFileSync(join(folder, `_delta_log/${version}.json`), 'utf8')
    const schema = log.split('\n').filter((line) => line.startsWith('{"metaData"')).map((line) => (JSON.parse(line) as { metaData: { schemaString: string } }).metaData.schemaString)[0]
    if (schema === undefined) continue
    const names = [...schema.matchAll(/"delta\.columnMapping\.physicalName":("(?:[^"\\]|\\.)*")/g)].map(([, name]) => name)
    return new Set(names).size < names.length
  }
  throw new Error(`${folder}: no version of its Delta log says the schema`)
}

/** What to ask an engine for the table of a place, at the time of a place of the same table: now, if they are the same. */
export function questionFor(format: 'iceberg' | 'delta', now: PublishedPlace, then = now): Question {
  if (format === 'iceberg') return { format, place: now.metadata, ...then !== now && { at: then.snapshot } }
  return { format, place: now.folder, ...then !== now && { at: then.version } }
}
