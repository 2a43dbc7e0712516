import { join } from 'node:path'
import { BlockSet } from '../../common/blockset.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { equalJson } from '../../common/equaljson.ts'
import { parseLsn, walPosition } from '../../common/ids.ts'
import { DESCRIPTOR_KEY, parseFileDescriptor } from '../../columnar/filedescriptor.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog } from '../../engine/statecatalog.ts'
import { ObjectFiles } from '../../io/objectstore/objectfiles.ts'
import { type BlockIndex, rowsOfBlocks } from '../../lake/blockindex.ts'
import { type ChangedTable, changesSelect, type ChangeStep, COMES, GOES, STAYS_HIDDEN, versionsSelect } from '../../lake/changeviews.ts'
import { isPacked, type LayerFile } from '../../lake/layer.ts'
import type { LayerGroup } from '../../lake/layeredviews.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { retainedStates } from '../../lake/state/registrations.ts'
import { openRows } from '../../lake/rowsnotshown.ts'
import { parseStateRelation } from '../../lake/staterelation.ts'
import { type DatabaseNames, foldName, isUserTable, type NamedRelation, quoteName } from '../../lake/viewnames.ts'
import { readFooter } from '../../parquet/footer.ts'
import { checkFileDescriptor } from '../lake.ts'
import { readTail } from '../lakefile.ts'
import { CACHE_BYTES } from '../lakes/fetchedobjects.ts'
import { type FileOfRelation, filesOf, readBlockIndex, readDescription } from '../lakes/layerfiles.ts'
import type { StateManifest } from '../lakes/statemanifest.ts'
import { type ListedRows, writeChangeList } from './changelist.ts'
import type { LogTables } from './logtables.ts'
import { groupsOf, type OpenedFile, shownColumns } from './statetables.ts'

/** Names of the schemas of a table's changes and of its versions end so. */
const CHANGES_SUFFIX = '__changes'
const VERSIONS_SUFFIX = '__history'

/** A retained state, and which relation with pages has the rows of which table in it. */
interface KnownState {
  readonly snapshot: Snapshot
  readonly nextXid: number
  readonly relations: ReadonlyMap<string, { readonly key: string; readonly value: unknown }>
  /** By oid, oids of its partitions and of the tables that inherit from it. */
  readonly children: ReadonlyMap<number, readonly number[]>
}

/** A file of a part in one state. */
interface ShownFile {
  readonly of: FileOfRelation
  readonly shown: BlockSet
  /** Rows of current blocks that no reader of the state sees. */
  readonly notShown: BlockSet
}

/** A part of a table in one state: an own relation with pages. */
interface ShownPart {
  readonly key: string
  readonly value: unknown
  readonly files: ReadonlyMap<string, ShownFile>
  /** Rows depend on transactions that have not ended. */
  readonly isOpen: boolean
}

/** `<schema>__changes.<table>` and `<schema>__history.<table>`: what differs between the states that a branch retains, up to the one that is asked for. */
export class ChangeTables {
  /** Every file that views read. */
  readonly paths: string[] = []
  private readonly lake: Lake
  private readonly state: StateManifest
  private readonly branch: string
  private readonly scratch: string
  private readonly logs: LogTables
  private readonly objects: ObjectFiles
  private readonly indexes = new Map<string, BlockIndex>()
  private readonly opened = new Map<string, Promise<OpenedFile>>()
  private states: Promise<KnownState[]> | undefined
  private lists = 0

  /** @param scratch a folder of this query alone */
  constructor(
    { lake, state, scratch, logs }: { lake: Lake; state: StateManifest; scratch: string; logs: LogTables },
    { branch = MAIN_BRANCH, cacheBytes = CACHE_BYTES }: { branch?: string; cacheBytes?: number },
  ) {
    this.lake = lake
    this.state = state
    this.branch = branch
    this.scratch = scratch
    this.logs = logs
    this.objects = new ObjectFiles(lake.ports.store, join(scratch, 'changes'), cacheBytes)
  }

