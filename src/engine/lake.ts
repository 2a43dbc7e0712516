import { EnvironmentError, isPositioned } from '../common/errors.ts'
import { decodeFormat, encodeFormat, type LakeFormat } from '../lake/state/format.ts'
import { decodeHead, encodeHead, type Head } from '../lake/state/head.ts'
import { checkReferenceName, FORMAT_KEY, headKey, MAIN_BRANCH } from '../lake/state/names.ts'
import { emptyHead } from '../lake/state/registrations.ts'
import type { StoreUse } from '../lake/state/madeby.ts'
import type { Stage } from '../lake/state/stage.ts'
import type { Cas, CasToken } from './cas.ts'
import type { Clock } from '../common/clock.ts'
import type { Compressor } from '../parquet/compressor.ts'
import { loadZstd } from '../parquet/zstdcompressor.ts'
import type { ObjectStore } from './objectstore.ts'
import { MISSING_OBJECT, PageReader } from './pagereader.ts'
import { openCas } from './probecas.ts'
import { NO_USE } from './requestcounters.ts'
import type { Random } from './random.ts'

/** What a lake is opened with. */
export interface LakePorts {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly random: Random
  /** For what is below HEAD, and HEAD; {@link loadZstd} where absent. */
  readonly compressor?: Compressor
}

/** HEAD of a branch, and what replaces exactly this one. */
export interface ReadHead {
  readonly head: Head
  readonly token: CasToken
}

/** How often a conditional write of HEAD is tried before its writer gives up. */
const ATTEMPTS_MAX = 30
/** Milliseconds before the second attempt; each further one waits up to twice as long, up to the larger. */
const PAUSE_MIN = 50
const PAUSE_MAX = 5000

/** A lake in a store: its format, and the HEADs of its branches. */
export class Lake {
  readonly ports: LakePorts
  readonly format: LakeFormat
  readonly pages: PageReader
  readonly compressor: Compressor
  /** What states tell already of what was asked of the store since it was opened. */
  told: StoreUse = NO_USE
  /** HEADs by branch. */
  private readonly values = new Map<string, Cas>()

  private constructor(ports: LakePorts, format: LakeFormat, compressor: Compressor) {
    this.compressor = compressor
    this.ports = ports
    this.format = format
    this.pages = new PageReader(ports.store, compressor)
  }

  /**
   * Makes a lake below the store's prefix. If it is killed in the middle, the same call finishes it.
   * @throws EnvironmentError lake.exists if a lake is there
   */
  static async create(ports: LakePorts, wanted: Omit<LakeFormat, 'main'>): Promise<Lake> {
    const { store, random } = ports
    const format = encodeFormat({ ...wanted, main: random.nonce() })
    // The first write stays, even if another writer made it or its reply was lost.
    for (let attempt = 0; await store.head(FORMAT_KEY) === undefined; attempt++) {
      const { outcome } = await store.put(FORMAT_KEY, format, { ifNoneMatch: true })
      if (outcome !== 'written') await pause(ports, attempt, `creating the lake in ${store.url}`)
    }
    const lake = await Lake.open(ports)
    const { systemIdentifier, profile, main } = lake.format
    const cas = lake.cas(MAIN_BRANCH)
    const isOther = systemIdentifier !== wanted.systemIdentifier || profile !== wanted.profile
    if (isOther || await cas.read() !== undefined) {
      throw new EnvironmentError('lake.exists',
        `${store.url} has a lake already, of system identifier ${systemIdentifier}: choose another place, or open that one`)
    }
    const commit = random.nonce()
    const first = encodeHead(emptyHead({ id: main, name: MAIN_BRANCH }, commit), lake.compressor)
    for (let attempt = 0; ; attempt++) {
      if (await cas.write(first, undefined) === 'written') return lake
      const found = await lake.readHead(MAIN_BRANCH)
      if (found?.head.commit === commit) return lake
      if (found) throw new EnvironmentError('lake.exists', `another process has just made a lake in ${store.url}: open that one`)
      await lake.pause(attempt, `creating the lake in ${store.url}`)
    }
  }

