import { parsePublished, type PublicationSettings, SETTINGS_ENTRY } from '../lake/publishedentry.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * How a state was published; undefined before the first publication of the branch.
 * @param branch its id @throws CorruptionError, UnsupportedError lake.state
 */
export async function publicationSettings(snapshot: Snapshot, branch: string): Promise<PublicationSettings | undefined> {
  const [value] = await snapshot.get([SETTINGS_ENTRY])
  if (value === undefined) return undefined
  const found = parsePublished(SETTINGS_ENTRY.key, value)
  return found.kind === 'settings' && found.settings.branch === branch ? found.settings : undefined
}
