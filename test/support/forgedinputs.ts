/**
 * Inputs as a forger writes them, every checksum right, and what reading them must lead to: an error of ours, or a right result. What is right:
 *
 *     descriptor, footer   the pages are those that were read, or the file is refused
 *     hidden               verify finds every list of hidden rows that is not the one of the data directory
 *     manifest             what is accepted is what is written, member by member
 *     catalog              tables that no changed tuple is about (by oid, type or catalog) are there with the same rows; with carry, always
 *     control              all rows are as before, unless a counter of transactions is another one
 *     twophase             rows of other transactions than the file's are as before
 *     slru                 rows of other transactions and multixacts than those of the changed bytes are as before
 *     toast                pages are rebuilt bit for bit; rows whose tuple and chunks are unchanged have their values, as text and in the file
 *     store                verify finds it, or each page is one that a layer has; pages of other relations than the forged entry's are as before
 *     wal                  a record changes only what it names; at the end all but what changed records name is as without the change
 *
 * Each is planted a fault in test/long/forgedfuzz.test.ts.
 */
import { isPositioned } from '../../src/common/errors.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { CANARY } from './forge.ts'
import { ForgedCluster, type ForgedClusterSetup } from './forgedcluster.ts'
import { ForgedLake, type ForgedLakeSetup } from './forgedlake.ts'
import { ForgedStore, type ForgedStoreSetup } from './forgedstore.ts'
import { ForgedToast, type ForgedToastSetup } from './forgedtoast.ts'
import { ForgedWal, type ForgedWalSetup } from './forgedwal.ts'
import { Random } from './random.ts'

export const KINDS = ['descriptor', 'manifest', 'footer', 'hidden', 'catalog', 'control', 'twophase', 'slru', 'toast', 'store', 'wal'] as const
export type Kind = (typeof KINDS)[number]

/** How many of a hundred inputs are of each kind. */
const SHARES: Readonly<Record<Kind, number>> = {
  descriptor: 16, manifest: 7, footer: 9, hidden: 6, catalog: 14, control: 6, twophase: 4, slru: 9, toast: 9, store: 5, wal: 15,
}

export interface ForgedSetup {
  major: PgMajor
  seed: number
  lake: ForgedLakeSetup
  cluster: ForgedClusterSetup
  toast: ForgedToastSetup
  store: ForgedStoreSetup
  wal: ForgedWalSetup
}

/** `refused`: an error of ours; `accepted`: read to the end, with a right result. */
export type Outcome = 'refused' | 'accepted'

export class ForgedInputs {
  private readonly seed: number
  private readonly lake: ForgedLake
  private readonly cluster: ForgedCluster
  private readonly toast: ForgedToast
  private readonly store: () => Promise<ForgedStore>
  private readonly wal: ForgedWal

  constructor({ major, seed, lake, cluster, toast, store, wal }: ForgedSetup) {
    this.seed = seed
    this.lake = new ForgedLake(lake)
    this.cluster = new ForgedCluster(cluster, major)
    this.toast = new ForgedToast(toast, major)
    let opened: Promise<ForgedStore> | undefined
    this.store = () => (opened ??= ForgedStore.open(store))
    this.wal = new ForgedWal(wal, major)
  }

  static kindOf(n: number): Kind {
    let left = n % 100
    return KINDS.find((kind) => (left -= SHARES[kind]) < 0)!
  }

  /** Reads input `n`. @throws whatever is no error of ours: the fault */
  async run(n: number): Promise<Outcome> {
    const outcome = await this.outcomeOf(n)
    if (CANARY in globalThis) throw new Error('the canary ran')
    return outcome
  }

  private async outcomeOf(n: number): Promise<Outcome> {
    const dice = new Random(this.seed * 1_000_003 + n)
    try {
      await this.read(ForgedInputs.kindOf(n), dice)
      return 'accepted'
    } catch (error) {
      if (isPositioned(error) && error.message.length < 2000) return 'refused'
      throw error
    }
  }

  private async read(kind: Kind, dice: Random): Promise<void> {
    switch (kind) {
      case 'descriptor': return this.lake.descriptor(dice)
      case 'manifest': return this.lake.manifestJson(dice)
      case 'footer': return this.lake.footer(dice)
      case 'hidden': return this.lake.hidden(dice)
      case 'toast': return this.toast.run(dice)
      case 'store': return (await this.store()).run(dice)
      case 'wal': return this.wal.run(dice)
      default: return this.cluster.run(kind, dice)
    }
  }
}
