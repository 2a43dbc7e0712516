import { type EntryKey, entryId, scanState, stateEntries } from '../lake/state/entries.ts'
import type { Head } from '../lake/state/head.ts'
import { findState, type StateWish } from '../lake/state/registrations.ts'
import type { Stage } from '../lake/state/stage.ts'
import type { StateRoot, TreeRoots } from '../lake/state/stateroot.ts'
import type { Lake } from './lake.ts'

/** One state of a branch to read: it never changes. Its objects stay while the branch retains the state, or a tag or lease pins it. */
export class Snapshot {
  private readonly lake: Lake
  private readonly head: Head
  readonly state: StateRoot

  private constructor(lake: Lake, head: Head, state: StateRoot) {
    this.lake = lake
    this.head = head
    this.state = state
  }

  /** One GET for the newest state. @throws EnvironmentError lake.no-branch, lake.not-retained */
  static async open(lake: Lake, branch: string, at: StateWish = 'newest'): Promise<Snapshot> {
    return await lake.runHead(branch, function* (head): Stage<Snapshot> {
      return new Snapshot(lake, head, yield* findState(head, at))
    })
  }

  /** A state that a HEAD has, in its registrations for example. */
  static of(lake: Lake, head: Head, state: StateRoot): Snapshot {
    return new Snapshot(lake, head, state)
  }

  /** Undefined for an entry that the state does not have. */
  async get(keys: readonly EntryKey[]): Promise<unknown[]> {
    const found = await this.lake.pages.run(stateEntries(this.head, this.state, keys))
    return keys.map((key) => found.get(entryId(key)))
  }

  /** Each entry of a tree, in any order, a page of them in memory at a time. */
  async scan(tree: keyof TreeRoots, visit: (key: string, value: unknown) => void): Promise<void> {
    await this.lake.pages.run(scanState(this.head, this.state, tree, visit))
  }
}
