import { withOverflow } from '../../columnar/wantedoverflow.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import type { Clock } from '../../common/clock.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { NO_USE, useSince, useUntilNow } from '../../engine/requestcounters.ts'
import type { Random } from '../../engine/random.ts'
import { systemClock } from '../../io/process/clock.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import { identityOf, LINE_BYTES_MAX } from '../../lake/job/identity.ts'
import type { FileResult, UnitResult, UnitResults } from '../../lake/job/result.ts'
import { parseUnit, type Unit } from '../../lake/job/unit.ts'
import type { UnitFile, UnitTask } from '../../lake/job/unittask.ts'
import type { StoreUse } from '../../lake/state/madeby.ts'
import { packObjectKey, partKey } from '../../lake/state/names.ts'
import { dataKeys, tableFolder } from '../../lake/tablefolder.ts'
import { packLayer, PackWriter } from '../materialize/packwriter.ts'
import { JobTasks, type Pool, Workers } from '../pool.ts'
import { codecModules, type CodecModules, loadCodecs } from '../tasks/codecs.ts'
import { putObject } from '../tasks/lakeobject.ts'
import type { PackableResult } from '../tasks/layertask.ts'
import { lendStore, type StoreReference } from '../tasks/storereference.ts'
import { LTAP_VERSION } from '../version.ts'
import { JobContext } from './jobcontext.ts'

export interface WorkUnitsOptions {
  /** Lines that `planLake` gave, in any order. */
  lines: AsyncIterable<string> | Iterable<string>
  /** Takes a line of the result, without its end. */
  emit: (line: string) => void | Promise<void>
  /** Opens the lake by its URL, as a line has it, or {@link lake}. */
  openStore: (url: string) => Promise<ObjectStore>
  /** Where the lake is on this machine, if not where it was planned. */
  lake?: string
  /** Where the data directory is on this machine, if not where it was planned. */
  source?: string
  /** Worker threads, default one for each core; 0 runs everything on this thread. */
  workers?: number | Pool
  /** Modules with codecs from outside: the same as when the job was planned. */
  codecs?: readonly string[]
  clock?: Clock
  random?: Random
}

export interface WorkReport {
  units: number
  /** Units that ended with an error, and lines that are no units. */
  failed: number
}

/** Does units of open jobs, each by itself: what one of them fails with is a line, too, and the others go on. */
export async function workUnits(options: WorkUnitsOptions): Promise<WorkReport> {
  const owned = options.workers === undefined || typeof options.workers === 'number' ? new Workers(options.workers) : undefined
  const pool = owned ?? options.workers as Pool
  const codecs = codecModules(options.codecs ?? [])
  const worker = new Worker(options, pool, codecs, [...(await loadCodecs(codecs)).keys()].sort())
  try {
    await forEachAtMost(pool.count + 1, numbered(options.lines), ([line, number]) => worker.line(line, number))
    return worker.report
  } finally {
    worker.end()
    await stopIfEnding()
    await owned?.close()
  }
}

/** Lines with something on them, with their numbers from 1 on. */
async function* numbered(lines: WorkUnitsOptions['lines']): AsyncGenerator<[string, number]> {
  let number = 0
  for await (const line of lines) {
    number++
    if (line.trim() !== '') yield [line, number]
  }
}

class Worker {
  readonly report = { units: 0, failed: 0 }
  private readonly options: WorkUnitsOptions
  private readonly pool: Pool
  private readonly codecs: CodecModules
  /** Types that have codecs from outside. */
  private readonly types: readonly string[]
  private readonly contexts = new Map<string, Promise<JobContext>>()
  private readonly stores = new Map<string, Promise<{ store: ObjectStore; reference: StoreReference; end: () => void }>>()
  private readonly ends: (() => void)[] = []
  /** What lines told of the use of each store. */
  private readonly told = new Map<ObjectStore, StoreUse>()

  constructor(options: WorkUnitsOptions, pool: Pool, codecs: CodecModules, types: readonly string[]) {
    this.options = options
    this.pool = pool
    this.codecs = codecs
    this.types = types
  }

  async line(line: string, number: number): Promise<void> {
    let unit: Unit | undefined
    try {
      unit = parseUnit(line, LTAP_VERSION, `line ${number} of the units`)
      await this.emit(unit, await this.unit(unit))
      this.report.units++
    } catch (error) {
      await stopIfEnding()
      if (!isPositioned(error)) throw error
      this.report.failed++
      const { code, message } = error
      if (unit === undefined) await this.options.emit(JSON.stringify({ line: number, error: { code, message } }))
      else await this.emit(unit, { error: { code, message: message.slice(0, MESSAGE_LENGTH_MAX) } })
    }
  }

  /** Lets go of the stores. */
  end(): void {
    for (const end of this.ends) end()
  }