  /** SQL that makes the views that a text names. @throws as StateTables.prepare; UnsupportedError query.changes for pages in packs */
  async views(sql: string, names: DatabaseNames): Promise<string> {
    const text = foldName(sql)
    const script: string[] = []
    for (const named of names.relations) {
      if (!isUserTable(named.relation) || !text.includes(foldName(named.name))) continue
      for (const [suffix, select] of [[CHANGES_SUFFIX, changesSelect], [VERSIONS_SUFFIX, versionsSelect]] as const) {
        const schema = `${named.schema}${suffix}`
        if (!text.includes(foldName(schema))) continue
        const place = `${quoteName(names.catalog)}.${quoteName(schema)}`
        const table = await this.table(named, suffix === VERSIONS_SUFFIX)
        script.push(`CREATE SCHEMA IF NOT EXISTS ${place};\nCREATE VIEW ${place}.${quoteName(named.name)} AS\n${select(table)};\n`)
      }
    }
    return script.join('')
  }

  private async table({ relation }: NamedRelation, fromFirst: boolean): Promise<ChangedTable> {
    const { manifest } = this.state
    const description = await readDescription(this.lake.ports.store, await this.state.description(relation))
    const { names, types, ids } = shownColumns(description, manifest)
    const listed: ListedRows[] = []
    const files = new Map<string, OpenedFile>()
    const steps: ChangeStep[] = []
    const numbers = new Map<string, number>()
    let before: ReadonlyMap<string, ShownPart> = new Map()
    for (const [step, state] of (await (this.states ??= this.readStates())).entries()) {
      const parts = await this.parts(relation, state, before)
      const isFirst = step === 0
      const isRewritten = !isFirst && before.size === 1 && parts.size === 1 && ![...parts.keys()].every((key) => before.has(key))
      steps.push({
        after: isFirst ? undefined : steps.at(-1)!.upto, upto: walPosition(parseLsn(state.snapshot.state.lsn)!), nextXid: state.nextXid, isRewritten,
      })
      if (!isFirst || fromFirst) {
        for (const key of new Set([...before.keys(), ...parts.keys()])) {
          if (!numbers.has(key)) numbers.set(key, numbers.size)
          await this.compare(before.get(key), parts.get(key), { step, part: numbers.get(key)! }, listed, files)
        }
      }
      before = parts
    }
    const list = join(this.scratch, `changes${this.lists++}.parquet`)
    await writeChangeList(list, listed)
    const transactions = await this.logs.transactions()
    this.paths.push(list, ...[...files.values()].map(({ rows: { path } }) => path), ...transactions)
    const groups: LayerGroup[] = groupsOf([...files.values()], ids)
    return { columns: names, rows: { groups, types }, steps, list, transactions }
  }

  /** What a table's rows are in, in one state; a part that is as it was is not looked at again. */
  private async parts(
    { dbOid, oid }: { dbOid: number; oid: number }, { snapshot, relations, children }: KnownState, before: ReadonlyMap<string, ShownPart>,
  ): Promise<Map<string, ShownPart>> {
    const family = new Set([oid])
    for (const member of family) for (const child of children.get(member) ?? []) family.add(child)
    const parts = new Map<string, ShownPart>()
    for (const member of family) {
      const found = relations.get(`${dbOid}/${member}`)
      if (found === undefined) continue
      const known = before.get(found.key)
      parts.set(found.key, known && !known.isOpen && equalJson(known.value, found.value) ? known : await this.part(snapshot, found))
    }
    return parts
  }

  private async part(snapshot: Snapshot, { key, value }: { key: string; value: unknown }): Promise<ShownPart> {
    const relation = parseStateRelation(key, value)
    const files = new Map<string, ShownFile>()
    let isOpen = false
    for (const of of filesOf(relation, this.state.manifest.systemIdentifier)) {
      const { file, current } = of
      if (current.size === 0) continue
      if (isPacked(file)) {
        const { schema, name } = relation.info
        throw new EnvironmentError('query.changes',
          `the pages of ${schema}.${name} are in a pack at LSN ${snapshot.state.lsn}: changes are known of tables with files of their own (--pack-below 0)`)
      }
      const index = await this.index(file)
      const all = await readRowsNotShown(snapshot, { index, current }, relation.info.visible)
      const rows = rowsOfBlocks(index, current)
      isOpen ||= openRows({ index, current }).length > 0
      files.set(file.key, { of, shown: rows.subtract(all), notShown: rows.intersect(all) })
    }
    return { key, value, files, isOpen }
  }