  /** One GET. @throws EnvironmentError lake.missing; CorruptionError, UnsupportedError lake.format */
  static async open(ports: LakePorts): Promise<Lake> {
    const found = await ports.store.get(FORMAT_KEY)
    if (found === undefined) throw new EnvironmentError('lake.missing', `${ports.store.url} has no lake: it has no ${FORMAT_KEY}`)
    return new Lake(ports, decodeFormat(found.bytes), ports.compressor ?? await loadZstd())
  }

  /** @throws EnvironmentError lake.name for what is no name of a branch */
  cas(branch: string): Cas {
    checkReferenceName(branch)
    const kept = this.values.get(branch) ?? openCas(this.ports.store, headKey(branch), this.format.cas)
    this.values.set(branch, kept)
    return kept
  }

  /** HEAD of a branch that was not deleted. @throws EnvironmentError lake.no-branch, lake.name */
  async head(branch: string): Promise<Head> {
    const found = await this.readHead(branch)
    if (found === undefined || found.head.dropped) throw new EnvironmentError('lake.no-branch', `the lake in ${this.ports.store.url} has no branch ${branch}`)
    return found.head
  }

  async readHead(branch: string): Promise<ReadHead | undefined> {
    const found = await this.cas(branch).read()
    return found && { head: decodeHead(found.value, branch, this.compressor), token: found.token }
  }

  /**
   * Replaces HEAD by what `change` makes of it, even if others write it in the meantime. After a lost reply it is not known which attempt is in the
   * lake, so `change` must see in a HEAD that it was applied, and then give undefined.
   * @returns HEAD with the change in it
   */
  async changeHead(branch: string, change: (head: Head) => Head | undefined): Promise<Head> {
    return await this.replaceHead(branch, async (head) => change(head))
  }

  /** As {@link changeHead}, by a change that needs pages of the state. */
  async stageHead(branch: string, change: (head: Head) => Stage<Head | undefined>): Promise<Head> {
    return await this.replaceHead(branch, (head) => this.pages.run(change(head)))
  }

  private async replaceHead(branch: string, change: (head: Head) => Promise<Head | undefined>): Promise<Head> {
    for (let attempt = 0; ; attempt++) {
      const found = await this.readHead(branch)
      if (found === undefined) throw new EnvironmentError('lake.no-branch', `the lake in ${this.ports.store.url} has no branch ${branch}`)
      let next: Head | undefined
      try {
        next = await change(found.head)
      } catch (error) {
        if (!await this.isOutdated(error, found.head)) throw error
        continue
      }
      if (next === undefined) return found.head
      if (await this.cas(branch).write(encodeHead(next, this.compressor), found.token) === 'written') return next
      await this.pause(attempt, `changing HEAD of branch ${branch}`)
    }
  }

  /**
   * Runs a stage on HEAD of a branch. Objects that HEAD refers to may be deleted once a newer HEAD exists; then the stage runs on the newer one.
   * @throws EnvironmentError lake.no-branch
   */
  async runHead<T>(branch: string, stage: (head: Head) => Stage<T>): Promise<T> {
    for (;;) {
      const head = await this.head(branch)
      try {
        return await this.pages.run(stage(head))
      } catch (error) {
        if (!await this.isOutdated(error, head)) throw error
      }
    }
  }

  /** Whether an object is missing because HEAD is no longer the one that refers to it. */
  async isOutdated(error: unknown, { branch: { name }, commit }: Head): Promise<boolean> {
    if (!isPositioned(error) || error.code !== MISSING_OBJECT) return false
    return (await this.readHead(name))?.head.commit !== commit
  }

  /** Waits before another attempt. @throws EnvironmentError commit.unknown after the last one */
  async pause(attempt: number, what: string): Promise<void> {
    await pause(this.ports, attempt, what)
  }
}

async function pause({ clock, random, store }: LakePorts, attempt: number, what: string): Promise<void> {
  if (attempt + 1 >= ATTEMPTS_MAX) {
    throw new EnvironmentError('commit.unknown',
      `${what} did not succeed in ${ATTEMPTS_MAX} attempts, and whether one of them did is not known: see whether ${store.url} works, then try again`)
  }
  await clock.sleep(Math.min(PAUSE_MAX, PAUSE_MIN * 2 ** attempt) * random.fraction())
}
