/** Faults that the oracles of forged inputs must find, each planted where reading would have it. */
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import type { ToastSource } from '../../src/tuple/toastsource.ts'
import { isPositioned } from '../../src/common/errors.ts'
import { verify } from '../../src/jobs/tasks/verifytask.ts'
import { parseManifest } from '../../src/lake/manifest.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { ForgedCluster } from './forgedcluster.ts'
import type { ForgedSetup } from './forgedinputs.ts'
import { ForgedLake } from './forgedlake.ts'
import { ForgedStore } from './forgedstore.ts'
import { ForgedToast } from './forgedtoast.ts'
import { ForgedWal } from './forgedwal.ts'
import { Random } from './random.ts'

/** An input in so many shows the fault. */
const INPUTS_MAX = 300

/** pg_database and its first page: no record of the piece of WAL names it. */
const PG_DATABASE = [1664, 0, 1262] as const

/** @returns what was not found: name of the plant, and how its inputs ended */
export async function missedPlants(setup: ForgedSetup): Promise<string[]> {
  const [lake, cluster, toast, wal] = [
    new ForgedLake(setup.lake), new ForgedCluster(setup.cluster, setup.major), new ForgedToast(setup.toast, setup.major), new ForgedWal(setup.wal, setup.major),
  ]
  const store = await ForgedStore.open(setup.store)
  const flipped = (bytes: Uint8Array): Uint8Array => {
    const copy = bytes.slice()
    copy[copy.length >> 1]! ^= 1
    return copy
  }
  const otherChunks = (source: ToastSource): ToastSource => ({
    fetch: (pointer) => {
      const value = source.fetch(pointer)
      return value && !pointer.compressed ? flipped(value) : value
    },
  })
  const otherState = (text: string): string => text.replace('"state":"live"', '"state":"deleted"')
  const plants: Record<string, [message: RegExp, run: (dice: Random) => Promise<void> | void]> = {
    'descriptor: another page': [/other pages/, (dice) => lake.descriptor(dice, (file) => flipped(rebuildPages(file)))],
    'footer: another page': [/other pages/, (dice) => lake.footer(dice, (file) => flipped(rebuildPages(file)))],
    'manifest: a coerced member': [/temporaryFiles is/, (dice) => lake.manifestJson(dice, (json) => ({ ...parseManifest(json), temporaryFiles: 7 }))],
    'hidden: nothing is compared': [/hidden rows/, (dice) => lake.hidden(dice, (task) => ({ ...verify(task), differing: 0 }))],
    'hidden: the right list is refused': [/hidden rows/, (dice) => lake.hidden(dice, (task) => ({ ...verify(task), differing: 1 }))],
    'catalog: another row': [/a row of/, (dice) => cluster.run('catalog', dice, otherState)],
    'control: another row': [/a row of/, (dice) => cluster.run('control', dice, otherState)],
    'twophase: another row': [/a row of/, (dice) => cluster.run('twophase', dice, otherState)],
    'slru: another row': [/a row of/, (dice) => cluster.run('slru', dice, otherState)],
    'toast: another text': [/: row \d/, (dice) => toast.run(dice, { text: otherChunks })],
    'toast: another value in the file': [/the file's row/, (dice) => toast.run(dice, { file: otherChunks })],
    'store: verify looks at nothing': [/silent difference/, (dice) => store.run(dice, async () => ({ differences: [] }))],
    'store: a neighbour is not read': [/has other pages/, (dice) => store.run(dice, undefined, async () => new Map())],
    'wal: a block that the record does not name': [/a record that does not name it/, (dice) => wal.run(dice, (store) => ({
      afterRecord: () => void (store.fork(...PG_DATABASE, 0)!.page(0)!.bytes[5000]! ^= 1),
    }))],
    'wal: another result in a block that it names': [/which no changed record names/, (dice) => wal.run(dice, (store) => ({
      afterRecord: ({ blocks, blockCount }: WalRecord) => {
        const block = blocks[0]
        if (blockCount === 0 || block === undefined) return
        const page = store.fork(block.spcOid, block.dbOid, block.relNumber, block.fork)?.page(block.block)
        if (page !== undefined) page.bytes[8191]! ^= 1
      },
    }))],
    'wal: a relation that the record does not name': [/made, cut or removed/, (dice) => wal.run(dice, (store) => ({
      afterRecord: () => store.truncate({ spcOid: PG_DATABASE[0], dbOid: PG_DATABASE[1], relNumber: PG_DATABASE[2] }, 0, 0),
    }))],
    'wal: another status': [/page 0 of clog/, (dice) => wal.run(dice, (store) => ({ afterRecord: () => void (store.clog.change(0)[0]! = 3) }))],
  }
  const missed: string[] = []
  for (const [name, [message, run]] of Object.entries(plants)) {
    const problem = await hunt(setup.seed, message, run)
    if (problem !== undefined) missed.push(`${name}: ${problem}`)
  }
  return missed
}

/** Undefined once an input shows the fault. */
async function hunt(seed: number, message: RegExp, run: (dice: Random) => Promise<void> | void): Promise<string | undefined> {
  for (let n = 0; n < INPUTS_MAX; n++) {
    try {
      await run(new Random(seed + n))
    } catch (error) {
      if (isPositioned(error)) continue
      return message.test(String(error)) ? undefined : String(error)
    }
  }
  return `none of ${INPUTS_MAX} inputs shows it`
}