  private async index(file: LayerFile): Promise<BlockIndex> {
    const known = this.indexes.get(file.key)
    if (known !== undefined) return known
    const { index } = await readBlockIndex(this.lake.ports.store, file)
    this.indexes.set(file.key, index)
    return index
  }

  private async compare(
    before: ShownPart | undefined, after: ShownPart | undefined, at: Pick<ListedRows, 'step' | 'part'>, listed: ListedRows[], files: Map<string, OpenedFile>,
  ): Promise<void> {
    if (before === after) return
    const add = async ({ of }: ShownFile, rows: BlockSet, kind: number): Promise<void> => {
      if (rows.size === 0) return
      const opened = await this.open(of)
      files.set(of.file.key, opened)
      listed.push({ path: opened.rows.path, rows, ...at, kind })
    }
    for (const key of new Set([...before?.files.keys() ?? [], ...after?.files.keys() ?? []])) {
      const [was, is] = [before?.files.get(key), after?.files.get(key)]
      const comes = is === undefined ? BlockSet.EMPTY : was === undefined ? is.shown : is.shown.subtract(was.shown)
      const goes = was === undefined ? BlockSet.EMPTY : is === undefined ? was.shown : was.shown.subtract(is.shown)
      if (is) await add(is, comes, COMES)
      if (was) await add(was, goes, GOES)
      // Those that were hidden before are no part of a chain that begins now, unless what they belong to ended now.
      if (is && (was === undefined || comes.size + goes.size > 0)) await add(is, is.notShown, STAYS_HIDDEN)
    }
  }

  private async open({ file, expected }: FileOfRelation): Promise<OpenedFile> {
    const known = this.opened.get(file.key)
    if (known !== undefined) return await known
    const opening = (async (): Promise<OpenedFile> => {
      if (isPacked(file)) throw new EnvironmentError('query.changes', `${file.key} is a pack`)
      const { path } = await this.objects.open(file)
      const descriptor = parseFileDescriptor(readFooter(readTail(path, file.bytes)).metadata.get(DESCRIPTOR_KEY))
      checkFileDescriptor(descriptor, expected)
      return { rows: { path, superseded: BlockSet.EMPTY, hidden: BlockSet.EMPTY }, descriptor }
    })()
    this.opened.set(file.key, opening)
    return await opening
  }

  /** States up to the one that is asked for; of several at one LSN the last one. */
  private async readStates(): Promise<KnownState[]> {
    const { lake, branch, state: { snapshot: wanted } } = this
    const head = await lake.head(branch)
    const retained = await lake.pages.run(retainedStates(head))
    const before = retained.filter(({ sequence, lsn }, i) => sequence < wanted.state.sequence && lsn !== wanted.state.lsn && lsn !== retained[i + 1]?.lsn)
    return await Promise.all([...before.map((state) => Snapshot.of(lake, head, state)), wanted].map(readState))
  }
}

async function readState(snapshot: Snapshot): Promise<KnownState> {
  const { cluster: { nextXid }, parents } = await readCatalog(snapshot)
  const relations = new Map<string, { key: string; value: unknown }>()
  const children = new Map<number, number[]>()
  const addParents = (oid: number, above: readonly number[]): void => {
    for (const parent of above) children.set(parent, [...children.get(parent) ?? [], oid])
  }
  await snapshot.scan('layers', (key, value) => {
    const { locator: { dbOid }, info: { oid, parents: above } } = parseStateRelation(key, value)
    relations.set(`${dbOid}/${oid}`, { key, value })
    addParents(oid, above)
  })
  for (const { oid, parents: above } of parents) addParents(oid, above)
  return { snapshot, nextXid, relations, children }
}