  private async unit(unit: Unit): Promise<Required<Pick<UnitResult, 'files' | 'packs'>>> {
    const context = await this.context(unit)
    const task = await context.task(unit)
    if (task.codecs.join() !== this.types.join()) {
      throw new EnvironmentError('job.codecs', `the job was planned with codecs of ${task.codecs.join(', ') || 'no types'}, and this worker has codecs of `
        + `${this.types.join(', ') || 'none'}: give it the same modules by --codecs`)
    }
    const tasks = new JobTasks(this.pool)
    const { reference } = await this.store(unit)
    const files = new Array<UnitResults[number]>(task.files.length)
    const pack = new PackWriter(context.lake.ports.store, () => packObjectKey(context.newName()), context.lake.compressor)
    try {
      await forEachAtMost(this.pool.count + 1, task.files.entries(), async ([i, file]) => {
        const overflow = unit.overflow?.find(({ relation }) => relation === file.relation)?.overflow ?? []
        files[i] = await this.file(context, task, file, { tasks, reference, overflow, pack })
      })
      await pack.finish()
      return { files, packs: pack.objects }
    } catch (error) {
      await pack.abort()
      throw error
    }
  }

  private async file(
    context: JobContext, { reading, compression }: UnitTask, file: UnitFile,
    { tasks, reference, overflow, pack }: { tasks: JobTasks; reference: StoreReference; overflow: readonly number[]; pack: PackWriter },
  ): Promise<UnitResults[number]> {
    const toast = await context.toastOf(file, reading)
    const missing = overflow.filter((attnum) => !file.descriptor.overflow?.includes(attnum))
    let relation = missing.length === 0 ? file.descriptor : withOverflow(file.descriptor, missing)
    for (;;) {
      const result = await tasks.run('layer', {
        snapshot: context.snapshot(reading), fork: { ...file.fork, path: context.path(file.fork.path) }, blocks: file.blocks.runs, relation,
        cluster: file.cluster,
        compression, codecs: this.codecs, onCorrupt: reading.onCorrupt, toast, store: reference,
        ...(!file.pack && { object: dataKeys(file.folder ?? tableFolder(relation), context.newName()) }),
      })
      if ('unreadable' in result) {
        const { reason, position } = result.unreadable
        return { unreadable: new CorruptionError('relation.unreadable', reason, position).message }
      }
      if ('packable' in result) return await packed(result, file, relation.overflow ?? [], pack)
      if ('file' in result) return { ...result, overflow: relation.overflow ?? [] } satisfies FileResult
      relation = withOverflow(relation, result.wanted)
    }
  }

  private async context(unit: Unit): Promise<JobContext> {
    const opened = this.contexts.get(unit.job) ?? this.openContext(unit)
    this.contexts.set(unit.job, opened)
    return await opened
  }

  private async openContext(unit: Unit): Promise<JobContext> {
    const { clock = systemClock, random = systemRandom, source = unit.source } = this.options
    const { store } = await this.store(unit)
    return await JobContext.open({ store, clock, random }, identityOf(unit), source, this.pool)
  }

  private async store({ lake }: Unit): Promise<{ store: ObjectStore; reference: StoreReference }> {
    const url = this.options.lake ?? lake
    const opened = this.stores.get(url) ?? this.options.openStore(url).then((store) => {
      const lent = lendStore(store, {})
      this.ends.push(lent.end)
      return { store, ...lent }
    })
    this.stores.set(url, opened)
    return await opened
  }

  private async emit(unit: Unit, what: Pick<UnitResult, 'files' | 'packs' | 'error'>): Promise<void> {
    const head = { ...identityOf(unit), unit: unit.unit }
    const line = (told: Partial<UnitResult>): string => JSON.stringify({ ...head, ...told } satisfies UnitResult)
    if (what.files === undefined) return await this.options.emit(line(what))
    if (line(what).length <= LINE_BYTES_MAX - USE_TEXT_MAX) return await this.options.emit(line({ ...what, used: await this.use(unit) }))
    const context = await this.context(unit)
    const bytes = utf8Encode(JSON.stringify(what.files))
    const key = partKey(context.newName())
    await putObject(context.lake.ports.store, key, bytes)
    const object = { key, bytes: bytes.length, crc: crc32c(bytes) }
    await this.options.emit(line({ ...what.packs && { packs: what.packs }, object, used: await this.use(unit) }))
  }

  /** What was asked of the store since the line before. */
  private async use(unit: Unit): Promise<StoreUse> {
    const { store: { counters }, store } = await this.store(unit)
    const since = useSince(counters, this.told.get(store) ?? NO_USE)
    this.told.set(store, useUntilNow(counters))
    return since
  }
}

const MESSAGE_LENGTH_MAX = 4000
/** The most characters of a line that say what was asked of the store. */
const USE_TEXT_MAX = 256

/** Puts proven pages into the unit's pack. */
async function packed(result: PackableResult, { pack: place, blocks }: UnitFile, overflow: readonly number[], pack: PackWriter): Promise<FileResult> {
  const { entry, smallest, length } = place!
  const { packable: _, ...counts } = result
  return { ...counts, file: await packLayer(pack, { tree: 'layers', key: entry }, { smallest, length, blocks }, result), overflow }
}
