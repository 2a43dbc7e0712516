import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { MAIN_FORK } from '../../common/relpath.ts'
import { utf8Decode } from '../../common/utf8.ts'
import type { Random } from '../../engine/random.ts'
import { writeFileAtOnce } from '../../io/disk/create.ts'
import { readIfThere } from '../../io/disk/files.ts'
import { openPageStore } from '../../io/pagestore/openstore.ts'
import type { ForkChange } from '../../replay/pagestore/storechanges.ts'

/** Names the page store in the states that are read from it: another store of the same LSN may have other hint bits. */
const NAME_FILE = 'ltap/name'

/** What a page store recorded of heaps that changed since the newest state of a lake, which was read from the same page store. */
export class RecordedChanges {
  private readonly forks: ReadonlyMap<string, ForkChange>

  constructor(forks: readonly ForkChange[]) {
    this.forks = new Map(forks.filter(({ fork }) => fork === MAIN_FORK).map((change) => [keyOf(change), change]))
  }

  /** Undefined for a heap without any change. */
  of(locator: RelFileLocator): ForkChange | undefined {
    return this.forks.get(keyOf(locator))
  }
}

/** The name of the page store in a folder, which is made once. @throws EnvironmentError file.* */
export function pageStoreName(folder: string, random: Random): string {
  const file = join(folder, NAME_FILE)
  const found = readIfThere(file)
  if (found !== undefined) return utf8Decode(found)
  const name = random.nonce()
  writeFileAtOnce(file, name)
  return name
}

/**
 * @param mark where the lake's newest state is @returns undefined if so much is no longer recorded: then the pages have to be compared
 * @throws EnvironmentError folder.locked, file.*; CorruptionError pagestore.*
 */
export function recordedChanges(folder: string, mark: WalPosition, onNotice?: (text: string) => void): RecordedChanges | undefined {
  const store = openPageStore(folder)
  try {
    return new RecordedChanges(store.changedSince(mark).forks)
  } catch (error) {
    if (!(error instanceof EnvironmentError && error.code === 'pagestore.mark')) throw error
    onNotice?.(`${folder} no longer knows what changed since the lake's state at LSN ${formatWalPosition(mark)}: every page is compared this time`)
    return undefined
  } finally {
    store.close()
  }
}

function keyOf({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}
